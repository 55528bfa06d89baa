//! The ARM program, and QEMU that runs it.

use metergate_tests::{root, skip};
use metrology_dsp::CHANNELS;
use metrology_link::codec::{Wire, encode};
use metrology_link::payload::{Calibration, MeterConfig};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// RAM that the real part may use.
pub const RAM: usize = 96 * 1024;
/// Samples that the program takes at once; what is left over at the end of a file it drops.
pub const BLOCK: usize = 20;
/// Longest run, s: a hundred times what any takes on an idle machine.
const TIMEOUT: &str = "300";

/// Builds the board's program, or tells why not.
pub fn program(test: &str) -> Option<PathBuf> {
    if Command::new("qemu-system-arm").arg("--version").output().is_err() {
        skip(test, "qemu-system-arm is not installed");
        return None;
    }
    image(test, "qemu-an386")
}

/// Builds the image of a board, or tells why not.
pub fn image(test: &str, board: &str) -> Option<PathBuf> {
    let folder = root().join("rt-metrology/firmware");
    // From its own folder: the target stands in its .cargo/config.toml. No settings of the surrounding cargo.
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo.args(["build", "--release", "--locked", "-p", board]).current_dir(&folder);
    for (name, _) in std::env::vars_os().filter(|(n, _)| n.to_string_lossy().starts_with("CARGO_")) {
        if name != "CARGO_HOME" {
            cargo.env_remove(name);
        }
    }
    let built = cargo.output().unwrap();
    let message = String::from_utf8_lossy(&built.stderr);
    if !built.status.success() && message.contains("may not be installed") {
        skip(test, "the target thumbv7em-none-eabihf is not installed (rustup target add thumbv7em-none-eabihf)");
        return None;
    }
    assert!(built.status.success(), "{message}");
    let image = folder.join("target/thumbv7em-none-eabihf/release").join(board);
    let head = fs::read(&image).unwrap();
    // An ELF for machine 40 (Arm), not for the host: a wrong folder would have built that without a word.
    assert_eq!((&head[..4], head[18]), (&b"\x7fELF"[..], 40));
    Some(image)
}

/// Memory as the link map of an image tells it, bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sizes {
    /// Code, constants and the initial values of statics.
    pub flash: usize,
    /// Statics.
    pub statics: usize,
}

/// Reads the link map that the board's build leaves beside the image.
pub fn sizes(image: &Path) -> Sizes {
    let text = fs::read_to_string(image.with_extension("map")).expect("the link map");
    let mut out = Sizes::default();
    for line in text.lines() {
        // VMA, LMA, size (hexadecimal), alignment, output section; input sections have more columns.
        let mut words = line.split_whitespace();
        let (Some(_), Some(_), Some(size), Some(_), Some(name), None) =
            (words.next(), words.next(), words.next(), words.next(), words.next(), words.next())
        else {
            continue;
        };
        let Ok(size) = usize::from_str_radix(size, 16) else { continue };
        match name {
            ".vector_table" | ".text" | ".rodata" => out.flash += size,
            ".data" => (out.flash, out.statics) = (out.flash + size, out.statics + size),
            ".bss" | ".uninit" => out.statics += size,
            _ => {}
        }
    }
    assert!(out.flash > 100_000 && out.statics > 10_000, "not a link map: {out:?}");
    out
}

/// What of an image is loaded, from address 0 on, as `objcopy -O binary` gives it.
pub fn loaded(image: &Path) -> Vec<u8> {
    let elf = fs::read(image).unwrap();
    let word = |at: usize| u32::from_le_bytes(elf[at..at + 4].try_into().unwrap()) as usize;
    let half = |at: usize| usize::from(u16::from_le_bytes([elf[at], elf[at + 1]]));
    let mut out = Vec::new();
    for k in 0..half(44) {
        let header = word(28) + k * half(42);
        let (kind, offset, address, length) = (word(header), word(header + 4), word(header + 12), word(header + 16));
        if kind == 1 && length > 0 {
            out.resize(out.len().max(address + length), 0);
            out[address..address + length].copy_from_slice(&elf[offset..offset + length]);
        }
    }
    out
}

/// Runs a mode of the program on a file of samples. Gives what it wrote into its output file, and the bytes of stack it
/// took at most.
pub fn run(program: &Path, dir: &Path, mode: &str, more: &[&str], counted: bool) -> (Vec<u8>, usize) {
    let output = dir.join(format!("{mode}.out"));
    let mut arguments = format!("enable=on,target=native,arg={mode},arg={}", dir.join("samples").display());
    for argument in [&output.display().to_string()].into_iter().map(String::as_str).chain(more.iter().copied()) {
        arguments = format!("{arguments},arg={argument}");
    }
    let mut qemu = Command::new("timeout");
    qemu.args([TIMEOUT, "qemu-system-arm", "-M", "mps2-an386", "-display", "none", "-monitor", "none"]);
    qemu.args(["-serial", "none", "-semihosting-config", &arguments, "-kernel"]).arg(program);
    if counted {
        qemu.args(["-icount", "shift=0"]);
    }
    let done = qemu.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "QEMU: {said}");
    (fs::read(&output).unwrap(), stack(&said))
}

/// What the program says of its stack at its end.
pub fn stack(said: &str) -> usize {
    let line = said.lines().find_map(|l| l.strip_prefix("qemu-an386: stack "));
    let line = line.unwrap_or_else(|| panic!("no measure of the stack: {said}"));
    let mut words = line.split(' ');
    let (used, room) = (words.next().unwrap(), words.nth(1).unwrap());
    let (used, room): (usize, usize) = (used.parse().unwrap(), room.parse().unwrap());
    assert!(used < room, "the stack is full: {line}");
    used
}

/// Writes the file of samples that [`run`] takes.
pub fn write(dir: &Path, config: &MeterConfig, calibration: &Calibration, samples: &[[i32; CHANNELS]]) {
    let mut bytes = b"MGVEC\0\0\x01".to_vec();
    structure(config, &mut bytes);
    structure(calibration, &mut bytes);
    bytes.extend(samples.iter().flatten().flat_map(|c| c.to_le_bytes()));
    fs::write(dir.join("samples"), bytes).unwrap();
}

/// Appends a structure as the program's files hold it.
pub fn structure<T: Wire>(value: &T, out: &mut Vec<u8>) {
    let mut bytes = vec![0; T::LEN];
    let n = encode(value, &mut bytes);
    assert_ne!(n, 0);
    out.extend((n as u16).to_le_bytes());
    out.extend(&bytes[..n]);
}
