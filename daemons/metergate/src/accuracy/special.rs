//! What type tests ask for beside errors: no load, the meter constant, and the directive's composite error.

use metrology_dsp::pulses::{DELAY_MS, Output, Pulses};
use metrology_dsp::{Cumulative, Metrology};

use super::bench::{self, Bench, Conditions, RATE};
use super::classes::{Class, Group, Reactive};
use super::limits::{BANDS, MPE};
use super::measure::{COVERAGE, Laboratory, Outcome, parallel};
use super::points::{Kind, Load, Pf, balanced};

/// No-load: voltage relative to nominal.
const NO_LOAD_U: f64 = 1.15;
/// Meter constant: seconds at Imax. At 100 A the test output gives 19 pulses a second.
const CONSTANT_S: u64 = 60;
/// What register and test output may be off then, %: a tenth of class 0.2S.
const CONSTANT_LIMIT: f64 = 0.02;
/// Noise of both.
const NOISE_SEED: u64 = 0x5EC1;
/// Millijoules in a kilowatt-hour.
const MJ_PER_KWH: f64 = 3.6e9;
/// Voltages and frequencies over whose range the composite error is the worst.
const RATED_U: [f64; 2] = [0.9, 1.1];
const RATED_F: [f64; 2] = [49.0, 51.0];

/// Rows of the directive's table.
pub const ROWS: [&str; 3] = ["Imin to Itr", "Itr to Imax", "one phase"];

/// Voltage, no current.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NoLoad {
    /// Seconds that were simulated.
    pub seconds: f64,
    /// Seconds that the standards ask for, at least.
    pub asked: f64,
    /// All energy that was registered, mJ and mvar·s.
    pub registered: f64,
    /// Energy of one pulse of the test output, mJ.
    pub pulse: f64,
}

/// Register and test output against the energy at the terminals, and against each other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Constant {
    /// Pulses of the light.
    pub pulses: u64,
    /// Pulses that the register's energy stands for, less those that were given: what is on its way, and a part of one.
    pub owed: f64,
    /// Energy between the first and the last pulse by their number, against that at the terminals, %.
    pub output: f64,
    /// Register against that at the terminals, %.
    pub register: f64,
}

/// The worst composite error of a class in a temperature band, over currents and power factors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Composite {
    /// Class A, B or C.
    pub class: Class,
    /// Band, as an index of [`BANDS`].
    pub band: usize,
    /// What the row of the table is for.
    pub row: &'static str,
    /// Composite error, %.
    pub error: f64,
    /// Limit, ± %.
    pub limit: f64,
}

impl NoLoad {
    /// Less than a pulse.
    pub fn passed(&self) -> bool {
        self.registered < self.pulse
    }
}

impl Constant {
    /// The register has earned what was given, and at most what falls due in the delay of the output and in one window
    /// more; both agree with the truth.
    pub fn passed(&self) -> bool {
        let waiting = (f64::from(DELAY_MS) / 1e3 + 0.25) * self.pulses as f64 / CONSTANT_S as f64 + 1.0;
        (0.0..waiting).contains(&self.owed) && [self.output, self.register].iter().all(|e| e.abs() < CONSTANT_LIMIT)
    }
}

/// Registered energies, everything added.
fn everything(counters: &Cumulative) -> f64 {
    let set = &counters.counters.total;
    let all = [set.a_plus, set.a_minus, set.e_plus, set.e_minus].into_iter().chain(set.r);
    all.map(|energy| energy as f64).sum()
}

/// Voltage without current. `full` takes as long as the standards ask for, else a minute.
///
/// # Errors
/// The meter closed no windows.
pub fn no_load(laboratory: &Laboratory, full: bool) -> anyhow::Result<NoLoad> {
    let range = laboratory.bench.range;
    let (constant, volts) = (range.constant(), super::points::U_N * NO_LOAD_U);
    // IEC 62053-21 † (the class with the longest time): 600e6/(k·m·Un·Imax) min; EN 50470-3 †: 240e3/(k·m·U·Ist) min.
    let start = Class::ALL.iter().filter_map(|class| class.start(range)).fold(f64::INFINITY, f64::min);
    let iec = 600e6 / (constant * 3.0 * super::points::U_N * range.largest());
    let en = 240e3 / (constant * 3.0 * volts * start);
    let asked = 60.0 * iec.max(en);
    let seconds = if full { asked.ceil() } else { 60.0 };
    let conditions = Conditions::from(balanced(0.0, 0.0, 50.0, NO_LOAD_U));
    let mut metrology = Metrology::new(&range.config(50.0), &laboratory.calibration)?;
    let (mut generator, mut front) = laboratory.bench.source(&conditions);
    front.set_noise(bench::noise_counts(), NOISE_SEED);
    for _ in 0..seconds as u64 * u64::from(RATE) {
        metrology.push(&front.sample(&generator.sample().sensed));
    }
    Ok(NoLoad { seconds, asked, registered: everything(metrology.cumulative()), pulse: MJ_PER_KWH / constant })
}

/// A minute at Imax, with the pulses of the light.
///
/// # Errors
/// The meter closed no windows, or gave no pulses.
pub fn constant(laboratory: &Laboratory) -> anyhow::Result<Constant> {
    let range = laboratory.bench.range;
    let config = range.config(50.0);
    let conditions = Conditions::from(balanced(range.largest(), 0.0, 50.0, 1.0));
    let mut metrology = Metrology::new(&config, &laboratory.calibration)?;
    let mut outputs = Pulses::start(&config, 0, metrology.cumulative(), None);
    let (mut generator, mut front) = laboratory.bench.source(&conditions);
    front.set_noise(bench::noise_counts(), NOISE_SEED);
    let mut instants = Vec::new();
    // Register, sample clock: at the end of the first window after a second, and of the last.
    let mut ends: [Option<(Cumulative, u64)>; 2] = [None; 2];
    for _ in 0..CONSTANT_S * u64::from(RATE) {
        if let Some(window) = metrology.push(&front.sample(&generator.sample().sensed)) {
            outputs.window(metrology.line(), metrology.cumulative());
            let end = Some((*metrology.cumulative(), window.t_samples));
            ends[usize::from(ends[0].is_some())] = end.filter(|_| window.t_samples > u64::from(RATE));
        }
        let t = metrology.t_samples();
        if t >= outputs.due() {
            outputs.step(t, |pulse| {
                if pulse.output == Output::Led {
                    instants.push(pulse.begin.sample as f64 + f64::from(pulse.begin.fraction) / f64::from(1 << 24));
                }
            });
        }
    }
    let [Some((begin, from)), Some((end, to))] = ends else { anyhow::bail!("the meter closed no windows") };
    // The first window holds the zeros that stood in the engine's delay line, which makes its pulses late.
    let settled = |instant: &&f64| **instant >= 2.0 * f64::from(RATE);
    let between = instants.iter().filter(settled).count() as f64 - 1.0;
    let (first, last) = (instants.iter().find(settled), instants.last());
    let (Some(first), Some(last)) = (first, last) else { anyhow::bail!("the meter gave no pulses") };
    // The power of a balanced load is the same at every moment.
    let power = 3.0 * super::points::U_N * range.largest();
    let seconds = |samples: f64| samples / f64::from(RATE);
    let pulse = MJ_PER_KWH / range.constant();
    let error = |energy: f64, samples: f64| (energy / (power * 1e3 * seconds(samples)) - 1.0) * 100.0;
    Ok(Constant {
        pulses: instants.len() as u64,
        owed: metrology.cumulative().counters.total.a_plus as f64 / pulse - instants.len() as f64,
        output: error(between * pulse, last - first),
        register: error(bench::counted(&begin, &end).active, (to - from) as f64),
    })
}

/// Composite errors √(eI² + eT² + eU² + ef²) of the directive's classes in its temperature bands: the intrinsic error
/// with its three sigma, and the largest change that temperature, voltage (0.9 to 1.1 Un) and frequency (0.98 to 1.02)
/// make within the band. `outcomes` holds the intrinsic errors.
///
/// # Errors
/// The meter closed no windows.
pub fn composite(laboratory: &Laboratory, outcomes: &[Outcome], threads: usize) -> anyhow::Result<Vec<Composite>> {
    let range = laboratory.bench.range;
    let currents = [Class::A, Class::B, Class::C].map(|class| class.borders(range, Group::Unity)[0]);
    let mut currents = [&currents[..], &[range.transitional(), range.basic(), range.largest()]].concat();
    currents.sort_by(f64::total_cmp);
    currents.dedup_by(|a, b| super::range::same(*a, *b));
    let intrinsic = outcomes.iter().filter(|o| match (o.point.kind, o.point.load) {
        (Kind::Balanced, Load::Active(Pf::One | Pf::HalfInductive | Pf::Capacitive)) => {
            o.point.is_reference() && currents.iter().any(|amps| super::range::same(*amps, o.point.amps))
        }
        (Kind::Single, Load::Active(_)) => super::range::same(o.point.amps, range.basic()),
        _ => false,
    });
    let intrinsic: Vec<&Outcome> = intrinsic.collect();
    let parts = parallel("composite errors", &intrinsic, threads, |outcome| Part::measure(laboratory, outcome))?;
    let parts: Vec<Part> = parts.into_iter().flatten().collect();
    let mut out = Vec::new();
    for (class, bands) in [Class::A, Class::B, Class::C].into_iter().zip(&MPE) {
        for (band, limits) in bands.iter().enumerate() {
            for (n, (row, limit)) in ROWS.into_iter().zip(*limits).enumerate() {
                let of_row = parts.iter().filter(|part| part.row(laboratory, class) == Some(n));
                let worst = of_row.map(|part| part.composite(band)).max_by(f64::total_cmp);
                out.extend(worst.map(|error| Composite { class, band, row, error, limit }));
            }
        }
    }
    Ok(out)
}

/// What a composite error is made of.
struct Part {
    amps: f64,
    group: Group,
    single: bool,
    intrinsic: f64,
    voltage: f64,
    frequency: f64,
    /// Up to each band's ends.
    temperature: [f64; 4],
}

impl Part {
    fn measure(laboratory: &Laboratory, outcome: &Outcome) -> anyhow::Result<Option<Part>> {
        let point = &outcome.point;
        let (Some(intrinsic), sigma) = (outcome.figure.bias, outcome.figure.sigma) else { return Ok(None) };
        let change = |conditions: Conditions| -> anyhow::Result<f64> {
            let [active, _] = laboratory.bias(&conditions)?;
            Ok(active.map_or(100.0, |bias| (bias - intrinsic).abs()))
        };
        let mut part = Part {
            amps: point.amps,
            group: point.load.group(),
            single: point.kind == Kind::Single,
            intrinsic: intrinsic.abs() + COVERAGE * sigma,
            voltage: 0.0,
            frequency: 0.0,
            temperature: [0.0; 4],
        };
        for u in RATED_U {
            let mut conditions = point.conditions.clone();
            conditions.signal.scale_voltage(u);
            part.voltage = part.voltage.max(change(conditions)?);
        }
        for f in RATED_F {
            let mut conditions = point.conditions.clone();
            conditions.signal.f = f;
            part.frequency = part.frequency.max(change(conditions)?);
        }
        let mut worst = 0.0_f64;
        for (band, (low, high)) in BANDS.into_iter().enumerate() {
            for celsius in [low, high] {
                worst = worst.max(change(Conditions { celsius, ..point.conditions.clone() })?);
            }
            part.temperature[band] = worst;
        }
        Ok(Some(part))
    }

    fn composite(&self, band: usize) -> f64 {
        let squares = [self.intrinsic, self.temperature[band], self.voltage, self.frequency].map(|e| e * e);
        squares.iter().sum::<f64>().sqrt()
    }

    /// Which row of the directive's table holds for this current, if any.
    fn row(&self, laboratory: &Laboratory, class: Class) -> Option<usize> {
        let range = laboratory.bench.range;
        let transitional = range.transitional() * (1.0 - 1e-9);
        match (self.single, self.group) {
            (true, group) => class.single(range, group, self.amps).map(|_| 2),
            (false, _) if self.amps >= transitional => Some(1),
            // Below Itr the limits hold at PF 1 only.
            (false, Group::Unity) => class.balanced(range, Group::Unity, self.amps).map(|_| 0),
            (false, _) => None,
        }
    }
}

/// The worst margin of some points to a class, with the point. `None`: no point has a limit.
pub fn worst<'a>(
    outcomes: impl Iterator<Item = &'a Outcome>,
    bench: &Bench,
    class: Class,
    reactive: Reactive,
) -> Option<(f64, &'a Outcome)> {
    let margins = outcomes.filter_map(|o| Some((o.margin(o.limit(bench, class, reactive))?, o)));
    margins.min_by(|a, b| a.0.total_cmp(&b.0))
}
