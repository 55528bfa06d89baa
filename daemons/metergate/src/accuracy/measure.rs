//! Every point of the table, measured.

use metrology_link::payload::Calibration;

use super::bench::{self, Bench};
use super::classes::Class;
use super::points::{self, Kind, Point, Reference};
use super::qemu::Board;

/// What a point gave.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The point.
    pub point: Point,
    /// Error of ten seconds with noise, %. `None`: nothing was registered.
    pub error: Option<f64>,
    /// The same without noise.
    pub bias: Option<f64>,
    /// Limit, ± %.
    pub limit: Option<f64>,
}

impl Outcome {
    /// Limit over error. `None` without a limit.
    pub fn margin(&self) -> Option<f64> {
        // Nothing registered is an error of 100 %.
        self.limit.map(|limit| limit / self.error.unwrap_or(-100.0).abs())
    }

    /// Outside of its limit.
    pub fn failed(&self) -> bool {
        self.margin().is_some_and(|margin| margin < 1.0 || margin.is_nan())
    }
}

/// How the runs of the ARM program compared with those on this machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Agreement {
    /// Runs compared.
    pub runs: u32,
    /// Windows compared.
    pub windows: u64,
    /// Runs that differed.
    pub different: u32,
}

/// Measures points, one after the other.
#[derive(Debug)]
pub struct Laboratory {
    bench: Bench,
    calibration: Calibration,
    board: Option<Board>,
    agreement: Agreement,
    /// Errors of undisturbed points that were measured before: with noise, without.
    references: Vec<(Reference, [Option<f64>; 2])>,
}

impl Laboratory {
    /// A bench with a meter that has this calibration. With a board the meter is the program for ARM.
    pub fn new(bench: Bench, calibration: Calibration, board: Option<Board>) -> Laboratory {
        Laboratory { bench, calibration, board, agreement: Agreement::default(), references: Vec::new() }
    }

    /// Comparison so far.
    pub fn agreement(&self) -> Agreement {
        self.agreement
    }

    /// Measures one point.
    ///
    /// # Errors
    /// The board failed; the meter closed no windows.
    pub fn measure(&mut self, point: Point, class: Class) -> anyhow::Result<Outcome> {
        let mut errors = self.errors(&point)?;
        if let Kind::Influence(_, reference) = point.kind {
            let without = self.reference(reference)?;
            errors = std::array::from_fn(|n| errors[n].zip(without[n]).map(|(with, without)| with - without));
        }
        let limit = point.limit(class);
        Ok(Outcome { point, error: errors[0], bias: errors[1], limit })
    }

    fn reference(&mut self, reference: Reference) -> anyhow::Result<[Option<f64>; 2]> {
        if let Some((_, errors)) = self.references.iter().find(|(known, _)| *known == reference) {
            return Ok(*errors);
        }
        let errors = self.errors(&points::reference(reference))?;
        self.references.push((reference, errors));
        Ok(errors)
    }

    fn errors(&mut self, point: &Point) -> anyhow::Result<[Option<f64>; 2]> {
        Ok([self.error(point, true)?, self.error(point, false)?])
    }

    fn error(&mut self, point: &Point, noise: bool) -> anyhow::Result<Option<f64>> {
        let config = bench::config(point.f);
        let feed = self.bench.feed(&point.signal, noise);
        let mut trace = bench::on_host(&config, &self.calibration, &feed)?;
        // The bias shows nothing about ARM that the run with noise does not.
        if let Some(board) = self.board.as_ref().filter(|_| noise) {
            let bytes = board.run(&config, &self.calibration, &feed)?;
            self.agreement.runs += 1;
            self.agreement.windows += trace.at.len() as u64;
            self.agreement.different += u32::from(bytes != trace.bytes);
            // What ARM counted is what is shown.
            trace.bytes = bytes;
        }
        let both = trace.counted().zip(feed.truth(&trace));
        let (counted, truth) = both.ok_or_else(|| anyhow::anyhow!("the meter closed no windows"))?;
        let (counted, truth) = match point.kind {
            Kind::Reactive(_) => (counted.reactive, truth.reactive),
            _ => (counted.active, truth.active),
        };
        Ok((counted != 0.0).then_some((counted / truth - 1.0) * 100.0))
    }
}
