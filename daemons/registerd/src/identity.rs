//! Who this program is: the software id of WELMEC 7.2 is the SHA-256 of the running binary.

use crate::engine::hex;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Read};

/// The binary of this process, whatever happened to its path since.
const SELF: &str = "/proc/self/exe";

/// Identity as shown on the bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// SHA-256 of the running binary, hex.
    pub software_id: String,
    /// Version for people.
    pub version: &'static str,
    /// The legal binary on its own.
    pub legal: bool,
}

impl Identity {
    /// Of this process.
    ///
    /// # Errors
    /// `/proc` is not mounted or not readable: then nobody could tell which software measures, and it must not start.
    pub fn of_this_process(legal: bool) -> io::Result<Identity> {
        let mut file = File::open(SELF)?;
        let mut hash = Sha256::new();
        let mut chunk = [0; 16 << 10];
        loop {
            match file.read(&mut chunk)? {
                0 => break,
                n => hash.update(&chunk[..n]),
            }
        }
        Ok(Identity { software_id: hex(&hash.finalize()), version: env!("CARGO_PKG_VERSION"), legal })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_the_hash_of_the_file() {
        let bytes = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let id = Identity::of_this_process(false).unwrap();
        assert_eq!(id.software_id, hex(&Sha256::digest(bytes)));
    }
}
