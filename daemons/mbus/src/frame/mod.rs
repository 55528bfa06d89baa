//! Link layer: frames of the wired bus (EN 13757-2) and of the radio (EN 13757-4).

pub mod wired;
pub mod wireless;

pub use wired::{WiredError, WiredFrame};
pub use wireless::Format;
