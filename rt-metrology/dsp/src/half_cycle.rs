//! RMS over one cycle, renewed each half-cycle: Urms(1/2) of IEC 61000-4-30, and the same for currents.
//!
//! Half-cycles lie between zero crossings of the tracked voltage, at fractions of a sample. Without a locked frequency
//! they have nominal length and are marked as not synchronous, and so while a jump of phase or amplitude settles. The
//! clock given is that of the second half's end.

use crate::design::{CHANNELS, POSITION_BITS};
use crate::quantities::{Scale, mean_q8};

/// RMS values of one cycle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HalfCycle {
    /// Sample clock at the end of the cycle.
    pub t_samples: u64,
    /// RMS values in the order of the channels, mV and µA; zero where `channels` has no bit.
    pub rms: [u32; CHANNELS],
    /// Channels that are measured, a bit each.
    pub channels: u8,
    /// Both halves lie between zero crossings of the tracked frequency.
    pub synchronous: bool,
    /// The newer half by itself.
    pub half: HalfValues,
}

/// One half-cycle, for windows that are made of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HalfValues {
    /// Mean squares in the order of the channels, corrected counts squared (at most 2^56).
    pub square: [u64; CHANNELS],
    /// Length, Q24 samples.
    pub length: u64,
    /// It ends so much after the sample before `t_samples`, Q24.
    pub fraction: u32,
    /// It ends at a crossing from negative to positive.
    pub rising: bool,
    /// It lies between zero crossings of the tracked frequency.
    pub synchronous: bool,
}

/// Sums of one half-cycle.
#[derive(Clone, Copy, Debug)]
struct Half {
    square: [i128; CHANNELS],
    length: u64,
    synchronous: bool,
}

/// Follows the half-cycles.
#[derive(Clone, Debug)]
pub struct HalfCycles {
    /// Length of half a nominal period, samples.
    nominal: u32,
    samples: u32,
    begin: [i128; CHANNELS],
    begin_fraction: u32,
    begin_crossing: bool,
    previous: Option<Half>,
}

impl HalfCycles {
    /// Begins now; `nominal` is half a nominal period in samples.
    pub fn new(nominal: u32) -> HalfCycles {
        HalfCycles {
            nominal,
            samples: 0,
            begin: [0; CHANNELS],
            begin_fraction: 1 << (POSITION_BITS - 1),
            begin_crossing: false,
            previous: None,
        }
    }

    /// Forgets the half-cycle under way and the one before: there is a gap in the samples.
    pub fn restart(&mut self) {
        *self = HalfCycles::new(self.nominal);
    }

    /// Counts one sample.
    #[inline]
    pub fn sample(&mut self) {
        self.samples += 1;
    }

    /// Whether a half-cycle of nominal length is full, when no crossing ends it.
    #[inline]
    pub fn full(&self) -> bool {
        self.samples >= self.nominal
    }

    /// Ends the half-cycle `fraction` (Q24) after its last sample, where the squares have the edge `edge`; `sums` are
    /// its sums of squares; `rising` tells the direction of the crossing that ends it, if one does. Gives the cycle that
    /// it completes.
    pub fn end(
        &mut self,
        sums: &[i128; CHANNELS],
        edge: [i128; CHANNELS],
        fraction: u32,
        rising: Option<bool>,
        scale: &Scale,
    ) -> Option<HalfCycle> {
        let length = (u64::from(self.samples) << POSITION_BITS) + u64::from(fraction) - u64::from(self.begin_fraction);
        let crossing = rising.is_some();
        let half = Half {
            square: core::array::from_fn(|k| sums[k] + edge[k] - self.begin[k]),
            length,
            synchronous: crossing && self.begin_crossing,
        };
        let before = self.previous.replace(half);
        (self.samples, self.begin, self.begin_fraction, self.begin_crossing) = (0, edge, fraction, crossing);
        let before = before?;
        let mut out = HalfCycle {
            channels: scale.channels(),
            synchronous: before.synchronous && half.synchronous,
            half: HalfValues {
                length: half.length,
                fraction,
                rising: rising == Some(true),
                synchronous: half.synchronous,
                ..HalfValues::default()
            },
            ..HalfCycle::default()
        };
        for k in (0..CHANNELS).filter(|&k| scale.has(k)) {
            out.half.square[k] = u64::try_from(mean_q8(half.square[k], half.length) >> 8).unwrap_or(0);
            let sum = before.square[k] + half.square[k];
            out.rms[k] = scale.rms(k, mean_q8(sum, before.length + half.length).max(0) as u128);
        }
        Some(out)
    }
}
