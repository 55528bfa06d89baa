//! Samples that cannot be right are marked, and good ones are not.

mod common;

use common::{Brute, SCALE, Signal, Wave, config, meter, run, sub_quanta};
use metrology_dsp::{CHANNELS, MeterConfig, Metrology};
use metrology_link::payload::{Method, Suspect, Topology};

/// A converter's own noise of one count, so that no channel is still: a linear congruence with a fixed seed.
struct Noise(u32);

impl Noise {
    fn on(&mut self, mut counts: [i32; CHANNELS]) -> [i32; CHANNELS] {
        for count in &mut counts {
            self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *count += (self.0 >> 30) as i32 - 1;
        }
        counts
    }
}

/// Runs `seconds` with noise, then `change` on every count; gives the bits of all windows that ended.
fn marks(m: &mut Metrology, signal: &mut Signal, seconds: f64, change: impl Fn(u32, &mut [i32; CHANNELS])) -> Vec<u32> {
    let mut noise = Noise(7);
    let mut out = Vec::new();
    for n in 0..(seconds * f64::from(signal.rate)) as u32 {
        let mut counts = noise.on(signal.counts());
        change(n, &mut counts);
        if m.push(&counts).is_some() {
            out.push(m.window().suspect.0);
        }
    }
    out
}

fn fresh() -> (Metrology, Signal) {
    let mut signal = Signal::balanced(8000, 50.0, 5.0, 10.0);
    signal.waves[6] = Wave::sine(0.5, 0.0);
    (meter(&config(8000)), signal)
}

#[test]
fn good_samples_of_every_kind_are_not_marked() {
    let kinds: [fn(&mut Signal); 8] = [
        |_| {},
        // No load, and a load of one phase only.
        |s| s.waves[3..].iter_mut().for_each(|w| *w = Wave::default()),
        |s| s.waves[4..6].iter_mut().for_each(|w| *w = Wave::default()),
        // Export, inductive at PF 0.25, half-wave with a direct component.
        |s| (3..6).for_each(|k| s.waves[k].partials[0].2 += 180.0),
        |s| (3..6).for_each(|k| s.waves[k].partials[0].2 -= 65.5),
        |s| s.waves[3] = Wave::sine(5.0, 0.0).with(2.0, 2.0, 0.0).with_direct(3.0),
        // A phase is dark: its channels still have their noise.
        |s| (s.waves[1], s.waves[4]) = (Wave::default(), Wave::default()),
        // One phase exports.
        |s| s.waves[5].partials[0].2 += 180.0,
    ];
    for (number, kind) in kinds.into_iter().enumerate() {
        let (mut m, mut signal) = fresh();
        kind(&mut signal);
        let marks = marks(&mut m, &mut signal, 3.0, |_, _| {});
        assert!(marks.len() > 12 && marks.iter().all(|&mark| mark == 0), "{number}: {marks:x?}");
        assert_eq!((m.second().suspect, m.cumulative().suspect_windows), (Suspect(0), 0));
    }
}

#[test]
fn a_stuck_channel_is_marked_from_its_first_whole_window() {
    for channel in 0..CHANNELS {
        let (mut m, mut signal) = fresh();
        run(&mut m, &mut signal, 2.0);
        let marks = marks(&mut m, &mut signal, 1.0, |_, counts| counts[channel] = -777);
        // A stuck reference voltage takes the frequency away, and another one is followed: windows differ in length.
        assert!(
            marks[1..].iter().all(|&mark| mark & (0x7f * Suspect::STUCK) == Suspect::STUCK << channel),
            "{marks:x?}"
        );
        assert!(m.cumulative().suspect_windows >= marks.len() as u32 - 1);
        assert!(m.second().suspect.channel(Suspect::STUCK, channel));
    }
}

#[test]
fn a_channel_that_gives_nothing_but_zero_is_missing() {
    for channel in 0..CHANNELS {
        let (mut m, mut signal) = fresh();
        let marks = marks(&mut m, &mut signal, 3.0, |_, counts| counts[channel] = 0);
        let still = (0x7f * Suspect::STUCK) | (0x7f * Suspect::MISSING);
        assert!(marks[1..].iter().all(|&mark| mark & still == Suspect::MISSING << channel), "{marks:x?}");
    }
    // With an offset in the calibration it is still the code zero that is missing.
    let mut calibration = metrology_dsp::Calibration::default();
    (calibration.channel[4].offset, calibration.channel[4].gain_q30) = (-300, (1 << 30) + 99_999);
    let (_, mut signal) = fresh();
    let mut m = Metrology::new(&config(8000), &calibration).expect("possible");
    let marks = marks(&mut m, &mut signal, 2.0, |_, counts| counts[4] = 0);
    assert_eq!(marks[3] & (0x7f * Suspect::MISSING), Suspect::MISSING << 4, "{marks:x?}");
    // A channel that is not configured is absent, and not missing.
    let mut m = meter(&MeterConfig { channels: 0x3f, ..config(8000) });
    let (_, mut signal) = fresh();
    assert!(self::marks(&mut m, &mut signal, 2.0, |_, counts| counts[6] = 0).iter().all(|&mark| mark == 0));
}

#[test]
fn a_meter_without_any_signal_accuses_no_channel() {
    let mut m = meter(&config(8000));
    let mut nothing = Signal::new(8000, 50.0);
    run(&mut m, &mut nothing, 3.0);
    assert_eq!(m.second().suspect, Suspect(0));
}

#[test]
fn clipping_names_its_channel() {
    for channel in [1, 4, 6] {
        let (mut m, mut signal) = fresh();
        run(&mut m, &mut signal, 1.0);
        // One sample at the end of the converter's range is enough.
        let marks = marks(&mut m, &mut signal, 1.0, |n, counts| {
            if n == 3000 {
                counts[channel] = 8_388_607;
            }
        });
        let clipped: Vec<u32> = marks.iter().map(|mark| mark & (0x7f * Suspect::CLIPPED)).collect();
        assert_eq!(clipped.iter().filter(|&&mark| mark != 0).count(), 1, "{clipped:x?}");
        assert!(clipped.contains(&(Suspect::CLIPPED << channel)), "{clipped:x?}");
        assert_eq!((m.cumulative().clipped_windows, m.cumulative().suspect_windows), (1, 1));
    }
}

#[test]
fn exchanged_currents_are_marked_and_nothing_is_changed() {
    let orders = [([1, 0, 2], true), ([0, 2, 1], true), ([1, 2, 0], true), ([2, 0, 1], true), ([0, 1, 2], false)];
    for (order, swapped) in orders {
        let (mut m, mut signal) = fresh();
        let currents: Vec<Wave> = order.iter().map(|&k: &usize| signal.waves[3 + k].clone()).collect();
        signal.waves[3..6].clone_from_slice(&currents);
        run(&mut m, &mut signal, 2.5);
        assert_eq!(m.second().suspect.has(Suspect::SWAPPED), swapped, "{order:?}");
        assert!(!m.second().suspect.has(Suspect::REVERSED));
        let p = signal.p(0) + signal.p(1) + signal.p(2);
        assert!((m.second().p_mw as f64 / 1e3 - p).abs() < 0.05, "what is measured is what is connected");
    }
    // Two elements.
    let two = MeterConfig { topology: Topology::Aron, method: Method::Vector, ..config(8000) };
    for swapped in [false, true] {
        let mut m = meter(&two);
        let mut signal = Signal::new(8000, 50.0);
        (signal.waves[0], signal.waves[2]) = (Wave::sine(230.0, 30.0), Wave::sine(230.0, 90.0));
        let (i1, i3) = (Wave::sine(5.0, -10.0), Wave::sine(5.0, 110.0));
        (signal.waves[3], signal.waves[5]) = if swapped { (i3, i1) } else { (i1, i3) };
        run(&mut m, &mut signal, 2.5);
        assert_eq!(m.second().suspect.has(Suspect::SWAPPED), swapped);
        assert!(!swapped || m.second().p_mw.abs() < 20_000, "two exchanged elements cancel");
    }
}

#[test]
fn a_reversed_rotation_is_marked_and_counts_correctly() {
    let (mut m, mut signal) = fresh();
    for k in [1, 2] {
        for channel in [k, k + 3] {
            signal.waves[channel].partials[0].2 += 240.0 * if k == 1 { 1.0 } else { -1.0 };
        }
    }
    let marks = marks(&mut m, &mut signal, 3.0, |_, _| {});
    assert!(marks[1..].iter().all(|&mark| mark == Suspect::REVERSED), "{marks:x?}");
    assert_eq!(m.cumulative().suspect_windows, 0, "it is a wiring that counts correctly");
    for k in 0..3 {
        assert!((f64::from(m.second().phase[k].p_mw) / 1e3 - signal.p(k)).abs() < 0.05);
    }
    assert_eq!(m.second().u2_ppm / 100, 0, "and balanced, in its own rotation");
}

#[test]
fn lost_samples_pass_time_and_invent_no_energy() {
    for n in [1_u32, 37, 160, 8000, 40_000] {
        let mut signal = Signal::balanced(8000, 50.0, 5.0, 10.0);
        signal.waves[6] = Wave::sine(0.5, 0.0);
        // Everything registers, so that the counters are the sum of all products.
        let mut m = meter(&MeterConfig { start_mw: 0, ..config(8000) });
        let mut exact = Brute::default();
        let mut step = |m: &mut Metrology, signal: &mut Signal| {
            let counts = signal.counts();
            exact.push(&counts);
            m.push(&counts).map(|end| (end, m.window().suspect.has(Suspect::LOST)))
        };
        for _ in 0..16_240 {
            step(&mut m, &mut signal);
        }
        let (t, windows, marked) = (m.t_samples(), m.cumulative().windows, m.cumulative().suspect_windows);
        m.lost(n);
        assert_eq!((m.t_samples(), m.cumulative().windows), (t + u64::from(n), windows), "no window ends by it");
        // The grid went on meanwhile.
        signal.x += std::f64::consts::TAU * 50.0 * f64::from(n) / 8000.0;
        let ends: Vec<_> = (0..16_000).filter_map(|_| step(&mut m, &mut signal)).collect();
        assert_eq!(ends.iter().map(|e| e.1).collect::<Vec<_>>()[..3], [true, false, false], "the open window alone");
        assert_eq!(ends[0].0.f_uhz, None, "it lies between no crossings");
        assert!(ends[3].0.f_uhz.is_some_and(|f| f.abs_diff(50_000_000) < 1000), "{n}: {ends:?}");
        assert_eq!((m.cumulative().lost_samples, m.cumulative().suspect_windows), (u64::from(n), marked + 1));
        m.finish();
        let c = m.cumulative();
        for k in 0..3 {
            let net = sub_quanta(&c.counters.phase[k], &c.phase_remainders[k]);
            assert_eq!(net[0] as i128 - net[1] as i128, exact.sums[k] * SCALE, "{n}: every sample once, and no other");
        }
    }
    let mut m = meter(&config(8000));
    m.lost(0);
    assert_eq!(m.cumulative().lost_samples, 0);
}
