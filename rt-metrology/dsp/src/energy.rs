//! The counters: window sums in, millijoules out, nothing lost in between.
//!
//! A corrected sample in Q24.4 at the full scales `U` (mV) and `I` (µA) is `y / 2^27` of them, so one sample's energy is
//!
//! ```text
//! y_u·y_i · U·I / (2^54 · 10^9) W / rate  =  y_u·y_i · U·I / (2^54 · 10^6 · rate) mJ.
//! ```
//!
//! With `rate = 32000 / m` (m = 4, 2, 1) this is `y_u·y_i · (U·I·m)` **sub-quanta**, of which
//! `2^54 · 10^6 · 32000 = 2^68 · 5^9` make a millijoule. The sub-quantum does not depend on the configuration, so a
//! remainder stays right when the configuration changes. Each counter keeps its remainder below one millijoule;
//! counter · 2^68·5^9 + remainder is exactly the sum of all registered products.
//!
//! Largest value: a window sum of 2^70 at `U·I < 2^53` and three phases is below 2^125 sub-quanta: it fits a u128.
//! (At 8 kS/s, m is 4 and a window has a quarter of the samples.)

use crate::design::{FULL_SCALE_BITS, PHASES, RATE_MAX_HZ};
use metrology_link::payload::{Counters, EnergySet, MeterConfig, PhaseSums, Sums};

/// Counters of one set, in the order of [`SetRemainders`]: A+, A−, R1, R2, R3, R4, E+, E−.
pub const COUNTERS: usize = 8;
/// Bits of the power of two in the sub-quantum: 54 of the samples, 6 of 10^6, 8 of 32000.
const SUB_BITS: u32 = 2 * FULL_SCALE_BITS + 6 + 8;
/// The odd part of the sub-quantum: 5^6 of 10^6, 5^3 of 32000.
const SUB_ODD: u64 = 1_953_125;
/// Sub-quanta in one millijoule, 2^68 · 5^9 ≈ 5.8e26.
pub const SUB_QUANTA: u128 = (SUB_ODD as u128) << SUB_BITS;

const _: () = assert!(SUB_QUANTA == (1 << 54) * 1_000_000 * RATE_MAX_HZ as u128);

/// Remainders of one set in sub-quanta, each below [`SUB_QUANTA`].
pub type SetRemainders = [u128; COUNTERS];

/// Amounts to add to one set: sums of products of corrected samples.
pub type Amounts = [u128; COUNTERS];

/// Everything that only grows, with the remainders that make it exact. What the coprocessor keeps in its memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cumulative {
    /// Energies.
    pub counters: Counters,
    /// Energy below one millijoule of L1 to L3, sub-quanta.
    pub phase_remainders: [SetRemainders; PHASES],
    /// Energy below one millijoule of the total, sub-quanta.
    pub total_remainders: SetRemainders,
    /// Sums for means.
    pub sums: Sums,
    /// Windows closed.
    pub windows: u64,
    /// Windows with clipped samples.
    pub clipped_windows: u64,
    /// Samples lost.
    pub lost_samples: u64,
    /// Windows whose energy may be wrong.
    pub suspect_windows: u32,
}

/// The stored bytes are not a [`Cumulative`]. The memory is at fault; nothing was taken from them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Another length than [`Cumulative::BYTES`].
    Length,
    /// Another layout version.
    Version,
    /// A remainder of a millijoule or more.
    Remainder,
}

impl core::fmt::Display for Malformed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Malformed::Length => "stored counters have the wrong length",
            Malformed::Version => "stored counters have an unknown version",
            Malformed::Remainder => "a stored remainder is not below a millijoule",
        })
    }
}

impl core::error::Error for Malformed {}

impl Cumulative {
    /// Bytes of the stored form.
    ///
    /// | bytes | content |
    /// |---|---|
    /// | 4 | version (1) |
    /// | 28 | windows, clipped windows, lost samples, suspect windows (4) |
    /// | 4 × 8 × 8 | counters L1, L2, L3, total |
    /// | 4 × 8 × 12 | remainders in the same order (below 2^89) |
    /// | 3 × 9 × 8 | sums L1, L2, L3 |
    /// | 16 | frequency windows, sum |
    ///
    /// All little-endian.
    pub const BYTES: usize = 4 + 28 + 4 * COUNTERS * 8 + 4 * COUNTERS * 12 + PHASES * 72 + 16;
    const VERSION: u32 = 1;

    /// Adds window sums of phase `phase` (0 to 2).
    pub(crate) fn add_phase(&mut self, phase: usize, amounts: &Amounts, scale: u64) {
        add(&mut self.counters.phase[phase], &mut self.phase_remainders[phase], amounts, scale);
    }

    /// Adds window sums of the total.
    pub(crate) fn add_total(&mut self, amounts: &Amounts, scale: u64) {
        add(&mut self.counters.total, &mut self.total_remainders, amounts, scale);
    }

    /// The stored form.
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let mut out = Writer { bytes: [0; Self::BYTES], at: 0 };
        out.put(&Self::VERSION.to_le_bytes());
        out.put_u64(self.windows);
        out.put_u64(self.clipped_windows);
        out.put_u64(self.lost_samples);
        out.put(&self.suspect_windows.to_le_bytes());
        for set in self.counters.phase.iter().chain([&self.counters.total]) {
            for counter in read(set) {
                out.put_u64(counter);
            }
        }
        for remainder in self.phase_remainders.iter().chain([&self.total_remainders]).flatten() {
            out.put(&remainder.to_le_bytes()[..12]);
        }
        for s in &self.sums.phase {
            for v in [s.windows, s.u_mv, s.i_ua, s.pf_windows] {
                out.put_u64(v);
            }
            out.put(&s.pf_ppm.to_le_bytes());
            for v in [s.thd_windows, s.thd_u_ppm, s.thd_i_windows, s.thd_i_ppm] {
                out.put_u64(v);
            }
        }
        out.put_u64(self.sums.f_windows);
        out.put_u64(self.sums.f_uhz);
        out.bytes
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// [`Malformed`] when the bytes cannot have come from [`Cumulative::to_bytes`]. Flipped bits inside are for the
    /// check sum around the record to find.
    pub fn from_bytes(bytes: &[u8]) -> Result<Cumulative, Malformed> {
        if bytes.len() != Self::BYTES {
            return Err(Malformed::Length);
        }
        let mut from = Reader { bytes };
        if u32::from_le_bytes(from.take()) != Self::VERSION {
            return Err(Malformed::Version);
        }
        let mut state = Cumulative {
            windows: from.u64(),
            clipped_windows: from.u64(),
            lost_samples: from.u64(),
            suspect_windows: u32::from_le_bytes(from.take()),
            ..Cumulative::default()
        };
        for set in state.counters.phase.iter_mut().chain([&mut state.counters.total]) {
            for counter in fields(set) {
                *counter = from.u64();
            }
        }
        for remainder in state.phase_remainders.iter_mut().chain([&mut state.total_remainders]).flatten() {
            let mut wide = [0; 16];
            wide[..12].copy_from_slice(&from.take::<12>());
            *remainder = u128::from_le_bytes(wide);
            if *remainder >= SUB_QUANTA {
                return Err(Malformed::Remainder);
            }
        }
        for s in &mut state.sums.phase {
            *s = PhaseSums {
                windows: from.u64(),
                u_mv: from.u64(),
                i_ua: from.u64(),
                pf_windows: from.u64(),
                pf_ppm: i64::from_le_bytes(from.take()),
                thd_windows: from.u64(),
                thd_u_ppm: from.u64(),
                thd_i_windows: from.u64(),
                thd_i_ppm: from.u64(),
            };
        }
        state.sums.f_windows = from.u64();
        state.sums.f_uhz = from.u64();
        Ok(state)
    }
}

/// Sub-quanta per product of two corrected samples: `U·I·m`, below 2^55.
pub(crate) fn scale(config: &MeterConfig) -> u64 {
    let m = u64::from(RATE_MAX_HZ / config.rate_hz);
    u64::from(config.u_full_scale_mv) * u64::from(config.i_full_scale_ua) * m
}

fn add(set: &mut EnergySet, remainders: &mut SetRemainders, amounts: &Amounts, scale: u64) {
    for ((counter, remainder), &amount) in fields(set).into_iter().zip(remainders).zip(amounts) {
        if amount == 0 {
            continue;
        }
        // Below 2^125 + 2^89, see the module's head; limits that configuration and window length keep.
        let sum = amount.saturating_mul(u128::from(scale)).saturating_add(*remainder);
        // Division by 2^68 · 5^9: the quotient by 2^68 has at most 60 bits, so the rest is one 64-bit division.
        let high = (sum >> SUB_BITS) as u64;
        let low = sum & ((1 << SUB_BITS) - 1);
        // 2^64 mJ are 4200 years at 69 kW; a counter that stops is better than one that goes back.
        *counter = counter.saturating_add(high / SUB_ODD);
        *remainder = (u128::from(high % SUB_ODD) << SUB_BITS) | low;
    }
}

/// The counters of a set in the order of [`Amounts`].
fn fields(set: &mut EnergySet) -> [&mut u64; COUNTERS] {
    let [r1, r2, r3, r4] = &mut set.r;
    [&mut set.a_plus, &mut set.a_minus, r1, r2, r3, r4, &mut set.e_plus, &mut set.e_minus]
}

fn read(set: &EnergySet) -> [u64; COUNTERS] {
    let [r1, r2, r3, r4] = set.r;
    [set.a_plus, set.a_minus, r1, r2, r3, r4, set.e_plus, set.e_minus]
}

struct Writer {
    bytes: [u8; Cumulative::BYTES],
    at: usize,
}

impl Writer {
    fn put(&mut self, bytes: &[u8]) {
        // The layout's length is a constant that a test fills to the last byte.
        self.bytes[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
    }

    fn put_u64(&mut self, v: u64) {
        self.put(&v.to_le_bytes());
    }
}

/// Reads from a slice whose length was checked to be that of the whole layout.
struct Reader<'a> {
    bytes: &'a [u8],
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        match self.bytes.split_first_chunk::<N>() {
            Some((head, rest)) => {
                self.bytes = rest;
                *head
            }
            None => [0; N],
        }
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_form_round_trips_and_is_filled_to_the_last_byte() {
        let mut state = Cumulative { windows: 7, clipped_windows: 9, ..Cumulative::default() };
        for (k, counter) in fields(&mut state.counters.phase[1]).into_iter().enumerate() {
            *counter = u64::MAX - k as u64;
        }
        state.counters.total.e_minus = 5;
        state.phase_remainders[2] = [SUB_QUANTA - 1; COUNTERS];
        state.total_remainders[7] = 1;
        state.sums.phase[0].pf_ppm = -77;
        state.sums.f_uhz = u64::MAX;
        let bytes = state.to_bytes();
        assert_eq!(bytes[Cumulative::BYTES - 8..], [0xFF; 8]);
        assert_eq!(Cumulative::from_bytes(&bytes), Ok(state));
        const { assert!(Cumulative::BYTES <= 940) };
    }

    #[test]
    fn malformed_bytes_are_refused() {
        let bytes = Cumulative::default().to_bytes();
        assert_eq!(Cumulative::from_bytes(&bytes[1..]), Err(Malformed::Length));
        let mut other = bytes;
        other[0] = 2;
        assert_eq!(Cumulative::from_bytes(&other), Err(Malformed::Version));
        let mut large = bytes;
        large[32 + 256..32 + 256 + 12].fill(0xFF);
        assert_eq!(Cumulative::from_bytes(&large), Err(Malformed::Remainder));
    }

    #[test]
    fn one_kilowatt_for_one_second_is_a_million_millijoules() {
        // Full scale 1000 V, 1 A, y at full scale: 1 kW; 32 000 samples of 2^54.
        let config = MeterConfig {
            rate_hz: 32_000,
            u_full_scale_mv: 1_000_000,
            i_full_scale_ua: 1_000_000,
            ..MeterConfig::default()
        };
        let mut state = Cumulative::default();
        let mut amounts = [0; COUNTERS];
        amounts[0] = 1 << 54;
        for _ in 0..31_999 {
            state.add_phase(0, &amounts, scale(&config));
        }
        assert_eq!(state.counters.phase[0].a_plus, 999_968);
        state.add_phase(0, &amounts, scale(&config));
        assert_eq!(state.counters.phase[0].a_plus, 1_000_000);
        assert_eq!(state.phase_remainders[0][0], 0);
    }
}
