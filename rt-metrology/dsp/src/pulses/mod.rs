//! Pulses: the light of the meter, S0 in step with it, and the outputs of the module area (DIN 43864, IEC 62053-31).
//!
//! **Pulses follow the legal counters.** Pulse number *n* of an output belongs to the moment at which its counter passes
//! *n* times the energy of a pulse, counted from the counter's zero. So pulses times energy is the counter, but for
//! the pulse that is not complete and for those on their way; the remainder needs no memory of its own, for it is the
//! counter's. Only the number of pulses begun is kept, and after a reset what counter and number differ by is still owed.
//! The calculation method, the registration threshold and changes of direction are the counters'.
//!
//! **Nothing is taken back.** A counter moves at the end of a window; its pulses come [`DELAY_MS`] after the instants at
//! which the window's mean power earned them, which is after the counter moved, and before the next window is over
//! nobody needs to know more. The delay is always the same, so the distance of two pulses is that of their instants.
//!
//! **Sub-sample timing.** The instant lies on the line between begin and end of the window, both at fractions of a sample
//! ([`Line`]), and goes to the board as sample and fraction, [`LEAD_MS`] ahead: a timer's compare unit fires it.
//! Ripple at twice the frequency is not in it, since windows hold whole cycles.
//!
//! **Overload.** Configurations that cannot carry the largest current are refused
//! ([`PulseConfig::check`](metrology_link::payload::PulseConfig::check)). Above that current pulses wait, up to
//! [`OWED_LIMIT`], and are given at the highest rate the widths allow; more are dropped and counted. Falling behind,
//! dropping and catching up are told ([`Overload`]).
//!
//! The light follows A+ and, in verification, the active or reactive energy of whatever quadrant; S0 gives the light's
//! pulses divided by the ratio of both constants. At rest (a second without energy and nothing owed) the light is lit or
//! dark by configuration.
//!
//! Work: one comparison per sample; per window some twenty wide multiplications and three divisions per output.

mod generator;
mod line;

pub use generator::OWED_LIMIT;
pub use line::Line;
pub(crate) use line::edges;

use crate::design::POSITION_BITS;
use crate::energy::Cumulative;
use generator::{Generator, Tuning};
use line::{Slope, Totals};
use metrology_link::payload::{
    LED_PERIOD_MS, LED_WIDTH_MS, LedMode, MODULE_OUTPUTS, MeterConfig, ModuleEnergy, ModuleOutput,
};

/// Pulses come so long after their instants, ms: the longest window (14 periods of 42.5 Hz, 329 ms), [`LEAD_MS`] and the
/// work between. The delay of the front end, 10 samples, comes on top.
pub const DELAY_MS: u32 = 350;
/// Pulses are handed to the board so long before they begin, ms: what its queue of samples may hold. Less than the
/// shortest pause, so that a board never has two pulses of one output.
pub const LEAD_MS: u32 = 10;
/// Windows without energy after which the light is at rest: one second.
const REST_WINDOWS: u32 = 5;

const _: () = assert!(LEAD_MS <= (LED_PERIOD_MS - LED_WIDTH_MS) as u32);

/// Outputs that count by themselves: the light, and those of the module area.
pub const COUNTING: usize = 1 + MODULE_OUTPUTS;

/// A pulse output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Output {
    /// The light on the front.
    Led = 0,
    /// S0.
    S0 = 1,
    /// First output of the module area.
    Module1 = 2,
    /// Second output of the module area.
    Module2 = 3,
}

/// All outputs, in the order of their numbers.
pub const OUTPUTS: [Output; 2 + MODULE_OUTPUTS] = [Output::Led, Output::S0, Output::Module1, Output::Module2];

/// A point on the sample clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant {
    /// Number of the sample before it (or at it).
    pub sample: u64,
    /// How far after it, Q24 of a sample.
    pub fraction: u32,
}

impl Instant {
    /// `offset` (Q24 samples) from `sample`.
    fn new(sample: u64, offset: i64) -> Instant {
        Instant {
            sample: sample.saturating_add_signed(offset >> POSITION_BITS),
            fraction: (offset & ((1 << POSITION_BITS) - 1)) as u32,
        }
    }
}

/// A pulse to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pulse {
    /// Where.
    pub output: Output,
    /// When it begins.
    pub begin: Instant,
    /// How long it lasts, ms.
    pub width_ms: u8,
}

/// What must survive a reset, for each output that counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Number of the last pulse that began.
    pub begun: i64,
    /// Counters it told, a bit each: A+, A−, R1 to R4.
    pub source: u8,
    /// Pulses per kWh.
    pub per_kwh: u32,
}

/// An output cannot follow (or has caught up, when nothing is dropped any more and what is owed has its instant).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overload {
    /// Pulses that wait.
    pub owed: u64,
    /// Pulses that were dropped since it fell behind.
    pub dropped: u64,
}

/// All pulse outputs of a meter.
#[derive(Clone, Debug)]
pub struct Pulses {
    generators: [Generator; COUNTING],
    /// Pulses of the light for one of S0; 0 = no S0.
    s0_divider: i64,
    mode: LedMode,
    delay: u64,
    lead: u64,
    scale: u64,
    totals: Totals,
    due: u64,
    rests_lit: bool,
    quiet_windows: u32,
}

impl Pulses {
    /// Goes on at sample clock `t` from the counters and what was kept with them; nobody knows how long ago the last pulse
    /// was, so the first one keeps its distance from now. `config` has been checked.
    pub fn start(config: &MeterConfig, t: u64, cumulative: &Cumulative, kept: Option<&[Kept; COUNTING]>) -> Pulses {
        let totals = Totals::new(cumulative);
        let tunings = tunings(config, LedMode::Import);
        let generators = core::array::from_fn(|k| {
            Generator::start(tunings[k], t, &totals, kept.and_then(|kept| kept.get(k)).filter(|kept| kept.per_kwh != 0))
        });
        let mut pulses = Pulses {
            generators,
            s0_divider: 0,
            mode: LedMode::Import,
            delay: 0,
            lead: 0,
            scale: 0,
            totals,
            due: 0,
            rests_lit: false,
            quiet_windows: 0,
        };
        pulses.configure(config, cumulative);
        pulses
    }

    /// Another configuration, between two windows.
    pub fn configure(&mut self, config: &MeterConfig, cumulative: &Cumulative) {
        let samples = |ms: u32| u64::from(config.rate_hz) * u64::from(ms) / 1000;
        (self.delay, self.lead) = (samples(DELAY_MS), samples(LEAD_MS));
        self.scale = crate::energy::scale(config);
        self.s0_divider = config.pulses.led_per_kwh.checked_div(config.pulses.s0_per_kwh).map_or(0, i64::from);
        self.rests_lit = config.pulses.led_rests_lit;
        self.tune(config, cumulative);
    }

    /// What the light and S0 follow from now on, between two windows.
    pub fn set_mode(&mut self, mode: LedMode, config: &MeterConfig, cumulative: &Cumulative) {
        self.mode = mode;
        self.tune(config, cumulative);
    }

    fn tune(&mut self, config: &MeterConfig, cumulative: &Cumulative) {
        self.totals = Totals::new(cumulative);
        for (generator, tuning) in self.generators.iter_mut().zip(tunings(config, self.mode)) {
            generator.retune(tuning, &self.totals);
        }
        self.schedule();
    }

    /// What the light follows.
    pub fn mode(&self) -> LedMode {
        self.mode
    }

    /// What must be stored when [`Pulses::step`] says so, and after each change of configuration or mode.
    pub fn kept(&self) -> [Kept; COUNTING] {
        self.generators.each_ref().map(Generator::kept)
    }

    /// Pulses earned and not begun, per output that counts.
    pub fn owed(&self) -> [i64; COUNTING] {
        self.generators.each_ref().map(Generator::owed)
    }

    /// A window has closed; `cumulative` has it.
    pub fn window(&mut self, line: &Line, cumulative: &Cumulative) {
        let totals = Totals::new(cumulative);
        let slope = Slope::new(line, &self.totals, &totals, self.scale);
        let mut energy = [false; COUNTING];
        for (generator, energy) in self.generators.iter_mut().zip(&mut energy) {
            *energy = generator.window(line, &slope, &totals, self.delay);
        }
        self.quiet_windows = if energy[0] { 0 } else { self.quiet_windows.saturating_add(1) };
        self.totals = totals;
        self.schedule();
    }

    /// News of outputs that cannot follow. To be asked after each window; changes what is kept when it dropped pulses.
    pub fn overload(&mut self, mut tell: impl FnMut(Output, Overload)) {
        let counting = [Output::Led, Output::Module1, Output::Module2];
        for (generator, output) in self.generators.iter_mut().zip(counting) {
            if let Some(overload) = generator.overload() {
                tell(output, overload);
            }
        }
        self.schedule();
    }

    /// The light is lit because there is no consumption.
    pub fn rests_lit(&self) -> bool {
        self.rests_lit && self.quiet_windows >= REST_WINDOWS && self.generators[0].owed() <= 0
    }

    /// Sample clock at which [`Pulses::step`] has something to do.
    #[inline]
    pub fn due(&self) -> u64 {
        self.due
    }

    /// At sample clock `t`: hands out the pulses whose time it is. True when pulses have begun, which must be stored.
    pub fn step(&mut self, t: u64, mut give: impl FnMut(Pulse)) -> bool {
        let mut changed = false;
        for (k, generator) in self.generators.iter_mut().enumerate() {
            let (begun, armed) = generator.step(t, self.lead);
            changed |= begun;
            let Some(begin) = armed else { continue };
            let output = [Output::Led, Output::Module1, Output::Module2][k];
            give(Pulse { output, begin, width_ms: generator.tuning.width_ms });
            let s0 = k == 0 && generator.index().checked_rem_euclid(self.s0_divider) == Some(0);
            if s0 {
                give(Pulse { output: Output::S0, begin, width_ms: generator.tuning.width_ms });
            }
        }
        self.schedule();
        changed
    }

    fn schedule(&mut self) {
        self.due = self.generators.iter().map(|g| g.due(self.lead)).min().unwrap_or(u64::MAX);
    }
}

/// A+ alone, both directions, and so on: bits in the order A+, A−, R1 to R4.
fn tunings(config: &MeterConfig, mode: LedMode) -> [Tuning; COUNTING] {
    let samples = |ms: u32| u64::from(config.rate_hz) * u64::from(ms) / 1000;
    let led = Tuning {
        source: match mode {
            LedMode::Import => 0b00_0001,
            LedMode::Active => 0b00_0011,
            LedMode::Reactive => 0b11_1100,
        },
        per_kwh: config.pulses.led_per_kwh,
        width_ms: LED_WIDTH_MS,
        period: samples(u32::from(LED_PERIOD_MS)),
    };
    let module = |output: &ModuleOutput| Tuning {
        source: match output.energy {
            ModuleEnergy::Off => 0,
            ModuleEnergy::Import => 0b00_0001,
            ModuleEnergy::Export => 0b00_0010,
            ModuleEnergy::Reactive => 0b00_1100,
        },
        per_kwh: u32::from(output.per_kwh),
        width_ms: output.width_ms,
        period: samples(output.period_ms()),
    };
    let [first, second] = &config.pulses.module;
    [led, module(first), module(second)]
}
