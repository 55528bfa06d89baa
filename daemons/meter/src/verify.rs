//! Checking what is stored: chains, numbers, sums and registers. Used by `metergate verify` on a stopped state and by
//! the running meter through its health interface.

use core::fmt;

use meter_model::Status;
use metrology_link::payload::ChainHead;

use crate::durable::Durable;
use crate::energy::{self, DIRECTIONS, Directions};
use crate::interval::load_energies;
use crate::logger::{LOAD_ENERGIES, LoggerId, Row, genesis, row_hash};

/// What is wrong with a row or a logger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Its content is not what was hashed.
    Hash,
    /// It does not hang on the row before.
    Chain,
    /// The number is not one more than the row before.
    Sequence,
    /// Not as many values as the logger has columns.
    Columns,
    /// It ends before it begins.
    Backwards,
    /// A cumulative register is lower than in the row before.
    Register(usize),
    /// R+ is not R1 + R2, or R- not R3 + R4.
    Quadrants,
    /// It does not begin where the row before ended, and no status says why.
    Gap,
    /// The newest row is not the one the settled state knows: rows were cut off, or the state is of another time.
    Tail,
    /// The settled registers are below the newest row, or the interval sums differ from the register difference.
    Registers,
    /// The tariff registers do not add up to the total registers.
    Tariffs,
    /// The coprocessor knows a newer row, or another row of this number.
    Head,
}

impl Fault {
    /// Words for people.
    pub fn words(self) -> &'static str {
        match self {
            Fault::Hash => "content does not match its hash",
            Fault::Chain => "does not follow from the row before",
            Fault::Sequence => "sequence number is not one more than the row before",
            Fault::Columns => "wrong number of values",
            Fault::Backwards => "ends before it begins",
            Fault::Register(_) => "a cumulative register is lower than in the row before",
            Fault::Quadrants => "reactive energy is not the sum of its quadrants",
            Fault::Gap => "does not begin where the row before ended",
            Fault::Tail => "is not the newest row that the settled state knows",
            Fault::Registers => "interval sums and settled registers disagree",
            Fault::Tariffs => "tariff registers do not add up to the totals",
            Fault::Head => "differs from the head kept in the coprocessor",
        }
    }
}

/// One finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    /// In which logger.
    pub logger: LoggerId,
    /// At which row; 0 when there is none.
    pub seq: u64,
    /// What is wrong.
    pub fault: Fault,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} row {}: {}", self.logger.spec().name, self.seq, self.fault.words())
    }
}

/// Walks the rows of one logger from the oldest kept to the newest. One finding per fault; memory does not grow with
/// the number of rows.
#[derive(Clone, Debug)]
pub struct Verifier {
    logger: LoggerId,
    last: Option<Row>,
    rows: u64,
    /// Energies of the first row and the sum of the intervals since.
    first: [i64; LOAD_ENERGIES],
    sums: [i128; LOAD_ENERGIES],
    findings: Vec<Finding>,
}

/// Findings kept per logger; a table that is wrong from end to end need not be listed row by row.
const FINDINGS_MAX: usize = 100;

impl Verifier {
    /// For this logger.
    pub fn new(logger: LoggerId) -> Verifier {
        Verifier {
            logger,
            last: None,
            rows: 0,
            first: [0; LOAD_ENERGIES],
            sums: [0; LOAD_ENERGIES],
            findings: Vec::new(),
        }
    }

    /// The next row, in the order of the table.
    pub fn row(&mut self, row: &Row) {
        self.rows += 1;
        let logger = self.logger;
        if row_hash(logger, row) != row.hash {
            self.found(row.seq, Fault::Hash);
        }
        match &self.last {
            Some(last) if last.hash != row.prev => self.found(row.seq, Fault::Chain),
            // The oldest row kept hangs on one that was overwritten, except when it is the first of all.
            None if row.seq == 1 && row.prev != genesis(logger) => self.found(row.seq, Fault::Chain),
            _ => {}
        }
        if self.last.as_ref().map_or(row.seq == 0, |last| last.seq.checked_add(1) != Some(row.seq)) {
            self.found(row.seq, Fault::Sequence);
        }
        if row.end < row.start {
            self.found(row.seq, Fault::Backwards);
        }
        if row.values.len() != logger.spec().columns.len() {
            self.found(row.seq, Fault::Columns);
        }
        if logger == LoggerId::Load {
            self.load_row(row);
        }
        self.last = Some(row.clone());
    }

    /// The rules of the load profile.
    fn load_row(&mut self, row: &Row) {
        let Some(energies) = energies(row) else { return };
        let [_, _, r_plus, r_minus, r1, r2, r3, r4, _, _] = energies;
        if r1.checked_add(r2) != Some(r_plus) || r3.checked_add(r4) != Some(r_minus) {
            self.found(row.seq, Fault::Quadrants);
        }
        let Some(last) = &self.last else {
            self.first = energies;
            return;
        };
        let gap = last.end != row.start && !row.status.has(Status::CLOCK_SET) && !row.status.has(Status::DISCONTINUITY);
        let before = self::energies(last);
        if gap {
            self.found(row.seq, Fault::Gap);
        }
        let Some(before) = before else { return };
        for (i, (from, to)) in before.into_iter().zip(energies).enumerate() {
            if to < from {
                self.found(row.seq, Fault::Register(i));
            }
            self.sums[i] += i128::from(to) - i128::from(from);
        }
    }

    /// The end of the table, compared with the settled state: nothing missing, sums equal to register differences.
    pub fn finish(mut self, durable: &Durable) -> Vec<Finding> {
        let cursor = durable.cursors[self.logger.index()];
        let newest = self.last.as_ref().map_or((0, genesis(self.logger)), |row| (row.seq, row.hash));
        if newest != (cursor.next.saturating_sub(1), cursor.head) {
            self.found(newest.0, Fault::Tail);
        }
        if self.logger == LoggerId::Load
            && let Some(last) = self.last.as_ref().and_then(energies)
        {
            let settled = load_energies(&durable.registers);
            // A row that ends at the settled record holds exactly the settled registers.
            let closed = durable.interval.is_some_and(|i| i.start_t == durable.t_samples);
            let wrong = (0..LOAD_ENERGIES).any(|i| {
                settled[i] < last[i]
                    || (closed && settled[i] != last[i])
                    || i128::from(last[i]) - i128::from(self.first[i]) != self.sums[i]
            });
            if wrong {
                self.found(newest.0, Fault::Registers);
            }
        }
        if self.logger == LoggerId::Load && !tariffs_add_up(durable) {
            self.found(newest.0, Fault::Tariffs);
        }
        self.findings
    }

    fn found(&mut self, seq: u64, fault: Fault) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(Finding { logger: self.logger, seq, fault });
        }
    }
}

fn energies(row: &Row) -> Option<[i64; LOAD_ENERGIES]> {
    row.values.first_chunk::<LOAD_ENERGIES>().copied()
}

/// Compares the heads kept in the coprocessor with the settled state. A head that is behind is normal: it is stored
/// after the commit. One that is ahead, or of the same number with another hash, means rows were cut off or rewritten.
pub fn check_heads(durable: &Durable, heads: &[ChainHead]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for logger in LoggerId::ALL {
        let ours = durable.cursors[logger.index()].chain_head(logger);
        let theirs = heads.iter().find(|h| h.log == logger as u8).filter(|h| h.seq != 0);
        if theirs.is_some_and(|h| h.seq > ours.seq || (h.seq == ours.seq && h.head != ours.head)) {
            findings.push(Finding { logger, seq: ours.seq, fault: Fault::Head });
        }
    }
    findings
}

/// Whether no register of `later` is below `earlier`, for checks across restarts.
pub fn registers_monotone(earlier: &Durable, later: &Durable) -> bool {
    let (a, b) = (energy::sets(&earlier.registers), energy::sets(&later.registers));
    let pairs = a.into_iter().zip(b).chain([(&earlier.secondary, &later.secondary)]);
    let tariffs = |d: &Durable| -> Vec<u64> {
        d.by_tariff.iter().chain(&d.secondary_by_tariff).flatten().chain(&d.pulses).copied().collect()
    };
    pairs.flat_map(|(a, b)| energy::values(a).into_iter().zip(energy::values(b))).all(|(a, b)| a <= b)
        && tariffs(earlier).into_iter().zip(tariffs(later)).all(|(a, b)| a <= b)
}

/// Whether the tariff registers of each direction add up to the total register, primary and secondary.
fn tariffs_add_up(durable: &Durable) -> bool {
    let sums = |table: &[Directions]| -> [u128; DIRECTIONS] {
        std::array::from_fn(|n| table.iter().map(|set| u128::from(set[n])).sum())
    };
    sums(&durable.by_tariff) == energy::directions(&durable.registers.total).map(u128::from)
        && sums(&durable.secondary_by_tariff) == energy::directions(&durable.secondary).map(u128::from)
}
