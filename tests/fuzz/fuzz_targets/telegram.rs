#![no_main]

#[path = "../../src/fuzz.rs"]
#[allow(dead_code, reason = "each target uses one of them")]
mod fuzz;

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::telegram(data));
