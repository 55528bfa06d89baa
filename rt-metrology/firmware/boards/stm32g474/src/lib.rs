//! What the board decides without touching hardware, so that the host can test it. **The board itself is untested on
//! hardware**; this library is what of it has been run.
//!
//! ```text
//! cargo test -p stm32g474 --lib --target x86_64-unknown-linux-gnu
//! ```
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod ads131m08;
pub mod calendar;
pub mod clock;
pub mod fram_frames;
pub mod inputs;
#[cfg(test)]
mod link_tests;
pub mod queue;
pub mod slave;
