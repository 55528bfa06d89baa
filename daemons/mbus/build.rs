//! Collects the driver files of `config/muc/drivers` into the library, so that it works from any folder.

use std::fmt::Write;
use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let out = env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("OUT_DIR is not set"))?;
    let root = env::var_os("CARGO_MANIFEST_DIR").ok_or_else(|| io::Error::other("CARGO_MANIFEST_DIR is not set"))?;
    let folder = Path::new(&root).join("../../config/muc/drivers").canonicalize()?;
    println!("cargo:rerun-if-changed={}", folder.display());
    let mut files: Vec<_> = fs::read_dir(&folder)?.collect::<Result<_, _>>()?;
    files.sort_by_key(fs::DirEntry::file_name);
    let mut code = String::from("static SHIPPED: &[(&str, &str)] = &[\n");
    for file in files {
        let path = file.path();
        if path.extension().is_some_and(|e| e == "toml") {
            let name = file.file_name().to_string_lossy().into_owned();
            writeln!(code, "    ({name:?}, include_str!({path:?})),").map_err(io::Error::other)?;
        }
    }
    code.push_str("];\n");
    fs::write(Path::new(&out).join("shipped.rs"), code)
}
