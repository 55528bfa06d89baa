//! Pages between the metrology coprocessor and Linux, both ends.
#![no_std]
pub mod payload;
