//! The one large piece of memory that is not on the stack.

use core::ptr::addr_of_mut;
use core::sync::atomic::{AtomicBool, Ordering};

use metrology_dsp::pq::PowerQuality;

static mut POWER_QUALITY: PowerQuality = PowerQuality::new();
static LENT: AtomicBool = AtomicBool::new(false);

/// The watch of power quality, at rest. To be asked for once.
///
/// # Panics
/// The second time.
pub fn power_quality() -> &'static mut PowerQuality {
    assert!(!LENT.swap(true, Ordering::Relaxed), "there is one");
    // SAFETY: the flag lets one caller pass, so this reference is the only one.
    unsafe { &mut *addr_of_mut!(POWER_QUALITY) }
}
