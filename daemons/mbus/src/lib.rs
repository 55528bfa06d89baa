#![doc = include_str!("../README.md")]

pub mod address;
pub mod bytes;
pub mod compact;
pub mod compose;
pub mod decimal;
pub mod driver;
mod error;
pub mod fixed;
pub mod frame;
pub mod header;
pub mod record;
pub mod security;
pub mod status;
pub mod telegram;

pub use address::{Address, Manufacturer};
pub use decimal::Decimal;
pub use error::{Error, Mode};
pub use header::Span;
pub use record::{Function, Record, Value};
pub use telegram::{Decoder, Reassembler, Telegram};
