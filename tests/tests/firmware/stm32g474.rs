//! The board for the real part. No test runs it: it builds, it fits, and what of it needs no hardware passes on the host.

use crate::arm;
use metergate_tests::root;
use std::fs;
use std::process::Command;

const BOARD: &str = "stm32g474";
const FLASH: usize = 512 * 1024;
const FLASH_AT: usize = 0x0800_0000;
const RAM: usize = 128 * 1024;
const RAM_AT: usize = 0x2000_0000;
/// The first block of RAM, where the DMA's buffers must be.
const SRAM1: usize = 80 * 1024;
/// Stack that is left at least. The same application takes 40 KB in QEMU (`live` mode); interrupts are nested four deep at
/// most, of some hundred bytes each.
const STACK: usize = 48 * 1024;

#[test]
fn the_image_for_the_stm32g474_fits() {
    let Some(image) = arm::image("the_image_for_the_stm32g474_fits", BOARD) else { return };
    let sizes = arm::sizes(&image);
    let stack = RAM - sizes.statics;
    println!("{BOARD}: flash {} of {FLASH} bytes", sizes.flash);
    println!("{BOARD}: RAM {RAM} bytes: statics {}, {stack} for the stack", sizes.statics);
    assert!(sizes.flash <= FLASH, "flash: {} bytes", sizes.flash);
    assert!(sizes.statics <= SRAM1, "statics: {} bytes", sizes.statics);
    assert!(stack >= STACK, "{stack} bytes of stack");

    // It begins where the processor looks: the end of RAM, then the address of code in flash.
    let elf = fs::read(&image).unwrap();
    let word = |at: usize| u32::from_le_bytes(elf[at..at + 4].try_into().unwrap()) as usize;
    let half = |at: usize| usize::from(u16::from_le_bytes([elf[at], elf[at + 1]]));
    let loaded: Vec<(usize, usize, usize)> = (0..half(44))
        .map(|k| word(28) + k * half(42))
        .filter(|header| word(*header) == 1 && word(header + 16) > 0)
        .map(|header| (word(header + 4), word(header + 12), word(header + 16)))
        .collect();
    let in_flash = |at: usize, length: usize| (FLASH_AT..=FLASH_AT + FLASH - length).contains(&at);
    for (_, address, length) in &loaded {
        assert!(in_flash(*address, *length), "{length} bytes are loaded to {address:#x}");
    }
    let vectors = loaded.iter().find(|(_, address, _)| *address == FLASH_AT).expect("vectors").0;
    assert_eq!(word(vectors), RAM_AT + RAM);
    assert!(in_flash(word(vectors + 4) & !1, 4) && word(vectors + 4) & 1 == 1, "reset: {:#x}", word(vectors + 4));
}

#[test]
fn what_needs_no_hardware_passes_on_the_host() {
    let version = Command::new("rustc").arg("-vV").output().unwrap();
    let version = String::from_utf8(version.stdout).unwrap();
    let host = version.lines().find_map(|l| l.strip_prefix("host: ")).expect("the host's name");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo.args(["test", "--locked", "-p", BOARD, "--lib", "--target", host]);
    cargo.current_dir(root().join("rt-metrology/firmware"));
    for (name, _) in std::env::vars_os().filter(|(n, _)| n.to_string_lossy().starts_with("CARGO_")) {
        if name != "CARGO_HOME" {
            cargo.env_remove(name);
        }
    }
    let done = cargo.output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{said}\n{}", String::from_utf8_lossy(&done.stderr));
    let result = said.lines().find(|l| l.starts_with("test result: ok. ")).expect("tests have run");
    println!("{BOARD}: {result}");
    assert!(!result.contains(" 0 passed"), "{result}");
}
