//! Power cuts without a power switch: a disk whose cache forgets ([`medium`]), below a loop device and ext4
//! ([`mounted`]). Needs root, FUSE and loop devices, but no kernel module.

pub mod medium;
pub mod mounted;

use std::path::Path;

use crate::is_root;

/// Why this machine cannot cut power; `None` when it can.
pub fn impossible() -> Option<&'static str> {
    match () {
        () if !is_root() => Some("needs root to mount"),
        () if !Path::new("/dev/fuse").exists() => Some("no /dev/fuse"),
        () if !Path::new("/dev/loop-control").exists() => Some("no loop devices"),
        () => None,
    }
}
