//! The real Cortex-M4F programs: in QEMU they give the same numbers as the host build of the same code, hold the errors
//! that are promised, and keep within the memory and the instructions that the real part has.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod accuracy;
mod arm;
mod bits;
mod instructions;
mod live;
mod signal;
mod stm32g474;
mod vectors;
