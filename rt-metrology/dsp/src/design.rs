//! The numbers everything else in this crate follows from, each with its derivation.
//!
//! Bit budget of one sample on its way to a counter (Q formats are written integer.fraction):
//!
//! | step | format | largest magnitude | why it fits |
//! |---|---|---|---|
//! | converter count | Q23.0 in i32 | 2^23 | the converter has 24 bits |
//! | corrected sample `y` | Q24.4 in i32 | 2^28 = [`SAMPLE_LIMIT`] | offset ≤ 2^20, gain ≤ 2, then limited |
//! | product `y·y`, or `y` times the oscillator (Q0.28) | i64 | 2^56 | |
//! | block of [`BLOCK`] products | i64 | 2^62 | one bit below overflow |
//! | window of [`WINDOW_LIMIT`] products | i128 | 2^70 | |
//! | window in sub-quanta of a millijoule | u128 | 2^124 | see [`crate::energy`] |

/// Channels in the order of the converter: U1 U2 U3 I1 I2 I3 IN.
pub const CHANNELS: usize = 7;

/// Phases, or measuring elements.
pub const PHASES: usize = metrology_link::payload::PHASES;

/// Bits of fraction a corrected sample has below one converter count.
///
/// Four bits put the rounding of the correction 24 dB below the converter's own step. What rounding takes is carried on
/// (see `frontend`), so that it adds less than 1 ppm to the active power at 10 mA of 100 A (593 counts peak with the
/// default full scale of 200 A).
pub const FRACTION_BITS: u32 = 4;

/// Largest magnitude of a converter count. More is an input error and is limited (and marked as clipped).
pub const COUNT_LIMIT: i32 = 1 << 23;

/// Bits of full scale in a corrected sample: 2^23 counts with [`FRACTION_BITS`] below.
pub const FULL_SCALE_BITS: u32 = 23 + FRACTION_BITS;

/// Largest magnitude of a corrected sample: gain 2 at full scale. More is limited and marked as clipped.
pub const SAMPLE_LIMIT: i32 = 1 << (FULL_SCALE_BITS + 1);

/// Products summed in an i64 before the sum is carried into an i128: 2^6 products of 2^56 stay below 2^62 + rounding.
///
/// 32-bit processors add 64 bits in two instructions and 128 in four; carrying every 64th sample costs them 24 wide
/// additions, less than one per sample.
pub const BLOCK: u32 = 64;

/// No window has more samples than this; it is what the bounds of the i128 sums rest on.
///
/// The longest is 14 cycles at 42.5 Hz and 32 kS/s (10 541 samples), see `metrology.rs`.
pub const WINDOW_LIMIT: u32 = 1 << 14;

/// Bits of fraction of a position between two samples. 2^-24 sample of 1600 is 4e-11 of a window.
pub const POSITION_BITS: u32 = 24;

/// Slowest frequency tracked, mHz (IEC 61000-4-30 range for 50 Hz begins at 42.5 Hz).
pub const F_MIN_MHZ: u32 = 42_500;
/// Fastest frequency tracked, mHz (IEC 61000-4-30 range for 60 Hz ends at 69 Hz).
pub const F_MAX_MHZ: u32 = 69_000;

/// Measuring windows in one second of values: 5 windows of 200 ms (10 cycles at 50 Hz, 12 at 60 Hz).
pub const WINDOWS_PER_SECOND: u32 = 5;

/// Whole samples by which every channel is delayed, so that a current can be moved forwards as well as back.
///
/// The largest difference between a current and its voltage is 240 µs ([`LAG_LIMIT_PS`]): at 32 kS/s a position between
/// the 7th and the 8th sample, and the six-tap filter reaches three samples ahead of the 7th.
pub const BASE_DELAY: u32 = 10;

/// Length of the delay line. The oldest tap lies ceil(10 + 7.7) + 2 = 20 samples back; the next power of two.
pub const DELAY_LINE: usize = 32;

/// Largest offset a calibration may have, counts: an eighth of full scale.
pub const OFFSET_LIMIT: i32 = 1 << 20;
/// Smallest gain a calibration may have (0.5).
pub const GAIN_MIN_Q30: i32 = 1 << 29;
/// Largest gain a calibration may have (just below 2, the end of an i32 in Q30).
pub const GAIN_MAX_Q30: i32 = i32::MAX;
/// Largest phase correction of one channel, ns: 100 µs is 1.8° at 50 Hz, ten times the error of a poor transformer.
pub const PHASE_LIMIT_NS: i32 = 100_000;
/// Largest difference of a current's delay and its voltage's, ps: twice [`PHASE_LIMIT_NS`], and 20 µs each by temperature.
pub const LAG_LIMIT_PS: i32 = 240_000_000;

/// Largest full scale of a voltage channel, mV: keeps the product of both scales below 2^52 (see [`crate::energy`]).
pub const U_FULL_SCALE_LIMIT_MV: u32 = 2_000_000;
/// Largest full scale of a current channel, µA.
pub const I_FULL_SCALE_LIMIT_UA: u32 = 2_000_000_000;

/// Sampling rate that the energy sub-quantum is defined on. All rates divide it, so the sub-quantum never changes.
pub const RATE_MAX_HZ: u32 = 32_000;
