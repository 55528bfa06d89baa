//! Every point, measured, and how far its result can be trusted.
//!
//! A point is run once with next to no noise, which gives the **bias** that calibration and arithmetic leave, and several times
//! for ten seconds with noise from independent sequences. The errors of the windows (200 ms) of these runs give the
//! standard deviation of one window, and with it **sigma**, that of the energy of ten seconds: noise of different
//! windows is independent, so it grows with the root of their number. Four draws are 200 windows, which know sigma to
//! 5 %. Whether the windows are as independent as that is checked by the draws themselves: their deviations from the
//! bias in units of sigma must scatter by one ([`Outcome::deviations`]).
//!
//! The error that is compared with a limit is |bias| + 3 sigma: of a thousand measurements of ten seconds, three are
//! worse.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};

use metrology_link::payload::Calibration;
use metrology_sim::noise::mix;

use super::bench::{self, Bench, Conditions, Energies, Window};
use super::classes::{Class, Reactive};
use super::points::{Kind, Load, Point};
use super::qemu::Board;
use crate::progress::Progress;

/// Standard deviations that are added to the bias.
pub const COVERAGE: f64 = 3.0;
/// A meter that starts registers what it sees: within this, %, at its starting current. No standard gives a figure.
const START_LIMIT: f64 = 5.0;

/// Error of one kind of energy.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figure {
    /// Error without noise, %. `None`: nothing was registered.
    pub bias: Option<f64>,
    /// Standard deviation of ten seconds, %.
    pub sigma: f64,
    /// Errors of the draws, %.
    pub draws: Vec<f64>,
}

/// What some conditions gave.
#[derive(Clone, Debug, Default, PartialEq)]
struct Reading {
    active: Figure,
    reactive: Figure,
}

/// What a point gave.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The point.
    pub point: Point,
    /// Error, or the change of the error by an influence.
    pub figure: Figure,
}

impl Outcome {
    /// |bias| + 3 sigma, %; nothing registered is an error of 100 %.
    pub fn error(&self) -> f64 {
        self.figure.bias.map_or(100.0, |bias| bias.abs() + COVERAGE * self.figure.sigma)
    }

    /// Limit over error. `None` without a limit.
    pub fn margin(&self, limit: Option<f64>) -> Option<f64> {
        limit.map(|limit| limit / self.error())
    }

    /// The limit of the class, ± %.
    pub fn limit(&self, bench: &Bench, class: Class, reactive: Reactive) -> Option<f64> {
        match self.point.kind {
            Kind::Start => Some(START_LIMIT),
            _ => self.point.limit(bench.range, class, reactive),
        }
    }

    /// How far the draws are from the bias, in units of sigma. Changes by an influence have none of their own.
    pub fn deviations(&self) -> impl Iterator<Item = f64> + '_ {
        let bias = self.figure.bias.filter(|_| self.figure.sigma > 0.0);
        self.figure.draws.iter().filter_map(move |draw| Some((draw - bias?) / self.figure.sigma))
    }

    /// Largest less smallest of the draws, %.
    pub fn spread(&self) -> f64 {
        let ends = self.figure.draws.iter().fold((f64::MAX, f64::MIN), |(a, b), x| (a.min(*x), b.max(*x)));
        (ends.1 - ends.0).max(0.0)
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

/// Measures points. What a point gives does not depend on which others were measured, or in which order.
#[derive(Debug)]
pub struct Laboratory {
    /// The bench.
    pub bench: Bench,
    /// The meter's calibration.
    pub calibration: Calibration,
    board: Option<Board>,
    seed: u64,
    /// Runs with noise per point.
    pub draws: u32,
    agreement: Mutex<Agreement>,
    /// Undisturbed conditions that several influences share.
    references: Mutex<Vec<(Conditions, Reading)>>,
}

impl Laboratory {
    /// A bench with a meter that has this calibration. With a board the meter is the program for ARM. `draws` are the
    /// runs with noise per point; their noise follows from the seed and the point.
    pub fn new(bench: Bench, calibration: Calibration, board: Option<Board>, seed: u64, draws: u32) -> Laboratory {
        let (agreement, references) = (Mutex::default(), Mutex::default());
        Laboratory { bench, calibration, board, seed, draws, agreement, references }
    }

    /// Comparison so far. `None` without a board.
    pub fn agreement(&self) -> Option<Agreement> {
        self.board.as_ref().map(|_| *lock(&self.agreement))
    }

    /// Measures all points on `threads` threads.
    ///
    /// # Errors
    /// See [`Laboratory::measure`].
    pub fn measure_all(&self, points: &[Point], threads: usize) -> anyhow::Result<Vec<Outcome>> {
        parallel("points", points, threads, |point| self.measure(point))
    }

    /// Measures one point.
    ///
    /// # Errors
    /// The board failed; the meter closed no windows.
    pub fn measure(&self, point: &Point) -> anyhow::Result<Outcome> {
        let select = |reading: Reading| match point.load {
            Load::Active(_) => reading.active,
            Load::Reactive(_) => reading.reactive,
        };
        let mut figure = select(self.read(&point.conditions)?);
        if let Some(reference) = &point.reference {
            let without = select(self.reference(reference)?);
            figure = Figure {
                bias: figure.bias.zip(without.bias).map(|(with, without)| with - without),
                sigma: figure.sigma.hypot(without.sigma),
                draws: Vec::new(),
            };
        }
        Ok(Outcome { point: point.clone(), figure })
    }

    /// The errors without noise under some conditions, %: active, reactive.
    ///
    /// # Errors
    /// As [`Laboratory::measure`].
    pub fn bias(&self, conditions: &Conditions) -> anyhow::Result<[Option<f64>; 2]> {
        let quiet = bench::sum(&self.run(&self.bench.prepare(conditions), conditions, None)?);
        Ok([active, reactive].map(|select| error(&quiet, select)))
    }

    fn reference(&self, conditions: &Conditions) -> anyhow::Result<Reading> {
        if let Some((_, reading)) = lock(&self.references).iter().find(|(known, _)| known == conditions) {
            return Ok(reading.clone());
        }
        // Two threads may come here at once; both find the same.
        let reading = self.read(conditions)?;
        lock(&self.references).push((conditions.clone(), reading.clone()));
        Ok(reading)
    }

    fn read(&self, conditions: &Conditions) -> anyhow::Result<Reading> {
        let prepared = self.bench.prepare(conditions);
        let quiet = self.run(&prepared, conditions, None)?;
        let seed = self.noise_seed(conditions);
        let noisy: Vec<Vec<Window>> = (0..self.draws)
            .map(|draw| self.run(&prepared, conditions, Some(mix(seed ^ u64::from(draw)))))
            .collect::<anyhow::Result<_>>()?;
        let figure = |select| figure(&quiet, &noisy, select);
        Ok(Reading { active: figure(active), reactive: figure(reactive) })
    }

    /// Noise depends on the conditions, not on the place of a point in a list.
    fn noise_seed(&self, conditions: &Conditions) -> u64 {
        format!("{conditions:?}").bytes().fold(self.seed, |hash, byte| mix(hash ^ u64::from(byte)))
    }

    fn run(
        &self,
        prepared: &bench::Prepared,
        conditions: &Conditions,
        noise: Option<u64>,
    ) -> anyhow::Result<Vec<Window>> {
        let config = self.bench.range.config(conditions.signal.f);
        let counts = prepared.counts(noise);
        // At rest the corrections are the record's own, and the program for ARM is told nothing either.
        let told = Some(conditions).filter(|conditions| !conditions.at_rest());
        let mut trace = bench::on_host(&config, &self.calibration, told, &counts)?;
        // The bias shows nothing about ARM that the runs with noise do not; its program is told no temperature.
        if let Some(board) = self.board.as_ref().filter(|_| noise.is_some() && conditions.at_rest()) {
            let bytes = board.run(&config, &self.calibration, &counts)?;
            let mut agreement = lock(&self.agreement);
            agreement.runs += 1;
            agreement.windows += trace.at.len() as u64;
            agreement.different += u32::from(bytes != trace.bytes);
            // What ARM counted is what is shown.
            trace.bytes = bytes;
        }
        prepared.windows(&trace).ok_or_else(|| anyhow::anyhow!("the meter closed no windows"))
    }
}

/// Does the same with every item, on `threads` threads; results stand in the order of the items. Shows progress.
///
/// # Errors
/// The first error, in this order.
pub fn parallel<T: Sync, R: Send>(
    what: &'static str,
    items: &[T],
    threads: usize,
    work: impl Fn(&T) -> anyhow::Result<R> + Sync,
) -> anyhow::Result<Vec<R>> {
    let next = AtomicUsize::new(0);
    let (sender, receiver) = mpsc::channel();
    let mut results: Vec<Option<anyhow::Result<R>>> = items.iter().map(|_| None).collect();
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            let (sender, next, work) = (sender.clone(), &next, &work);
            scope.spawn(move || {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(n) else { break };
                    let result = work(item);
                    if result.is_err() {
                        // The others stop at their next item too.
                        next.store(items.len(), Ordering::Relaxed);
                    }
                    if sender.send((n, result)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        let mut progress = Progress::new(what);
        for (done, (n, result)) in receiver.into_iter().enumerate() {
            progress.set(done as u64 + 1, items.len() as u64);
            results[n] = Some(result);
        }
    });
    results.into_iter().flatten().collect()
}

/// A poisoned lock means that another thread panicked, and its panic is passed on when the threads are joined.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn active(energies: &Energies) -> f64 {
    energies.active
}

fn reactive(energies: &Energies) -> f64 {
    energies.reactive
}

/// Error of some windows, %. `None`: nothing was registered.
fn error(sum: &Window, select: fn(&Energies) -> f64) -> Option<f64> {
    let counted = select(&sum.counted);
    (counted != 0.0).then(|| (counted / select(&sum.truth) - 1.0) * 100.0)
}

fn figure(quiet: &[Window], noisy: &[Vec<Window>], select: fn(&Energies) -> f64) -> Figure {
    let total = bench::sum(quiet);
    let (mut squares, mut freedom) = (0.0, 0.0);
    for run in noisy {
        let errors: Vec<f64> = run.iter().map(|w| select(&w.counted) - select(&w.truth)).collect();
        let mean = errors.iter().sum::<f64>() / errors.len() as f64;
        squares += errors.iter().map(|error| (error - mean).powi(2)).sum::<f64>();
        freedom += errors.len() as f64 - 1.0;
    }
    let deviation = if freedom > 0.0 { (squares / freedom * quiet.len() as f64).sqrt() } else { 0.0 };
    Figure {
        bias: error(&total, select),
        sigma: deviation / select(&total.truth).abs() * 100.0,
        draws: noisy.iter().filter_map(|run| error(&bench::sum(run), select)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(counted: f64, truth: f64) -> Window {
        let energies = |active| Energies { active, ..Energies::default() };
        Window { counted: energies(counted), truth: energies(truth) }
    }

    #[test]
    fn sigma_of_the_sum_is_that_of_a_window_times_the_root_of_their_number() {
        let quiet: Vec<Window> = (0..50).map(|_| window(100.1, 100.0)).collect();
        let noisy: Vec<Vec<Window>> = (0..2)
            .map(|_| (0..50).map(|n| window(100.1 + if n % 2 == 0 { 1.0 } else { -1.0 }, 100.0)).collect())
            .collect();
        let figure = figure(&quiet, &noisy, active);
        assert!((figure.bias.unwrap() - 0.1).abs() < 1e-9);
        // One in a hundred per window, so 1/√50 % of the sum; 49 degrees of freedom of 50 windows.
        let expected = (50.0_f64 / 49.0).sqrt() / 50.0_f64.sqrt();
        assert!((figure.sigma - expected).abs() < 1e-9, "{}", figure.sigma);
        assert_eq!(figure.draws.len(), 2);
    }

    #[test]
    fn nothing_registered_is_an_error_of_everything() {
        let quiet: Vec<Window> = (0..50).map(|_| window(0.0, 100.0)).collect();
        let point = Point::balanced(Load::Active(super::super::points::Pf::One), 0.005, 50.0, 1.0);
        let outcome = Outcome { point, figure: figure(&quiet, &[], active) };
        assert_eq!((outcome.error(), outcome.margin(Some(2.0))), (100.0, Some(0.02)));
    }
}
