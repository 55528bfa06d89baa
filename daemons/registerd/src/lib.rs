#![doc = include_str!("../README.md")]

pub mod cli;
pub mod config;
pub mod core;
mod daemon;
mod engine;
pub mod identity;
pub mod link;
mod live;
mod pulses;
pub mod ring;
mod service;
pub mod store;
pub mod telemetry;
#[cfg(test)]
mod testing;

pub use daemon::{Options, run};
