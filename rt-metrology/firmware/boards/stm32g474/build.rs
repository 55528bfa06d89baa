//! Puts `memory.x` where the linker looks, and the link map beside the program.

use std::{env, fs, path::PathBuf};

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    fs::copy("memory.x", out.join("memory.x")).expect("OUT_DIR is writable");
    println!("cargo:rustc-link-search={}", out.display());
    println!("cargo:rerun-if-changed=memory.x");
    // <profile>/build/<package>/out: where the program will stand is three levels up.
    let profile = out.ancestors().nth(3).expect("cargo's folders");
    println!("cargo:rustc-link-arg-bins=-Map={}", profile.join("stm32g474.map").display());
}
