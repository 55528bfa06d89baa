//! Class *hello*: who the coprocessor is and what it holds, once per boot and on request.

use super::{ClockQuality, Grid, Method, Topology};

/// Why the coprocessor started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum ResetCause {
    /// Cause not told by the hardware.
    #[default]
    Unknown = 0,
    /// Power came (back).
    PowerOn = 1,
    /// Reset line or software reset with the memory intact.
    Warm = 2,
    /// The coprocessor's own watchdog.
    Watchdog = 3,
    /// Asked for by a reset command.
    Requested = 4,
}

/// Identity, time and the ranges of the three rings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hello {
    /// Version of the meaning of the payloads, see [`crate::PROTOCOL`].
    pub protocol: u8,
    /// Differs from boot to boot; never 0.
    pub boot_id: u32,
    /// Unique number of the hardware. Another one means other counters.
    pub device_id: [u8; 8],
    /// SHA-256 of the running firmware.
    pub firmware_id: [u8; 32],
    /// Version, `major << 16 | minor << 8 | patch`.
    pub firmware_version: u32,
    /// Connection in force.
    pub topology: Topology,
    /// Calculation method in force.
    pub method: Method,
    /// Samples per second.
    pub rate_hz: u32,
    /// Nominal frequency, Hz.
    pub f_nominal: u8,
    /// Channels that exist, bits 0 to 6 = U1 U2 U3 I1 I2 I3 IN.
    pub channels: u8,
    /// Minute grid in force.
    pub grid: Grid,
    /// The coprocessor's real-time clock when the page was made, µs since 1970 UTC.
    pub rtc_us: i64,
    /// How far it can be believed.
    pub rtc_quality: ClockQuality,
    /// SHA-256 over configuration and calibration in force.
    pub config_hash: [u8; 32],
    /// Starts since the memory was created, this one included.
    pub boots: u32,
    /// Why this start happened.
    pub reset_cause: ResetCause,
    /// Time without metering before this start, µs by the RTC; 0 when no RTC could tell.
    pub down_us: u64,
    /// Oldest record in the history ring; 0 = the ring is empty.
    pub history_first: u64,
    /// Newest record in the history ring; 0 = the ring is empty.
    pub history_last: u64,
    /// Oldest event in the event ring; 0 = the ring is empty.
    pub event_first: u64,
    /// Newest event in the event ring; 0 = the ring is empty.
    pub event_last: u64,
    /// Events overwritten before they were acknowledged, since the memory was created.
    pub events_lost: u64,
    /// Oldest report in the report ring; 0 = the ring is empty.
    pub report_first: u64,
    /// Newest report in the report ring; 0 = the ring is empty.
    pub report_last: u64,
    /// Reports overwritten before they were acknowledged, since the memory was created.
    pub reports_lost: u64,
    /// The non-volatile memory was empty or unreadable in both slots: all counters began at zero at this boot.
    pub memory_reset: bool,
    /// Number of the last command carried out (over resets); the host numbers on from here.
    pub last_cmd: u32,
}
