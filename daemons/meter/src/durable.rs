//! The settled state: everything the meter must find again after a power cut, in one slot of the register ring.
//!
//! Layout, little endian, fixed length (the store adds its own sequence number and CRC):
//!
//! | bytes | what |
//! |---|---|
//! | 1 | version = 1 |
//! | 1 | flags: 0 = CT, 1 = interval open, 2 = change pending, 3 = pending change has parameters |
//! | 8, 4, 8, 8 | device id, boot id, history record, sample clock |
//! | 8, 1, 4 | meter time µs, its quality, grid id |
//! | 4, 8, 8, 8 | boots, down-time µs, clipped windows, configuration hash |
//! | 8 | next event |
//! | 5, 5 | parameters as configured, in force: period u8, ratio u16, offset i16 |
//! | 29, 5 | pending grid: id u32, anchor u64, utc i64, rate u64, quality u8; pending parameters |
//! | 4, 8, 8, 8 | interval: status, start, start on the sample clock, boundary minute |
//! | 3 × 32, 12 | sums at its start: windows u32, U u64, I u64, PF windows u32, PF i64; f windows u32, f u64 |
//! | 3 × 40 | per logger: next row u64, head 32 |
//! | 4 × 64 | counters of the metrology at the settled record: L1, L2, L3, total |
//! | 4 × 64 | registers (primary on CT meters) |
//! | 64 | secondary total registers (CT), else zero |

use meter_model::{ClockQuality, Status, Utc};
use metrology_link::payload::{Counters, EnergySet, Grid};

use crate::energy;
use crate::interval::{Interval, MeanSums, PhaseMeanSums};
use crate::logger::{Cursor, LOGS, LoggerId};
use crate::settings::{MeterType, Params};

const VERSION: u8 = 1;

/// A change on its way to the coprocessor. It comes into force at the first history record under its grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// The grid that carries it. For a change of parameters only the number is new, the line is the old one.
    pub grid: Grid,
    /// Parameters that come into force with it.
    pub params: Option<Params>,
}

/// The settled state. It advances at history records only; see the crate's documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Durable {
    /// Whether registers are primary values behind current transformers.
    pub ct: bool,
    /// The coprocessor the counters are of.
    pub device_id: [u8; 8],
    /// Its boot; 0 = no coprocessor has been met.
    pub boot_id: u32,
    /// The settled history record; 0 = none.
    pub seq: u64,
    /// Its sample clock.
    pub t_samples: u64,
    /// Its meter time.
    pub utc: Utc,
    /// The quality of that.
    pub quality: ClockQuality,
    /// The grid in force then.
    pub grid_id: u32,
    /// Starts of the coprocessor.
    pub boots: u32,
    /// Its time without metering, µs.
    pub down_us: u64,
    /// Its windows with clipped samples.
    pub clipped: u64,
    /// Hash of its configuration and calibration.
    pub config_hash: [u8; 8],
    /// The next event wanted.
    pub event_next: u64,
    /// Parameters as the configuration last said.
    pub configured: Params,
    /// Parameters in force.
    pub params: Params,
    /// A change on its way.
    pub pending: Option<Pending>,
    /// The open interval, `None` before the first record and after a change of coprocessor.
    pub interval: Option<Interval>,
    /// Status that the next interval begins with while none is open.
    pub carry: Status,
    /// Where each logger stands.
    pub cursors: [Cursor; LOGS],
    /// The coprocessor's counters at the settled record, mJ.
    pub counters: Counters,
    /// The registers, mJ: primary values on CT meters.
    pub registers: Counters,
    /// The secondary total registers of a CT meter, mJ; zero on direct meters.
    pub secondary: EnergySet,
}

/// Stored bytes are no settled state. The store's fault (a damaged slot) or a downgrade; the meter does not use them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurableError {
    /// Written by a newer or unknown version.
    #[error("settled state has version {0}, this software reads 1")]
    Version(u8),
    /// Wrong length.
    #[error("settled state has {0} bytes instead of {len}", len = Durable::BYTES)]
    Length(usize),
    /// A field holds what the encoder never writes.
    #[error("settled state holds an impossible value in {0}")]
    Impossible(&'static str),
}

impl Durable {
    /// Encoded length. A slot of the register ring has 960 bytes for it.
    pub const BYTES: usize = 955;

    /// The state of a meter that has met no coprocessor.
    pub fn new(ct: bool, params: Params) -> Durable {
        Durable {
            ct,
            device_id: [0; 8],
            boot_id: 0,
            seq: 0,
            t_samples: 0,
            utc: Utc(0),
            quality: ClockQuality::Invalid,
            grid_id: 0,
            boots: 0,
            down_us: 0,
            clipped: 0,
            config_hash: [0; 8],
            event_next: 1,
            configured: params,
            params,
            pending: None,
            interval: None,
            carry: Status(0),
            cursors: LoggerId::ALL.map(Cursor::new),
            counters: Counters::default(),
            registers: Counters::default(),
            secondary: EnergySet::default(),
        }
    }

    /// The bytes, [`Durable::BYTES`] of them.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer(Vec::with_capacity(Durable::BYTES));
        let pending = self.pending.unwrap_or(Pending { grid: Grid::default(), params: None });
        let interval = self.interval.unwrap_or(Interval {
            start: Utc(0),
            start_t: 0,
            boundary: 0,
            status: self.carry,
            sums: MeanSums::default(),
        });
        let flags = [self.ct, self.interval.is_some(), self.pending.is_some(), pending.params.is_some()];
        w.u8(VERSION);
        w.u8(flags.iter().rev().fold(0, |bits, flag| bits << 1 | u8::from(*flag)));
        w.bytes(&self.device_id);
        w.u32(self.boot_id);
        w.u64(self.seq);
        w.u64(self.t_samples);
        w.i64(self.utc.0);
        w.u8(self.quality as u8);
        w.u32(self.grid_id);
        w.u32(self.boots);
        w.u64(self.down_us);
        w.u64(self.clipped);
        w.bytes(&self.config_hash);
        w.u64(self.event_next);
        w.params(&self.configured);
        w.params(&self.params);
        w.u32(pending.grid.id);
        w.u64(pending.grid.anchor);
        w.i64(pending.grid.utc_us);
        w.u64(pending.grid.rate_q16);
        w.u8(pending.grid.quality as u8);
        w.params(&pending.params.unwrap_or_default());
        w.u32(interval.status.0);
        w.i64(interval.start.0);
        w.u64(interval.start_t);
        w.i64(interval.boundary);
        for p in &interval.sums.phase {
            w.u32(p.windows);
            w.u64(p.u_mv);
            w.u64(p.i_ua);
            w.u32(p.pf_windows);
            w.i64(p.pf_ppm);
        }
        w.u32(interval.sums.f_windows);
        w.u64(interval.sums.f_uhz);
        for cursor in &self.cursors {
            w.u64(cursor.next);
            w.bytes(&cursor.head);
        }
        let sets = energy::sets(&self.counters).into_iter().chain(energy::sets(&self.registers));
        for value in sets.chain([&self.secondary]).flat_map(energy::values) {
            w.u64(value);
        }
        w.0
    }

    /// The inverse of [`Durable::encode`].
    ///
    /// # Errors
    /// See [`DurableError`]; any bytes are safe to try.
    pub fn decode(bytes: &[u8]) -> Result<Durable, DurableError> {
        match bytes.first() {
            Some(&VERSION) if bytes.len() == Durable::BYTES => {}
            Some(&version) if version != VERSION => return Err(DurableError::Version(version)),
            _ => return Err(DurableError::Length(bytes.len())),
        }
        let r = &mut Reader(bytes.get(1..).unwrap_or_default());
        let flags = r.u8();
        if flags >> 4 != 0 {
            return Err(DurableError::Impossible("flags"));
        }
        let [ct, open, pending, with_params] = [0, 1, 2, 3].map(|bit| flags >> bit & 1 == 1);
        // Struct fields are evaluated in the order written: the order of the layout.
        let mut d = Durable {
            device_id: r.array(),
            boot_id: r.u32(),
            seq: r.u64(),
            t_samples: r.u64(),
            utc: Utc(r.i64()),
            quality: quality(r.u8())?,
            grid_id: r.u32(),
            boots: r.u32(),
            down_us: r.u64(),
            clipped: r.u64(),
            config_hash: r.array(),
            event_next: r.u64(),
            configured: r.params(),
            params: r.params(),
            ..Durable::new(ct, Params::default())
        };
        let grid = Grid {
            id: r.u32(),
            anchor: r.u64(),
            utc_us: r.i64(),
            rate_q16: r.u64(),
            quality: link_quality(quality(r.u8())?),
        };
        let params = r.params();
        d.pending = pending.then_some(Pending { grid, params: with_params.then_some(params) });
        let status = Status(r.u32());
        let interval = Interval { status, start: Utc(r.i64()), start_t: r.u64(), boundary: r.i64(), sums: r.sums() };
        d.interval = open.then_some(interval);
        d.carry = if open { Status(0) } else { status };
        for cursor in &mut d.cursors {
            *cursor = Cursor { next: r.u64(), head: r.array() };
        }
        d.counters = r.counters();
        d.registers = r.counters();
        d.secondary = r.set();
        let pending = d.pending.and_then(|p| p.params);
        let mut params = [d.params, d.configured].into_iter().chain(pending);
        let meter_type = if ct { MeterType::Ct } else { MeterType::ThreePhase };
        if params.any(|p| p.check(meter_type).is_err()) {
            return Err(DurableError::Impossible("parameters"));
        }
        if d.event_next == 0 || d.cursors.iter().any(|c| c.next == 0) {
            return Err(DurableError::Impossible("cursors"));
        }
        Ok(d)
    }
}

fn quality(code: u8) -> Result<ClockQuality, DurableError> {
    match code {
        0 => Ok(ClockQuality::Invalid),
        1 => Ok(ClockQuality::Holdover),
        2 => Ok(ClockQuality::Valid),
        _ => Err(DurableError::Impossible("clock quality")),
    }
}

fn link_quality(q: ClockQuality) -> metrology_link::payload::ClockQuality {
    use metrology_link::payload::ClockQuality as Link;
    match q {
        ClockQuality::Invalid => Link::Invalid,
        ClockQuality::Holdover => Link::Holdover,
        ClockQuality::Valid => Link::Valid,
    }
}

struct Writer(Vec<u8>);

impl Writer {
    fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }
    fn u8(&mut self, v: u8) {
        self.0.push(v);
    }
    fn u32(&mut self, v: u32) {
        self.bytes(&v.to_le_bytes());
    }
    fn u64(&mut self, v: u64) {
        self.bytes(&v.to_le_bytes());
    }
    fn i64(&mut self, v: i64) {
        self.bytes(&v.to_le_bytes());
    }
    fn params(&mut self, p: &Params) {
        self.u8(p.period_min);
        self.bytes(&p.ct_ratio.to_le_bytes());
        self.bytes(&p.offset_min.to_le_bytes());
    }
}

/// Reads forward and gives zeros past the end; the length is checked before it is made.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn array<const N: usize>(&mut self) -> [u8; N] {
        match self.0.split_first_chunk::<N>() {
            Some((head, rest)) => {
                self.0 = rest;
                *head
            }
            None => [0; N],
        }
    }
    fn u8(&mut self) -> u8 {
        u8::from_le_bytes(self.array())
    }
    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.array())
    }
    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }
    fn i64(&mut self) -> i64 {
        i64::from_le_bytes(self.array())
    }
    fn params(&mut self) -> Params {
        Params {
            period_min: self.u8(),
            ct_ratio: u16::from_le_bytes(self.array()),
            offset_min: i16::from_le_bytes(self.array()),
        }
    }
    fn sums(&mut self) -> MeanSums {
        let phase = [(); 3].map(|()| PhaseMeanSums {
            windows: self.u32(),
            u_mv: self.u64(),
            i_ua: self.u64(),
            pf_windows: self.u32(),
            pf_ppm: self.i64(),
        });
        MeanSums { phase, f_windows: self.u32(), f_uhz: self.u64() }
    }
    fn set(&mut self) -> EnergySet {
        energy::from_values([(); energy::SET].map(|()| self.u64()))
    }
    fn counters(&mut self) -> Counters {
        Counters { phase: [self.set(), self.set(), self.set()], total: self.set() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A state in which every field has another value.
    fn example(ct: bool) -> Durable {
        let set = |n: u64| energy::from_values([n, n + 1, n + 2, n + 3, n + 4, n + 5, n + 6, u64::MAX - n]);
        let sums = |n: u32| PhaseMeanSums {
            windows: n,
            u_mv: 1 << 40 | u64::from(n),
            i_ua: u64::MAX - u64::from(n),
            pf_windows: n + 1,
            pf_ppm: -i64::from(n),
        };
        let grid = Grid {
            id: 77,
            anchor: 1 << 50,
            utc_us: -5,
            rate_q16: 8000 << 16,
            quality: metrology_link::payload::ClockQuality::Holdover,
        };
        let ratio = if ct { 600 } else { 1 };
        let params = Params { period_min: 30, ct_ratio: ratio, offset_min: -660 };
        Durable {
            device_id: *b"metrolog",
            boot_id: 3,
            seq: 4,
            t_samples: 5,
            utc: Utc(-6),
            quality: ClockQuality::Valid,
            grid_id: 7,
            boots: 8,
            down_us: 9,
            clipped: 10,
            config_hash: [11; 8],
            event_next: 12,
            configured: Params { period_min: 60, ..params },
            pending: Some(Pending { grid, params: Some(params) }),
            interval: Some(Interval {
                start: Utc(13),
                start_t: 14,
                boundary: -15,
                status: Status(0x8000_8001),
                sums: MeanSums { phase: [sums(16), sums(17), sums(18)], f_windows: 19, f_uhz: 20 },
            }),
            cursors: [21, 22, 23].map(|n| Cursor { next: n, head: [n as u8; 32] }),
            counters: Counters { phase: [set(100), set(200), set(300)], total: set(400) },
            registers: Counters { phase: [set(500), set(600), set(700)], total: set(800) },
            secondary: set(900),
            ..Durable::new(ct, params)
        }
    }

    #[test]
    fn a_state_comes_back_as_it_went() {
        for ct in [false, true] {
            let full = example(ct);
            let no_params = full.pending.map(|p| Pending { params: None, ..p });
            for state in [
                full,
                Durable { pending: None, ..full },
                Durable { pending: no_params, ..full },
                Durable { interval: None, carry: Status::DISCONTINUITY, ..full },
                Durable::new(ct, full.params),
            ] {
                let bytes = state.encode();
                assert_eq!(bytes.len(), Durable::BYTES);
                assert_eq!(Durable::decode(&bytes), Ok(state));
            }
        }
    }

    #[test]
    fn other_versions_lengths_and_impossible_values_are_refused() {
        let good = example(false).encode();
        let with = |at: usize, value: u8| {
            let mut bytes = good.clone();
            bytes[at] = value;
            Durable::decode(&bytes)
        };
        assert_eq!(with(0, 2), Err(DurableError::Version(2)));
        assert_eq!(Durable::decode(&good[..good.len() - 1]), Err(DurableError::Length(good.len() - 1)));
        assert_eq!(Durable::decode(&[]), Err(DurableError::Length(0)));
        assert_eq!(with(1, 0x10), Err(DurableError::Impossible("flags")));
        assert_eq!(with(38, 3), Err(DurableError::Impossible("clock quality")));
        assert_eq!(with(79, 20), Err(DurableError::Impossible("parameters")));
        assert_eq!(with(71, 0), Err(DurableError::Impossible("cursors")));
    }

    proptest! {
        #[test]
        fn any_bytes_are_safe_and_what_decodes_encodes_the_same(
            flips in proptest::collection::vec((0..Durable::BYTES, any::<u8>()), 0..20),
            ct: bool,
        ) {
            let mut bytes = example(ct).encode();
            for (at, value) in flips {
                bytes[at] = value;
            }
            if let Ok(state) = Durable::decode(&bytes) {
                prop_assert_eq!(Durable::decode(&state.encode()), Ok(state));
            }
        }
    }
}
