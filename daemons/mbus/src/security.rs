//! Keys, ciphers and codes: EN 13757-7 (modes 2, 4, 5, 7, 8, 10), EN 13757-4 (ELL) and their key derivation.
//!
//! Nothing here decides whether a telegram is accepted; [`crate::telegram`] does, in this order: message
//! authentication code, message counter, decryption, check bytes.

use aes::Aes128;
use cbc::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit, StreamCipher};
use ccm::aead::AeadInOut;
use ccm::consts::{U4, U8, U12, U13, U16};
use cmac::{KeyInit, Mac};

use crate::address::Address;

/// An AES-128 key.
pub type Key = [u8; 16];

/// What a derived key is for (EN 13757-7, 7.6; OMS volume 2, 9.6.1): the first byte of the derivation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Purpose {
    /// Encryption, meter to gateway.
    Encrypt = 0x00,
    /// Authentication, meter to gateway.
    Authenticate = 0x01,
    /// Encryption, gateway to meter.
    EncryptDown = 0x10,
    /// Authentication, gateway to meter.
    AuthenticateDown = 0x11,
}

/// AES-CMAC (RFC 4493).
pub fn cmac(key: &Key, parts: &[&[u8]]) -> [u8; 16] {
    let mut mac = cmac::Cmac::<Aes128>::new(key.into());
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// The key of one message: CMAC over purpose, message counter, identification number and padding.
pub fn derive(key: &Key, purpose: Purpose, counter: u32, id: [u8; 4]) -> Key {
    cmac(key, &[&[purpose as u8], &counter.to_le_bytes(), &id, &[7; 7]])
}

/// AES-128-CBC; only whole blocks are touched.
pub fn cbc_decrypt(key: &Key, iv: &[u8; 16], data: &mut [u8]) {
    let mut cipher = cbc::Decryptor::<Aes128>::new(key.into(), iv.into());
    for block in data.as_chunks_mut::<16>().0 {
        cipher.decrypt_block(block.into());
    }
}

/// AES-128-CBC; only whole blocks are touched.
pub fn cbc_encrypt(key: &Key, iv: &[u8; 16], data: &mut [u8]) {
    let mut cipher = cbc::Encryptor::<Aes128>::new(key.into(), iv.into());
    for block in data.as_chunks_mut::<16>().0 {
        cipher.encrypt_block(block.into());
    }
}

/// DES-CBC with the first half of the key (modes 2 and 3, meters of the last century); only whole blocks are touched.
pub fn des_decrypt(key: &Key, iv: &[u8; 8], data: &mut [u8]) {
    let key: [u8; 8] = [key[0], key[1], key[2], key[3], key[4], key[5], key[6], key[7]];
    let mut cipher = cbc::Decryptor::<des::Des>::new(&key.into(), iv.into());
    for block in data.as_chunks_mut::<8>().0 {
        cipher.decrypt_block(block.into());
    }
}

/// AES-128 in counter mode, both directions.
pub fn ctr(key: &Key, iv: &[u8; 16], data: &mut [u8]) {
    ctr::Ctr128BE::<Aes128>::new(key.into(), iv.into()).apply_keystream(data);
}

/// AES-128-CCM with a 13-byte nonce; the tag has 4, 8, 12 or 16 bytes. `false`: the tag is wrong and
/// `data` is spoilt.
pub fn ccm_decrypt(key: &Key, nonce: &[u8; 13], header: &[u8], data: &mut [u8], tag: &[u8]) -> bool {
    macro_rules! open {
        ($size:ty) => {{
            let Ok(tag) = tag.try_into() else { return false };
            ccm::Ccm::<Aes128, $size, U13>::new(key.into())
                .decrypt_inout_detached(nonce.into(), header, data.into(), tag)
                .is_ok()
        }};
    }
    match tag.len() {
        4 => open!(U4),
        8 => open!(U8),
        12 => open!(U12),
        16 => open!(U16),
        _ => false,
    }
}

/// AES-128-CCM with a 13-byte nonce, tag of 8 bytes.
pub fn ccm_encrypt(key: &Key, nonce: &[u8; 13], header: &[u8], data: &mut [u8]) -> Option<[u8; 8]> {
    let cipher = ccm::Ccm::<Aes128, U8, U13>::new(key.into());
    let tag = cipher.encrypt_inout_detached(nonce.into(), header, data.into()).ok()?;
    Some(tag.into())
}

/// Start of mode 5's chain: address in link layer order, then the access number eight times.
pub fn mode5_iv(address: &Address, access: u8) -> [u8; 16] {
    let mut iv = [access; 16];
    iv[..8].copy_from_slice(&address.link_bytes());
    iv
}

/// Counter block of the ELL: address, CC without the bits a repeater changes, SN, frame number and block counter 0.
pub fn ell_iv(address: &Address, communication: u8, session: u32) -> [u8; 16] {
    let mut iv = [0; 16];
    iv[..8].copy_from_slice(&address.link_bytes());
    iv[8] = communication & !(0x10 | 0x02);
    iv[9..13].copy_from_slice(&session.to_le_bytes());
    iv
}

/// Nonce of mode 10: address in link layer order, 0, message counter with the most significant byte first.
pub fn mode10_nonce(address: &Address, counter: u32) -> [u8; 13] {
    let mut nonce = [0; 13];
    nonce[..8].copy_from_slice(&address.link_bytes());
    nonce[9..].copy_from_slice(&counter.to_be_bytes());
    nonce
}

/// Compares without telling by its duration where the first difference is.
pub fn equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |acc, (x, y)| acc | (x ^ y)) == 0
}

/// The highest message counter seen of each meter. The caller keeps it across restarts.
pub trait CounterStore {
    /// The last accepted counter of this meter.
    fn last(&self, meter: &Address) -> Option<u32>;
    /// A telegram with this counter was accepted.
    fn accept(&mut self, meter: &Address, counter: u32);
}

impl CounterStore for std::collections::BTreeMap<Address, u32> {
    fn last(&self, meter: &Address) -> Option<u32> {
        self.get(meter).copied()
    }

    fn accept(&mut self, meter: &Address, counter: u32) {
        self.insert(*meter, counter);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes::{from_hex, to_hex};

    fn key(hex: &str) -> Key {
        from_hex(hex).unwrap().try_into().unwrap()
    }

    #[test]
    fn cmac_of_rfc_4493() {
        let k = key("2b7e151628aed2a6abf7158809cf4f3c");
        assert_eq!(to_hex(&cmac(&k, &[])), "BB1D6929E95937287FA37D129B756746");
        let m = from_hex("6bc1bee22e409f96e93d7e117393172a").unwrap();
        assert_eq!(to_hex(&cmac(&k, &[&m[..5], &m[5..]])), "070A16B46B4D4144F79BDD9DD04A287C");
    }

    #[test]
    fn ccm_there_and_back_and_no_further() {
        let (k, nonce) = (key("000102030405060708090a0b0c0d0e0f"), [7; 13]);
        let mut data = *b"thirteen byte";
        let tag = ccm_encrypt(&k, &nonce, b"head", &mut data).unwrap();
        let cipher = data;
        assert!(!ccm_decrypt(&k, &nonce, b"heap", &mut data, &tag));
        data = cipher;
        assert!(!ccm_decrypt(&k, &nonce, b"head", &mut data, &tag[..7]));
        assert!(ccm_decrypt(&k, &nonce, b"head", &mut data, &tag));
        assert_eq!(&data, b"thirteen byte");
    }
}
