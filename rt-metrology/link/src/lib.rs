#![doc = include_str!("../README.md")]
#![no_std]

#[cfg(feature = "std")]
extern crate std;

#[cfg(feature = "std")]
pub mod capture;
pub mod codec;
pub mod device;
pub mod host;
pub mod page;
pub mod payload;
pub mod stream;

/// Version of the meaning of the payloads, told in the hello. The page format has its own, see [`page::VERSION`].
pub const PROTOCOL: u8 = 1;
/// Bytes of a page, on every transport, in both directions.
pub const PAGE: usize = 1024;
/// One page.
pub type Page = [u8; PAGE];

pub use page::PageError;
