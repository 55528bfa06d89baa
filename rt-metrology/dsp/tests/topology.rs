//! Each topology with each method: counters against a brute-force calculation, to the last sub-quantum, and two elements
//! against what flows in three wires.

mod common;

use common::{Brute, SCALE, Signal, Wave, active, config, meter, ppm, run, sub_quanta};
use metrology_dsp::{MeterConfig, Metrology};
use metrology_link::payload::{Method, Topology, Valid};

/// What the total must hold of one window whose phases have these sums: import and export.
fn total(method: Method, phases: &[i128]) -> [i128; 2] {
    let sum: i128 = phases.iter().sum();
    match method {
        Method::PerPhase => {
            [phases.iter().filter(|p| **p > 0).sum::<i128>(), -phases.iter().filter(|p| **p < 0).sum::<i128>()]
        }
        Method::Vector => [sum.max(0), (-sum).max(0)],
        Method::Magnitude => [phases.iter().map(|p| p.abs()).sum(), 0],
    }
}

/// Runs 5 s of these powers (kW per phase), which turn over in the midst of the window that 2.77 s lie in, and compares
/// at every window. Gives the energies of the total in joules.
fn follow(topology: Topology, method: Method, kw: [f64; 3]) -> [f64; 2] {
    let mut m = meter(&MeterConfig { topology, method, ..config(8000) });
    let mut signal = Signal::balanced(8000, 50.03, 0.0, 0.0);
    let phases: &[usize] = match topology {
        Topology::OnePhase => &[0],
        Topology::Aron => &[0, 2],
        Topology::ThreePhase => &[0, 1, 2],
    };
    if topology == Topology::Aron {
        // U12 and U32, in phase with the currents of their elements.
        (signal.waves[0], signal.waves[2]) = (Wave::sine(400.0, 30.0), Wave::sine(400.0, 90.0));
    }
    let load = |signal: &mut Signal, sign: f64| {
        for (k, kw) in kw.iter().enumerate() {
            let (_, volts, angle) = signal.waves[k].partials[0];
            signal.waves[k + 3] = Wave::sine(sign * kw * 1000.0 / volts, angle);
        }
    };
    load(&mut signal, 1.0);
    let mut brute = Brute::default();
    let mut window = [0_i128; 3];
    let mut plus_minus = [[0_i128; 2]; 3];
    let mut expected = [0_i128; 2];
    for n in 0..40_000 {
        if n == 22_160 {
            load(&mut signal, -1.0);
        }
        let counts = signal.counts();
        let before = brute.sums;
        brute.push(&counts);
        if m.push(&counts).is_some() {
            let measured: Vec<i128> = phases.iter().map(|&k| before[k] - window[k]).collect();
            window = before;
            // What does not register (the first 10 samples of nothing are in a window that does) adds nothing.
            for (&k, sum) in phases.iter().zip(&measured) {
                plus_minus[k][usize::from(*sum < 0)] += sum.abs();
            }
            expected.iter_mut().zip(total(method, &measured)).for_each(|(e, t)| *e += t);
            let c = m.cumulative();
            let got = sub_quanta(&c.counters.total, &c.total_remainders);
            assert_eq!([got[0] as i128, got[1] as i128], expected.map(|e| e * SCALE), "{topology:?} {method:?} at {n}");
            for (k, sums) in plus_minus.iter().enumerate() {
                let got = sub_quanta(&c.counters.phase[k], &c.phase_remainders[k]);
                let expected = if phases.contains(&k) { *sums } else { [0; 2] };
                assert_eq!([got[0] as i128, got[1] as i128], expected.map(|e| e * SCALE), "L{} at {n}", k + 1);
            }
        }
    }
    let total = &m.cumulative().counters.total;
    [total.a_plus as f64 / 1e3, total.a_minus as f64 / 1e3]
}

// covers: MET-033 MET-034 MET-035
#[test]
fn three_phases_with_each_method_over_a_turn_inside_a_second() {
    // 2.77 s of +3, +2, −1 kW and 2.2 s of −3, −2, +1 kW: by the requirement 5/1, 4/0 and 6/0 kW, then mirrored.
    let cases = [
        (Method::PerPhase, [5.0 * 2.77 + 1.0 * 2.2, 1.0 * 2.77 + 5.0 * 2.2]),
        (Method::Vector, [4.0 * 2.77, 4.0 * 2.2]),
        (Method::Magnitude, [6.0 * 4.97, 0.0]),
    ];
    for (method, kilojoules) in cases {
        let got = follow(Topology::ThreePhase, method, [3.0, 2.0, -1.0]);
        for (got, expected) in got.iter().zip(kilojoules) {
            // The window of the turn counts by its net energy, and the last one is still open: 0.2 s of 6 kW each.
            assert!((got / 1e3 - expected).abs() < 2.4, "{method:?}: {got} J, about {expected} kJ");
        }
    }
}

#[test]
fn one_phase_with_each_method_over_a_turn_inside_a_second() {
    for method in [Method::PerPhase, Method::Vector, Method::Magnitude] {
        let [plus, minus] = follow(Topology::OnePhase, method, [3.0, 2.0, -1.0]);
        assert!(plus > 7_500.0 && (minus > 5_500.0) == (method != Method::Magnitude), "{method:?} {plus} {minus}");
    }
}

#[test]
fn two_elements_over_a_turn_inside_a_second() {
    // +3 and −1 kW in the elements are 2 kW.
    let [plus, minus] = follow(Topology::Aron, Method::Vector, [3.0, 9.0, -1.0]);
    assert!((plus / 5_540.0 - 1.0).abs() < 0.1 && (minus / 4_400.0 - 1.0).abs() < 0.1, "{plus} {minus}");
    for method in [Method::PerPhase, Method::Magnitude] {
        let config = MeterConfig { topology: Topology::Aron, method, ..config(8000) };
        assert!(Metrology::new(&config, &Default::default()).is_err(), "{method:?}");
    }
}

/// Three wires: phase voltages against any point, and currents that sum to nothing.
struct ThreeWires {
    u: [Wave; 3],
    i: [Wave; 3],
}

impl ThreeWires {
    /// True power of the three phases.
    fn power(&self) -> f64 {
        (0..3).map(|k| active(&self.u[k], &self.i[k])).sum()
    }

    /// What two elements see: U12 with I1, and U32 with I3.
    fn elements(&self, f: f64) -> Signal {
        let minus = |a: &Wave, b: &Wave| {
            let mut difference = a.clone();
            difference.partials.extend(b.partials.iter().map(|&(order, rms, degrees)| (order, -rms, degrees)));
            difference
        };
        let mut signal = Signal::new(8000, f);
        signal.waves[0] = minus(&self.u[0], &self.u[1]);
        signal.waves[2] = minus(&self.u[2], &self.u[1]);
        (signal.waves[3], signal.waves[5]) = (self.i[0].clone(), self.i[2].clone());
        signal
    }

    /// −(a + b): the current of the third wire.
    fn rest(a: &Wave, b: &Wave) -> Wave {
        let partials = a.partials.iter().chain(&b.partials).map(|&(order, rms, degrees)| (order, -rms, degrees));
        Wave { partials: partials.collect(), ..Wave::default() }
    }
}

// covers: MET-004
#[test]
fn two_elements_measure_three_wires_at_every_power_factor_and_load() {
    let angles = [0.0, -120.0, 120.0];
    let balanced = |degrees: f64| ThreeWires {
        u: angles.map(|a| Wave::sine(230.0, a)),
        i: angles.map(|a| Wave::sine(5.0, a - degrees)),
    };
    let unbalanced = |degrees: f64| {
        let (i1, i3) = (Wave::sine(7.0, -degrees), Wave::sine(2.0, 95.0 - degrees));
        let i2 = ThreeWires::rest(&i1, &i3);
        ThreeWires { u: [Wave::sine(215.0, 0.0), Wave::sine(240.0, -118.0), Wave::sine(228.0, 122.0)], i: [i1, i2, i3] }
    };
    let between_lines = {
        // One load from L1 to L3; with harmonics, which two elements measure as well.
        let i1 = Wave::sine(8.0, -20.0).with(5.0, 1.5, 40.0).with(7.0, 0.8, -70.0);
        let i3 = ThreeWires::rest(&i1, &Wave::default());
        let u = angles.map(|a| Wave::sine(230.0, a).with(5.0, 9.0, 5.0 * a).with(7.0, 4.0, 7.0 * a));
        ThreeWires { u, i: [i1, Wave::default(), i3] }
    };
    let cases = [
        // PF 1: both elements at cos 30°. PF 0.5: one of them at zero. PF 0.25: one of them negative.
        ("PF 1", balanced(0.0), [1, 1]),
        ("PF 0.5", balanced(60.0), [0, 1]),
        ("PF 0.25", balanced(75.522), [-1, 1]),
        ("PF 0.5 capacitive", balanced(-60.0), [1, 0]),
        ("PF −1", balanced(180.0), [-1, -1]),
        ("unbalanced", unbalanced(25.0), [1, 1]),
        ("unbalanced, inductive", unbalanced(80.0), [-1, 1]),
        ("between two lines", between_lines, [1, 1]),
    ];
    for (name, wires, signs) in cases {
        for f in [47.5, 50.03, 52.5] {
            let mut m = meter(&MeterConfig {
                topology: Topology::Aron,
                method: Method::Vector,
                u_nominal_mv: 400_000,
                u_full_scale_mv: 800_000,
                ..config(8000)
            });
            let mut signal = wires.elements(f);
            for wave in &mut signal.waves[..3] {
                // The generator's step is that of a full scale of 600 V.
                wave.partials.iter_mut().for_each(|p| p.1 *= 600.0 / 800.0);
            }
            let start = run(&mut m, &mut signal, 2.0).expect("windows").t_samples;
            let before = m.cumulative().counters.total;
            let end = run(&mut m, &mut signal, 8.0).expect("windows").t_samples;
            let after = m.cumulative().counters.total;
            let (p, second) = (wires.power(), m.second());
            let s = second.s_mva as f64 / 1e3;
            assert!(ppm(second.p_mw as f64 / 1e3, p, s).abs() < 5.0, "{name} {f}: {} of {p}", second.p_mw);
            let joules = (after.a_plus - before.a_plus) as f64 / 1e3 - (after.a_minus - before.a_minus) as f64 / 1e3;
            assert!(ppm(joules, p * (end - start) as f64 / 8000.0, s * 8.0).abs() < 20.0, "{name} {f}: {joules} J");
            let elements = [second.phase[0].p_mw, second.phase[2].p_mw].map(|p| f64::from(p) / 1e3 / s);
            for (share, sign) in elements.iter().zip(signs) {
                let seen = if share.abs() < 1e-5 { 0 } else { share.signum() as i32 };
                assert_eq!(seen, sign, "{name} {f}: {elements:?}");
            }
            assert!(second.valid.has(Valid::F) && !second.valid.phase(Valid::U, 1));
        }
    }
}
