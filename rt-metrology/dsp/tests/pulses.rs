//! Pulses against an analytic truth and against the counters they tell.

mod common;

use common::{Signal, meter};
use metrology_dsp::pulses::{COUNTING, DELAY_MS, Instant, Kept, OUTPUTS, Output, Overload, Pulse, Pulses};
use metrology_dsp::{Cumulative, MeterConfig, Metrology};
use metrology_link::payload::{
    EnergySet, Impossible, LED_WIDTH_MS, LedMode, Method, ModuleEnergy, ModuleOutput, PulseConfig, Topology,
};

const MJ_PER_KWH: u128 = 3_600_000_000;

/// Engine and pulses, and the pulses they gave.
struct Rig {
    config: MeterConfig,
    meter: Metrology,
    pulses: Pulses,
    given: Vec<Pulse>,
    /// What a memory would hold.
    kept: [Kept; COUNTING],
    stored: Cumulative,
    overloads: Vec<(Output, Overload)>,
    rests: Vec<bool>,
}

impl Rig {
    fn new(config: MeterConfig) -> Rig {
        config.check().expect("possible");
        let meter = meter(&config);
        let pulses = Pulses::start(&config, 0, meter.cumulative(), None);
        let kept = pulses.kept();
        let stored = *meter.cumulative();
        Rig { config, meter, pulses, given: Vec::new(), kept, stored, overloads: Vec::new(), rests: Vec::new() }
    }

    fn sample(&mut self, counts: &[i32; 7]) {
        if self.meter.push(counts).is_some() {
            self.pulses.window(self.meter.line(), self.meter.cumulative());
            let overloads = &mut self.overloads;
            self.pulses.overload(|output, overload| overloads.push((output, overload)));
            self.stored = *self.meter.cumulative();
            self.rests.push(self.pulses.rests_lit());
        }
        let t = self.meter.t_samples();
        if t >= self.pulses.due() {
            let given = &mut self.given;
            let before = given.len();
            if self.pulses.step(t, |pulse| given.push(pulse)) {
                self.kept = self.pulses.kept();
            }
            for pulse in &self.given[before..] {
                assert!(pulse.begin.sample > t, "a pulse lies ahead: {pulse:?} at {t}");
            }
        }
    }

    fn run(&mut self, signal: &mut Signal, seconds: f64) {
        for _ in 0..(seconds * f64::from(self.config.rate_hz)) as u64 {
            self.sample(&signal.counts());
        }
    }

    /// Stops at once and starts again from what was stored, with the clock `lost` samples later.
    fn reset(&mut self, lost: u64) {
        let t = self.meter.t_samples();
        // An armed pulse that has not begun does not come: the timer stops with the processor.
        self.given.retain(|pulse| pulse.begin.sample < t);
        self.meter = meter(&self.config);
        self.meter.restore(&self.stored);
        self.meter.set_clock(t + lost);
        self.pulses = Pulses::start(&self.config, t + lost, &self.stored, Some(&self.kept));
        self.kept = self.pulses.kept();
    }

    fn of(&self, output: Output) -> Vec<Pulse> {
        self.given.iter().filter(|p| p.output == output).copied().collect()
    }

    fn count(&self, output: Output) -> u128 {
        self.given.iter().filter(|p| p.output == output).count() as u128
    }

    fn total(&self) -> EnergySet {
        self.meter.cumulative().counters.total
    }

    /// The largest part of the samples in which pulses of an output can lie too near to each other.
    fn shortest_ms(&self, output: Output) -> f64 {
        let begins: Vec<f64> = self.of(output).iter().map(|p| seconds(p.begin, &self.config)).collect();
        begins.windows(2).map(|w| (w[1] - w[0]) * 1e3).fold(f64::INFINITY, f64::min)
    }
}

fn seconds(at: Instant, config: &MeterConfig) -> f64 {
    (at.sample as f64 + f64::from(at.fraction) / f64::from(1 << 24)) / f64::from(config.rate_hz)
}

fn config(rate_hz: u32, pulses: PulseConfig) -> MeterConfig {
    MeterConfig { rate_hz, pulses, ..MeterConfig::default() }
}

fn module(energy: ModuleEnergy, per_kwh: u16, width_ms: u8) -> ModuleOutput {
    ModuleOutput { energy, per_kwh, width_ms }
}

/// One phase with `i` amperes lagging by `degrees`.
fn single(rate: u32, f: f64, i: f64, degrees: f64) -> Signal {
    let mut signal = Signal::balanced(rate, f, 0.0, 0.0);
    signal.waves[3] = common::Wave::sine(i, -degrees);
    signal
}

/// RMS and largest distance of pulses from the ideal ones (a straight line of the true energy), µs, and the delay, ms.
fn jitter(rig: &Rig, output: Output, watts: f64, per_kwh: f64) -> (f64, f64, f64) {
    let pulses = rig.of(output);
    // The first second's windows are not aligned to the frequency yet.
    let skip = pulses.iter().take_while(|p| seconds(p.begin, &rig.config) < 2.0).count();
    let distance = 3.6e6 / per_kwh / watts;
    let offsets: Vec<f64> = pulses
        .iter()
        .enumerate()
        .skip(skip)
        .map(|(n, p)| seconds(p.begin, &rig.config) - n as f64 * distance)
        .collect();
    assert!(offsets.len() > 40, "{} pulses", offsets.len());
    let mean = offsets.iter().sum::<f64>() / offsets.len() as f64;
    let rms = (offsets.iter().map(|o| (o - mean).powi(2)).sum::<f64>() / offsets.len() as f64).sqrt();
    let most = offsets.iter().map(|o| (o - mean).abs()).fold(0.0, f64::max);
    // Pulse 0 is the first: its energy is one pulse.
    (rms * 1e6, most * 1e6, (mean - distance) * 1e3)
}

// covers: SGF-019 MET-047
#[test]
fn jitter_is_below_a_microsecond() {
    println!("| rate | f Hz | load | pulses | rms µs | max µs | delay ms |");
    let loads = [
        ("100 A one phase PF 1", 100.0, 0.0, false),
        ("100 A one phase PF 0.5", 100.0, 60.0, false),
        ("60 A one phase, 3rd 20 %", 60.0, 10.0, true),
    ];
    for (rate, f) in [(8000, 50.0), (8000, 49.93), (8000, 47.5), (8000, 52.43), (16_000, 50.17), (32_000, 50.02)] {
        for (name, amperes, degrees, distorted) in loads {
            let mut rig = Rig::new(config(rate, PulseConfig::default()));
            let mut signal = single(rate, f, amperes, degrees);
            if distorted {
                signal.waves[3] = signal.waves[3].clone().with(3.0, amperes * 0.2, 40.0);
                signal.waves[0] = signal.waves[0].clone().with(3.0, 4.0, 70.0);
            }
            rig.run(&mut signal, 30.0);
            // By the meter's own gain, so that what is seen is time alone.
            let watts = signal.p(0) + signal.p(1) + signal.p(2);
            let (rms, most, delay) = jitter(&rig, Output::Led, watts, 1000.0);
            let pulses = rig.count(Output::Led);
            println!("| {rate} | {f} | {name} | {pulses} | {rms:.3} | {most:.3} | {delay:.3} |");
            assert!(rms < 1.0, "{name} at {f} Hz, {rate} S/s: {rms} µs");
            assert!(delay < f64::from(DELAY_MS) + 2.0, "{delay}");
        }
    }
}

/// The control: the same pulses timed by whole samples are far worse, so the test above can see what it looks for.
#[test]
fn whole_samples_would_be_seen_as_jitter() {
    let mut rig = Rig::new(config(8000, PulseConfig::default()));
    let mut signal = single(8000, 49.93, 100.0, 0.0);
    rig.run(&mut signal, 30.0);
    for pulse in &mut rig.given {
        pulse.begin.fraction = 0;
    }
    let (rms, ..) = jitter(&rig, Output::Led, signal.p(0), 1000.0);
    assert!(rms > 20.0, "{rms}");
}

#[test]
fn reactive_pulses_are_as_steady() {
    let mut rig = Rig::new(config(8000, PulseConfig::default()));
    rig.pulses.set_mode(LedMode::Reactive, &rig.config, &rig.stored);
    let mut signal = Signal::balanced(8000, 50.07, 60.0, 75.0);
    rig.run(&mut signal, 30.0);
    let (rms, most, _) = jitter(&rig, Output::Led, (0..3).map(|k| signal.q(k)).sum(), 1000.0);
    println!("reactive, 60 A three phases sin φ 0.97 at 50.07 Hz: {rms:.3} µs rms, {most:.3} µs max");
    assert!(rms < 1.0, "{rms}");
}

fn turned(signal: &mut Signal, amperes: f64, degrees: [f64; 3]) {
    for (k, degrees) in degrees.into_iter().enumerate() {
        signal.waves[k + 3] = common::Wave::sine(amperes, -120.0 * k as f64 - degrees);
    }
}

/// xorshift, so that a failure can be repeated.
fn random(state: &mut u64) -> f64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state >> 11) as f64 / (1_u64 << 53) as f64
}

fn worth(energy: u64, per_kwh: u32) -> u128 {
    u128::from(energy) * u128::from(per_kwh) / MJ_PER_KWH
}

// covers: MET-046 MET-047 SGF-017 SGF-019
#[test]
fn over_a_long_random_run_pulses_are_the_counters() {
    // Half an hour of loads, directions, pauses below the threshold and resets at any sample, at a constant ten times the
    // usual one so that there are many pulses.
    const SEED: u64 = 0x5EED_1234_5678_9ABC;
    for method in [Method::PerPhase, Method::Vector, Method::Magnitude] {
        let pulses = PulseConfig {
            led_per_kwh: 10_000,
            s0_per_kwh: 5_000,
            i_max_ma: 11_000,
            led_rests_lit: false,
            module: [module(ModuleEnergy::Export, 997, 30), module(ModuleEnergy::Reactive, 1000, 80)],
        };
        let mut rig = Rig::new(MeterConfig { method, ..config(8000, pulses) });
        let mut signal = Signal::balanced(8000, 50.03, 1.0, 0.0);
        let mut state = SEED;
        let mut resets = 0;
        while rig.meter.t_samples() < 8000 * 1800 {
            let amperes = if random(&mut state) < 0.15 { 0.002 } else { 10.0 * random(&mut state) };
            let degrees = core::array::from_fn(|_| 360.0 * random(&mut state));
            turned(&mut signal, amperes, degrees);
            rig.run(&mut signal, 0.3 + 9.0 * random(&mut state));
            if random(&mut state) < 0.3 {
                rig.reset((8000.0 * random(&mut state)) as u64);
                resets += 1;
            }
            // Never more than the counter, and never behind by more than what is on its way (a window and the delay).
            let total = rig.total();
            let most = 0.55 * 3.0 * 230.0 * 10.0 / 3.6e6;
            for (output, energy, per_kwh) in [
                (Output::Led, total.a_plus, 10_000),
                (Output::S0, total.a_plus, 5_000),
                (Output::Module1, total.a_minus, 997),
                (Output::Module2, total.r[0] + total.r[1], 1000),
            ] {
                let given = rig.count(output);
                let earned = worth(energy, per_kwh);
                let way = (most * f64::from(per_kwh)) as u128 + 2;
                assert!(given <= earned && earned - given <= way, "{method:?} {output:?}: {given} of {earned}");
            }
        }
        turned(&mut signal, 0.0, [0.0; 3]);
        rig.run(&mut signal, 3.0);
        let total = rig.total();
        assert_eq!(rig.count(Output::Led), worth(total.a_plus, 10_000), "{method:?}");
        assert_eq!(rig.count(Output::S0), worth(total.a_plus, 5_000), "{method:?}");
        assert_eq!(rig.count(Output::Module1), worth(total.a_minus, 997), "{method:?}");
        assert_eq!(rig.count(Output::Module2), worth(total.r[0] + total.r[1], 1000), "{method:?}");
        assert!(rig.overloads.is_empty());
        for (output, shortest) in
            [(Output::Led, 40.0), (Output::S0, 40.0), (Output::Module1, 60.0), (Output::Module2, 160.0)]
        {
            assert!(rig.shortest_ms(output) >= shortest - 1e-6, "{output:?} {}", rig.shortest_ms(output));
        }
        println!(
            "{method:?}, seed {SEED:#x}: {resets} resets, {} light, {} S0, {} A−, {} R+ pulses: exactly the counters",
            rig.count(Output::Led),
            rig.count(Output::S0),
            rig.count(Output::Module1),
            rig.count(Output::Module2)
        );
    }
}

// covers: MET-046 MET-047 SGF-019
#[test]
fn constants_and_widths_of_direct_meters_and_those_behind_transformers() {
    for (pulses, led, s0, amperes) in
        [(PulseConfig::default(), 1000, 1000, 40.0), (PulseConfig::transformers(), 10_000, 5_000, 4.0)]
    {
        assert_eq!((pulses.led_per_kwh, pulses.s0_per_kwh), (led, s0));
        let mut rig = Rig::new(config(8000, pulses));
        let mut signal = Signal::balanced(8000, 50.0, amperes, 0.0);
        rig.run(&mut signal, 60.0);
        turned(&mut signal, 0.0, [0.0; 3]);
        rig.run(&mut signal, 1.0);
        assert_eq!(rig.count(Output::Led), worth(rig.total().a_plus, led));
        assert_eq!(rig.count(Output::S0), worth(rig.total().a_plus, s0));
        assert!(rig.count(Output::S0) > 200);
        // In step: each S0 pulse is one of the light's, to the fraction of the sample.
        let begins: Vec<Instant> = rig.of(Output::Led).iter().map(|p| p.begin).collect();
        let every = (led / s0) as usize;
        let expected: Vec<Instant> = begins.iter().skip(every - 1).step_by(every).copied().collect();
        assert_eq!(rig.of(Output::S0).iter().map(|p| p.begin).collect::<Vec<_>>(), expected);
        assert!(rig.given.iter().all(|p| p.width_ms == LED_WIDTH_MS && p.width_ms == 30));
    }
    // A meter with auxiliary supply has no S0.
    let mut rig = Rig::new(config(8000, PulseConfig { s0_per_kwh: 0, ..PulseConfig::default() }));
    rig.run(&mut Signal::balanced(8000, 50.0, 60.0, 0.0), 5.0);
    assert!(rig.count(Output::Led) > 10 && rig.count(Output::S0) == 0);
}

// covers: SGF-017
#[test]
fn module_outputs_tell_their_energy_with_their_factor_and_width() {
    let of_one = |energy, per_kwh, width_ms, degrees: f64| {
        let pulses =
            PulseConfig { i_max_ma: 30_000, module: [module(energy, per_kwh, width_ms); 2], ..PulseConfig::default() };
        let mut rig = Rig::new(config(8000, pulses));
        rig.run(&mut Signal::balanced(8000, 50.0, 28.0, degrees), 20.0);
        assert!(rig.of(Output::Module1).iter().all(|p| p.width_ms == width_ms));
        assert_eq!(rig.count(Output::Module1), rig.count(Output::Module2));
        rig.count(Output::Module1)
    };
    // 19.3 kW for 20 s less the delay and the open window: 105 pulses at 1000.
    for width in [30, 80] {
        assert!((103..=106).contains(&of_one(ModuleEnergy::Import, 1000, width, 0.0)));
        assert!((103..=106).contains(&of_one(ModuleEnergy::Export, 1000, width, 180.0)));
        assert!((103..=106).contains(&of_one(ModuleEnergy::Reactive, 1000, width, 90.0)), "quadrant 1");
    }
    assert!((50..=53).contains(&of_one(ModuleEnergy::Import, 500, 30, 0.0)));
    assert_eq!(of_one(ModuleEnergy::Import, 1, 30, 0.0), 0, "a tenth of a kilowatt-hour is no pulse at 1 per kWh");
    assert_eq!(of_one(ModuleEnergy::Import, 1000, 30, 180.0), 0);
    assert_eq!(of_one(ModuleEnergy::Reactive, 1000, 30, -90.0), 0, "quadrant 4 is R−");
    assert_eq!(of_one(ModuleEnergy::Off, 1000, 30, 0.0), 0);
    assert_eq!((ModuleOutput::default().per_kwh, ModuleOutput::default().width_ms), (1, 30));
}

// covers: SGF-018
#[test]
fn configurations_that_cannot_carry_the_largest_current_are_refused() {
    let check = |per_kwh, width_ms, amperes: u32| {
        let module = [module(ModuleEnergy::Import, per_kwh, width_ms), ModuleOutput::default()];
        config(8000, PulseConfig { i_max_ma: amperes * 1000, module, ..PulseConfig::default() }).check()
    };
    // Largest load current by factor and width, A.
    for (per_kwh, width, amperes) in
        [(1, 30, 100), (10, 30, 100), (100, 30, 100), (1, 80, 100), (10, 80, 100), (100, 80, 100)]
    {
        assert_eq!(check(per_kwh, width, amperes), Ok(()), "{per_kwh} imp/kWh of {width} ms");
    }
    for (width, amperes) in [(30, 86), (80, 32)] {
        assert_eq!(check(1000, width, amperes), Ok(()), "{width} ms");
        assert_eq!(check(1000, width, amperes + 1), Err(Impossible::ModuleRate), "{width} ms");
        assert_eq!(check(1000, width, 100), Err(Impossible::ModuleRate));
    }
    // An output that is off carries nothing.
    let off = [module(ModuleEnergy::Off, 1000, 80); 2];
    assert_eq!(config(8000, PulseConfig { module: off, ..PulseConfig::default() }).check(), Ok(()));
    // One phase has a third of the pulses.
    let one = MeterConfig { topology: Topology::OnePhase, channels: 0x49, ..config(8000, PulseConfig::default()) };
    let on = [module(ModuleEnergy::Export, 1000, 80), ModuleOutput::default()];
    assert_eq!(
        MeterConfig { pulses: PulseConfig { i_max_ma: 97_000, module: on, ..one.pulses }, ..one }.check(),
        Ok(())
    );
    assert_eq!(
        MeterConfig { pulses: PulseConfig { module: on, ..one.pulses }, ..one }.check(),
        Err(Impossible::ModuleRate)
    );
    for (pulses, reason) in [
        (PulseConfig { led_per_kwh: 0, ..PulseConfig::default() }, Impossible::PulseConstant),
        (PulseConfig { s0_per_kwh: 300, ..PulseConfig::default() }, Impossible::PulseConstant),
        (PulseConfig { i_max_ma: 0, ..PulseConfig::default() }, Impossible::PulseCurrent),
        (PulseConfig { led_per_kwh: 2000, ..PulseConfig::default() }, Impossible::LedRate),
        (
            PulseConfig { module: [module(ModuleEnergy::Off, 0, 30); 2], ..PulseConfig::default() },
            Impossible::PulseFactor,
        ),
        (
            PulseConfig { module: [module(ModuleEnergy::Off, 1001, 30); 2], ..PulseConfig::default() },
            Impossible::PulseFactor,
        ),
        (
            PulseConfig { module: [module(ModuleEnergy::Off, 1, 50); 2], ..PulseConfig::default() },
            Impossible::PulseWidth,
        ),
    ] {
        assert_eq!(config(8000, pulses).check(), Err(reason), "{pulses:?}");
    }
}

// covers: SGF-018
#[test]
fn what_an_allowed_configuration_was_made_for_is_never_late() {
    // The largest current of each row that the rule lets pass, at nominal voltage: no pulse waits for the one before.
    for (per_kwh, width, amperes) in [(1000, 30, 86.0), (1000, 80, 32.0)] {
        let pulses = PulseConfig {
            i_max_ma: (amperes * 1000.0) as u32,
            module: [module(ModuleEnergy::Import, per_kwh, width); 2],
            ..PulseConfig::default()
        };
        let mut rig = Rig::new(config(8000, pulses));
        rig.run(&mut Signal::balanced(8000, 50.0, amperes, 0.0), 60.0);
        let (rms, ..) = jitter(&rig, Output::Module1, 690.0 * amperes, f64::from(per_kwh));
        assert!(rms < 1.0 && rig.overloads.is_empty(), "{rms} µs");
    }
}

// covers: SGF-018
#[test]
fn at_overload_pulses_wait_and_are_told_and_none_is_lost() {
    let pulses = PulseConfig {
        i_max_ma: 32_000,
        module: [module(ModuleEnergy::Import, 1000, 80), ModuleOutput::default()],
        ..PulseConfig::default()
    };
    let mut rig = Rig::new(config(8000, pulses));
    let mut signal = Signal::balanced(8000, 50.0, 60.0, 0.0);
    rig.run(&mut signal, 60.0);
    // 41.4 kW earn 11.5 pulses a second of the 6.25 that fit.
    assert!((rig.shortest_ms(Output::Module1) - 160.0).abs() < 1e-6);
    let [(Output::Module1, told)] = rig.overloads[..] else { panic!("told once: {:?}", rig.overloads) };
    assert_eq!(told.dropped, 0);
    assert!((50..60).contains(&told.owed), "{told:?}");
    rig.reset(100);
    turned(&mut signal, 5.0, [0.0; 3]);
    rig.run(&mut signal, 120.0);
    let caught_up = rig.overloads.last().expect("told");
    assert!(caught_up.1.dropped == 0 && caught_up.1.owed < 5, "{caught_up:?}");
    turned(&mut signal, 0.0, [0.0; 3]);
    rig.run(&mut signal, 2.0);
    assert_eq!(rig.count(Output::Module1), worth(rig.total().a_plus, 1000));
    assert!(rig.shortest_ms(Output::Module1) > 160.0 - 1e-6);
    // The light was not overloaded, and kept its time.
    assert_eq!(rig.count(Output::Led), worth(rig.total().a_plus, 1000));
}

#[test]
fn without_end_the_overload_drops_pulses_and_counts_them() {
    let pulses = PulseConfig {
        i_max_ma: 32_000,
        module: [module(ModuleEnergy::Import, 1000, 80), ModuleOutput::default()],
        ..PulseConfig::default()
    };
    let config = config(8000, pulses);
    let mut counters = Cumulative::default();
    let mut outputs = Pulses::start(&config, 0, &counters, None);
    let (mut given, mut told, mut t) = (0_u64, Vec::new(), 0);
    // Windows of 10 s with 200 pulses each, straight from the counters; 62.5 fit.
    let mut window = |kwh_e3: u64, counters: &mut Cumulative, outputs: &mut Pulses, given: &mut u64| {
        counters.counters.total.a_plus += kwh_e3 * 3_600_000;
        let line = metrology_dsp::pulses::Line { t_samples: t, samples: 1600, ..Default::default() };
        outputs.window(&line, counters);
        outputs.overload(|output, news| told.push((output, news)));
        for _ in 0..80_000 {
            t += 1;
            if t >= outputs.due() {
                outputs.step(t, |p| *given += u64::from(p.output == Output::Module1));
            }
        }
        told.clone()
    };
    for _ in 0..100 {
        window(200, &mut counters, &mut outputs, &mut given);
    }
    for _ in 0..170 {
        window(0, &mut counters, &mut outputs, &mut given);
    }
    let told = window(0, &mut counters, &mut outputs, &mut given);
    let module: Vec<_> =
        told.into_iter().filter(|(output, _)| *output == Output::Module1).map(|(_, news)| news).collect();
    let [behind, dropping, done] = module[..] else { panic!("{module:?}") };
    assert_eq!(behind.dropped, 0);
    assert!(dropping.dropped > 0 && dropping.owed == 10_000);
    assert!(done.owed == 0 && done.dropped > 3000);
    assert_eq!(given + done.dropped, 100 * 200, "given and told as dropped: all of them");
}

// covers: MET-047
#[test]
fn in_verification_the_light_follows_the_quadrant() {
    let mut rig = Rig::new(config(8000, PulseConfig::default()));
    let mut count = |mode, degrees: f64| {
        rig.pulses.set_mode(mode, &rig.config, &rig.stored);
        rig.run(&mut Signal::balanced(8000, 50.0, 60.0, degrees), 2.0);
        let before = (rig.count(Output::Led), rig.count(Output::S0));
        rig.run(&mut Signal::balanced(8000, 50.0, 60.0, degrees), 10.0);
        let after = (rig.count(Output::Led), rig.count(Output::S0));
        assert_eq!(after.0 - before.0, after.1 - before.1, "S0 goes with the light");
        after.0 - before.0
    };
    // 41.4 kVA: 11.5 pulses a second; at 30 degrees 0.866 active, 0.5 reactive.
    for (degrees, active, reactive) in [(30.0, 99, 57), (150.0, 99, 57), (210.0, 99, 57), (330.0, 99, 57)] {
        let import = !(90.0..270.0).contains(&degrees);
        let near = |got: u128, wanted: u128| got.abs_diff(wanted) <= 1;
        assert!(near(count(LedMode::Active, degrees), active), "{degrees}");
        assert!(near(count(LedMode::Reactive, degrees), reactive), "{degrees}");
        assert!(near(count(LedMode::Import, degrees), if import { active } else { 0 }), "{degrees}");
    }
    // Back in normal operation the light tells A+ again, to the pulse: what it missed is not made up for.
    let (led, a_plus, owed) = (rig.count(Output::Led), rig.total().a_plus, rig.pulses.owed()[0] as u128);
    let mut signal = Signal::balanced(8000, 50.0, 60.0, 0.0);
    rig.run(&mut signal, 20.0);
    turned(&mut signal, 0.0, [0.0; 3]);
    rig.run(&mut signal, 2.0);
    let gained = worth(rig.total().a_plus, 1000) - worth(a_plus, 1000);
    // One of those owed may have been handed out already.
    assert!((rig.count(Output::Led) - led).abs_diff(gained + owed) <= 1);
    // A start begins in normal operation.
    rig.pulses.set_mode(LedMode::Reactive, &rig.config, &rig.stored);
    rig.kept = rig.pulses.kept();
    rig.reset(10);
    assert_eq!(rig.pulses.mode(), LedMode::Import);
    assert_eq!(rig.pulses.owed(), [0; COUNTING]);
}

// covers: MET-047
#[test]
fn without_consumption_the_light_is_lit_or_dark_as_configured() {
    for led_rests_lit in [true, false] {
        let mut rig = Rig::new(config(8000, PulseConfig { led_rests_lit, ..PulseConfig::default() }));
        let mut signal = Signal::balanced(8000, 50.0, 60.0, 0.0);
        rig.run(&mut signal, 3.0);
        assert!(rig.rests[6..].iter().all(|lit| !lit), "never while energy is counted");
        turned(&mut signal, 0.002, [0.0; 3]);
        rig.run(&mut signal, 3.0);
        assert_eq!(rig.rests.last(), Some(&led_rests_lit), "below the threshold");
        turned(&mut signal, 60.0, [0.0; 3]);
        rig.run(&mut signal, 0.5);
        assert_eq!(rig.rests.last(), Some(&false), "before the first pulse comes");
    }
}

#[test]
fn a_reset_at_any_moment_costs_no_pulse_and_doubles_none() {
    // A reset each 1.7 s, always at another phase of the pulses.
    let mut rig = Rig::new(config(8000, PulseConfig::default()));
    let mut signal = Signal::balanced(8000, 50.0, 80.0, 0.0);
    for n in 0..60_u32 {
        rig.run(&mut signal, 1.7 + f64::from(n) * 0.0013);
        rig.reset(u64::from(n) * 37);
    }
    turned(&mut signal, 0.0, [0.0; 3]);
    rig.run(&mut signal, 3.0);
    assert_eq!(rig.count(Output::Led), worth(rig.total().a_plus, 1000));
    // The control: a memory that forgets what was given is not equal to the counter.
    let begun = rig.kept[0].begun;
    let forgot = [Kept { begun: begun - 3, ..rig.kept[0] }, rig.kept[1], rig.kept[2]];
    assert_eq!(Pulses::start(&rig.config, 0, &rig.stored, Some(&forgot)).owed()[0], 3);
    // Ahead of the counters, as after a memory that fell back by a window: it waits. Another meter's memory: nothing.
    let ahead = [Kept { begun: begun + 3, ..rig.kept[0] }, rig.kept[1], rig.kept[2]];
    assert_eq!(Pulses::start(&rig.config, 0, &rig.stored, Some(&ahead)).owed()[0], -3);
    let other = [Kept { begun: begun + 5000, ..rig.kept[0] }, rig.kept[1], rig.kept[2]];
    assert_eq!(Pulses::start(&rig.config, 0, &rig.stored, Some(&other)).owed()[0], 0);
}

#[test]
fn what_is_owed_survives_a_change_of_constant() {
    let mut rig = Rig::new(config(8000, PulseConfig::default()));
    let mut signal = Signal::balanced(8000, 50.0, 80.0, 0.0);
    rig.run(&mut signal, 10.05);
    let owed = rig.pulses.owed()[0];
    assert!(owed > 3, "{owed}");
    let before = rig.count(Output::Led);
    rig.config.pulses.led_per_kwh = 500;
    rig.config.pulses.s0_per_kwh = 500;
    rig.pulses.configure(&rig.config, &rig.stored);
    assert_eq!(rig.pulses.owed()[0], owed);
    let a_plus = rig.stored.counters.total.a_plus;
    turned(&mut signal, 0.0, [0.0; 3]);
    rig.run(&mut signal, 2.0);
    let gained = worth(rig.total().a_plus, 500) - worth(a_plus, 500);
    let armed = 1;
    assert!((rig.count(Output::Led) - before).abs_diff(owed as u128 + gained) <= armed);
    assert_eq!(rig.pulses.owed()[0], 0);
}

#[test]
fn outputs_are_numbered_in_order() {
    for (number, output) in OUTPUTS.into_iter().enumerate() {
        assert_eq!(output as usize, number);
    }
}
