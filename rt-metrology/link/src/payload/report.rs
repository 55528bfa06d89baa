//! Class *report*: longer records that must not be lost. Kept in non-volatile memory until acknowledged, delivered
//! exactly once, like events but in a ring and with a cursor of their own.
//!
//! A [`ReportRecord`] has a head that everybody understands and a body by kind: [`Interval`] (ten minutes, two hours),
//! [`HarmonicReport`] and [`WavePiece`]. A host that does not know a kind stores the body as it is.

use super::{CHANNELS, PHASES};

/// Room for the body, bytes: 996 of payload, less the range of the ring (16) and the head (41), rounded down to what
/// the largest body (a piece of a waveform of six channels) takes.
pub const REPORT_DATA: usize = 936;
/// Places for aggregated values in an [`Interval`]; those behind the last used one are spare.
pub const INTERVAL_VALUES: usize = 32;
/// Places for occurrence counters in an [`Interval`]; those behind the last used one are spare.
pub const OCCURRENCES: usize = 24;
/// Ten-second intervals in ten minutes.
pub const TEN_SECONDS: usize = 60;
/// Highest order of the harmonics told.
pub const HARMONIC_ORDERS: usize = 50;
/// Channels of a waveform: the voltages and currents of the phases.
pub const WAVE_CHANNELS: usize = 2 * PHASES;
/// Samples in a piece of a waveform, of all its channels together: 75 of each of six, 9.4 ms at 8 kS/s.
pub const WAVE_SAMPLES: usize = 450;
/// Full scale of a channel of a waveform is `1 << WAVE_SCALE_BITS` in the numbers that its codes stand for.
pub const WAVE_SCALE_BITS: u32 = 24;
/// Bits of the mantissa of a waveform's code.
const WAVE_MANTISSA_BITS: u32 = 11;

/// What a report holds. Unknown kinds pass through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReportKind(pub u8);

impl ReportKind {
    /// Ten minutes (IEC 61000-4-30 4.5.3), with the ten-second frequencies and the short-term flicker in them: [`Interval`].
    pub const TEN_MINUTES: ReportKind = ReportKind(1);
    /// Two hours (4.5.4), with the long-term flicker: [`Interval`].
    pub const TWO_HOURS: ReportKind = ReportKind(2);
    /// Harmonics over ten minutes: [`HarmonicReport`].
    pub const HARMONICS_TEN_MINUTES: ReportKind = ReportKind(3);
    /// Harmonics over two hours: [`HarmonicReport`].
    pub const HARMONICS_TWO_HOURS: ReportKind = ReportKind(4);
    /// A piece of the waveform around an event: [`WavePiece`].
    pub const WAVEFORM: ReportKind = ReportKind(5);

    /// Name for people; `None` for a kind this version does not know.
    pub fn name(self) -> Option<&'static str> {
        const NAMES: [&str; 5] =
            ["ten-minutes", "two-hours", "harmonics-ten-minutes", "harmonics-two-hours", "waveform"];
        NAMES.get(usize::from(self.0).checked_sub(1)?).copied()
    }
}

/// What a reader of a report must know about it, as a bit set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportFlags(pub u16);

impl ReportFlags {
    /// Flagged by IEC 61000-4-30 4.7: a dip, swell or interruption touched it.
    pub const FLAGGED: u16 = 1;
    /// It does not cover its whole interval: the meter started, was configured or had its clock set within it. Of a
    /// waveform: the last piece, and what should follow is missing.
    pub const INCOMPLETE: u16 = 1 << 1;
    /// The clock was not valid when it ended.
    pub const CLOCK: u16 = 1 << 2;
    /// The last piece of a waveform.
    pub const LAST: u16 = 1 << 3;

    /// Whether a bit is set.
    pub fn has(self, bit: u16) -> bool {
        self.0 & bit != 0
    }
}

/// One report. Its identity is `seq`, which grows by one over the life of the memory, from 1.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ReportRecord {
    /// Sequence number.
    pub seq: u64,
    /// Boot in which it was made.
    pub boot_id: u32,
    /// What the body is.
    pub kind: ReportKind,
    /// What to know about it.
    pub flags: ReportFlags,
    /// Sample clock at the begin of what it tells of.
    pub begin: u64,
    /// Sample clock at the end.
    pub end: u64,
    /// Meter time of the begin by the grid in force at the end, µs since 1970 UTC.
    pub utc_us: i64,
    /// Bytes of `data` that count.
    pub len: u16,
    /// The body; bytes from `len` on are zero.
    pub data: [u8; REPORT_DATA],
}

impl Default for ReportRecord {
    fn default() -> ReportRecord {
        ReportRecord {
            seq: 0,
            boot_id: 0,
            kind: ReportKind::default(),
            flags: ReportFlags::default(),
            begin: 0,
            end: 0,
            utc_us: 0,
            len: 0,
            data: [0; REPORT_DATA],
        }
    }
}

/// Without 936 numbers.
impl core::fmt::Debug for ReportRecord {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("ReportRecord")
            .field("seq", &self.seq)
            .field("boot_id", &self.boot_id)
            .field("kind", &self.kind)
            .field("flags", &self.flags)
            .field("begin", &self.begin)
            .field("end", &self.end)
            .field("utc_us", &self.utc_us)
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

impl ReportRecord {
    /// The bytes that count.
    pub fn bytes(&self) -> &[u8] {
        self.data.get(..usize::from(self.len)).unwrap_or(&self.data)
    }

    /// Puts the body.
    pub fn with_body<T: crate::codec::Wire>(mut self, body: &T) -> ReportRecord {
        const { assert!(T::LEN <= REPORT_DATA) };
        self.len = crate::codec::encode(body, &mut self.data) as u16;
        self
    }

    /// The body of a ten-minute or two-hour report; `None` for another kind or a body that does not decode.
    pub fn interval(&self) -> Option<Interval> {
        let fits = [ReportKind::TEN_MINUTES, ReportKind::TWO_HOURS].contains(&self.kind);
        fits.then(|| crate::codec::decode(self.bytes()).ok()).flatten()
    }

    /// The body of a harmonics report; `None` as above.
    pub fn harmonics(&self) -> Option<HarmonicReport> {
        let fits = [ReportKind::HARMONICS_TEN_MINUTES, ReportKind::HARMONICS_TWO_HOURS].contains(&self.kind);
        fits.then(|| crate::codec::decode(self.bytes()).ok()).flatten()
    }

    /// The body of a piece of a waveform; `None` as above.
    pub fn wave(&self) -> Option<WavePiece> {
        (self.kind == ReportKind::WAVEFORM).then(|| crate::codec::decode(self.bytes()).ok()).flatten()
    }
}

/// Values of ten minutes or two hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// Windows (ten minutes) or ten-minute values (two hours) it is made of.
    pub parts: u32,
    /// Which of `values` exist, a bit each.
    pub valid: u32,
    /// Voltages µV, currents µA, ratios 1e-6; the places stand in the crate's README.
    pub values: [u32; INTERVAL_VALUES],
    /// Phases that have a flicker severity, a bit each.
    pub flicker_valid: u8,
    /// Pst of the ten minutes or Plt of the two hours per phase, 1e-6.
    pub flicker: [u32; PHASES],
    /// Occurrence counters as of the end, cumulative since the memory was created; places in the README.
    pub occurrences: [u32; OCCURRENCES],
    /// Frequency of each ten seconds, µHz; 0 = none. Zeros in two hours.
    pub f_uhz: [u32; TEN_SECONDS],
}

impl Default for Interval {
    fn default() -> Interval {
        Interval {
            parts: 0,
            valid: 0,
            values: [0; INTERVAL_VALUES],
            flicker_valid: 0,
            flicker: [0; PHASES],
            occurrences: [0; OCCURRENCES],
            f_uhz: [0; TEN_SECONDS],
        }
    }
}

/// Harmonic subgroups of one channel over an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HarmonicChannel {
    /// Subgroup of the fundamental, µV or µA.
    pub fundamental: u32,
    /// The largest subgroup of orders 2 to 50, µV or µA.
    pub largest: u32,
    /// Subgroups of orders 2 to 50 in 1/65535 of `largest`.
    pub share: [u16; HARMONIC_ORDERS - 1],
}

impl Default for HarmonicChannel {
    fn default() -> HarmonicChannel {
        HarmonicChannel { fundamental: 0, largest: 0, share: [0; HARMONIC_ORDERS - 1] }
    }
}

impl HarmonicChannel {
    /// Subgroup of an order from 1 to 50, µV or µA.
    pub fn subgroup(&self, order: usize) -> Option<u32> {
        match order {
            1 => Some(self.fundamental),
            2.. => {
                let share = u64::from(*self.share.get(order - 2)?);
                Some(((share * u64::from(self.largest) + 32_767) / 65_535) as u32)
            }
            _ => None,
        }
    }
}

/// Harmonics of all channels over an interval: roots of the means of squares of the subgroups of its windows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HarmonicReport {
    /// Channels that have values, a bit each.
    pub channels: u8,
    /// Windows (ten minutes) or ten-minute values (two hours) it is made of.
    pub parts: u32,
    /// By channel, see `Channel`.
    pub channel: [HarmonicChannel; CHANNELS],
}

/// A piece of a waveform: corrected samples of voltages and currents.
///
/// A sample is a code of 16 bits: sign, four bits of exponent, eleven bits of mantissa below a leading one that is not
/// written (exponent 0: no leading one). So it is right within 2^-12 of itself, and the smallest ones are exact.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct WavePiece {
    /// The event it belongs to; 0 = told later, an event whose begin is `trigger`.
    pub event: u64,
    /// Sample clock at the begin of that event, as in its arguments.
    pub trigger: u64,
    /// Number of the piece in the waveform, from 0.
    pub piece: u16,
    /// Channels, bits 0 to 5 = U1 U2 U3 I1 I2 I3.
    pub channels: u8,
    /// Instants.
    pub count: u8,
    /// Ticks of the sample clock from one instant to the next: 1, 2 or 4.
    pub step: u8,
    /// Full scale of voltages, mV.
    pub u_full_scale_mv: u32,
    /// Full scale of currents, µA.
    pub i_full_scale_ua: u32,
    /// `count` codes of each channel of the mask, instant by instant; zeros behind.
    pub codes: [u16; WAVE_SAMPLES],
}

impl Default for WavePiece {
    fn default() -> WavePiece {
        WavePiece {
            event: 0,
            trigger: 0,
            piece: 0,
            channels: 0,
            count: 0,
            step: 1,
            u_full_scale_mv: 0,
            i_full_scale_ua: 0,
            codes: [0; WAVE_SAMPLES],
        }
    }
}

impl core::fmt::Debug for WavePiece {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("WavePiece")
            .field("event", &self.event)
            .field("trigger", &self.trigger)
            .field("piece", &self.piece)
            .field("channels", &self.channels)
            .field("count", &self.count)
            .field("step", &self.step)
            .finish_non_exhaustive()
    }
}

impl WavePiece {
    /// Number of channels.
    pub fn width(&self) -> usize {
        (self.channels & ((1 << WAVE_CHANNELS) - 1)).count_ones() as usize
    }

    /// Sample of a channel (0 to 5) at an instant, µV or µA; `None` when there is none.
    pub fn value(&self, channel: usize, instant: usize) -> Option<i64> {
        if channel >= WAVE_CHANNELS || self.channels >> channel & 1 == 0 || instant >= usize::from(self.count) {
            return None;
        }
        let before = (self.channels & ((1 << channel) - 1)).count_ones() as usize;
        let code = *self.codes.get(instant * self.width() + before)?;
        // At most 2^26 · 2^32 · 1000, which needs more than 64 bits.
        let micro =
            if channel < PHASES { i128::from(self.u_full_scale_mv) * 1000 } else { i128::from(self.i_full_scale_ua) };
        Some(((i128::from(Self::number(code)) * micro) >> WAVE_SCALE_BITS) as i64)
    }

    /// The number that a code stands for; full scale is `1 << WAVE_SCALE_BITS`.
    pub fn number(code: u16) -> i32 {
        let exponent = u32::from(code) >> WAVE_MANTISSA_BITS & 15;
        let mantissa = i32::from(code) & ((1 << WAVE_MANTISSA_BITS) - 1);
        let magnitude = match exponent.checked_sub(1) {
            None => mantissa,
            Some(shift) => (mantissa | 1 << WAVE_MANTISSA_BITS) << shift,
        };
        if code >> 15 != 0 { -magnitude } else { magnitude }
    }
}
