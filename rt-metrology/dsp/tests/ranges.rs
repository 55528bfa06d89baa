//! Rated ranges, quadrants, thresholds: what a meter of each kind must measure, over all of its range.

mod common;

use common::{Signal, Wave, config, meter, ppm, run};
use metrology_dsp::{MeterConfig, Metrology, WindowEnd};
use metrology_link::payload::{Counters, Direction, EnergySet, Method, Second, Topology, Valid};

/// Full scale of a meter behind transformers, A peak.
const CT_FULL_SCALE: f64 = 12.0;

fn ct() -> MeterConfig {
    let full_scale = (CT_FULL_SCALE * 1e6) as u32;
    MeterConfig { i_full_scale_ua: full_scale, i_n_full_scale_ua: full_scale, start_mw: 600, ..config(8000) }
}

/// Settles for 2 s, then measures for `seconds`: the last second, and the energies with their time in seconds.
fn measure(m: &mut Metrology, signal: &mut Signal, seconds: f64) -> (Second, Counters, f64) {
    let end = |e: Option<WindowEnd>| e.expect("windows").t_samples;
    let begin = end(run(m, signal, 2.0));
    let before = m.cumulative().counters;
    let time = (end(run(m, signal, seconds)) - begin) as f64 / f64::from(signal.rate);
    let now = m.cumulative().counters;
    let grown = |a: &EnergySet, b: &EnergySet| EnergySet {
        a_plus: a.a_plus - b.a_plus,
        a_minus: a.a_minus - b.a_minus,
        r: std::array::from_fn(|k| a.r[k] - b.r[k]),
        e_plus: a.e_plus - b.e_plus,
        e_minus: a.e_minus - b.e_minus,
    };
    let phase = std::array::from_fn(|k| grown(&now.phase[k], &before.phase[k]));
    (*m.second(), Counters { phase, total: grown(&now.total, &before.total) }, time)
}

/// Energy in J against a power in W over a time, in ppm of `base` W over it.
fn energy_ppm(millijoules: u64, power: f64, time: f64, base: f64) -> f64 {
    ppm(millijoules as f64 / 1e3, power * time, base * time)
}

// covers: MET-001 MET-008 MET-018 MET-019 MET-022 PQ-024
#[test]
fn four_quadrants_of_power_and_energy_per_phase_and_in_total() {
    for (degrees, quadrant) in [(30.0_f64, 0), (150.0, 1), (-150.0, 2), (-30.0, 3)] {
        let mut signal = Signal::balanced(8000, 50.02, 5.0, degrees);
        let mut m = meter(&config(8000));
        let (second, energy, time) = measure(&mut m, &mut signal, 5.0);
        let (p, q, s) = (signal.p(0), signal.q(0), signal.s(0));
        for (k, phase) in second.phase.iter().enumerate() {
            assert!(ppm(f64::from(phase.p_mw) / 1e3, p, s).abs() < 5.0, "{degrees}: P of L{} {phase:?}", k + 1);
            assert!(ppm(f64::from(phase.q_mvar) / 1e3, q, s).abs() < 5.0, "{degrees}: Q {phase:?}");
            assert!(ppm(f64::from(phase.s_mva) / 1e3, s, s).abs() < 5.0, "{degrees}: S {phase:?}");
            assert!((f64::from(phase.pf_ppm) - 1e6 * p / s).abs() < 5.0, "{degrees}: PF {phase:?}");
            assert!((f64::from(phase.phi_mdeg) / 1e3 - degrees).abs() < 0.002, "{degrees}: {phase:?}");
        }
        assert!(ppm(second.p_mw as f64 / 1e3, 3.0 * p, s).abs() < 10.0);
        assert!(ppm(second.q_mvar as f64 / 1e3, 3.0 * q, s).abs() < 10.0);
        assert!(ppm(second.s_mva as f64 / 1e3, 3.0 * s, s).abs() < 10.0);
        assert!((f64::from(second.pf_ppm) - 1e6 * p / s).abs() < 5.0);
        let import = p > 0.0;
        let one = energy.phase.iter().map(|set| (set, 1.0));
        for (set, phases) in one.chain([(&energy.total, 3.0)]) {
            let (p, q, s) = (p.abs() * phases, q.abs() * phases, s * phases);
            let (a, no_a) = if import { (set.a_plus, set.a_minus) } else { (set.a_minus, set.a_plus) };
            let (e, no_e) = if import { (set.e_plus, set.e_minus) } else { (set.e_minus, set.e_plus) };
            assert_eq!((no_a, no_e), (0, 0), "{degrees}");
            assert!(
                energy_ppm(a, p, time, s).abs() < 20.0 && energy_ppm(e, s, time, s).abs() < 20.0,
                "{degrees} {set:?}"
            );
            for (k, &r) in set.r.iter().enumerate() {
                let q = if k == quadrant { q } else { 0.0 };
                assert!(energy_ppm(r, q, time, s).abs() < 20.0, "{degrees}: R{} {set:?}", k + 1);
            }
        }
    }
}

// covers: MET-008
#[test]
fn totals_are_renewed_each_second_by_the_method() {
    for (method, kw) in [(Method::PerPhase, 4.0), (Method::Vector, 4.0), (Method::Magnitude, 6.0)] {
        let mut m = meter(&MeterConfig { method, ..config(8000) });
        let mut signal = Signal::balanced(8000, 50.0, 0.0, 0.0);
        for (k, kw) in [3.0, 2.0, -1.0].into_iter().enumerate() {
            signal.waves[k + 3] = Wave::sine(kw * 1000.0 / 230.0, -120.0 * k as f64);
        }
        let mut numbers = Vec::new();
        for _ in 0..8000 * 5 {
            if m.push(&signal.counts()).is_some_and(|end| end.second) {
                numbers.push((m.second().number, m.second().t_samples));
            }
        }
        assert!(numbers.windows(2).all(|n| n[1].0 == n[0].0 + 1 && (7990..=8010).contains(&(n[1].1 - n[0].1))));
        assert_eq!(numbers.len(), 5);
        assert!((m.second().p_mw as f64 / 1e6 - kw).abs() < 1e-4, "{method:?}");
    }
}

// covers: MET-002
#[test]
fn each_phase_stays_right_with_one_two_or_three_phases_live() {
    for live in 1_u32..8 {
        let has = |k: usize| live & (1 << k) != 0;
        let mut signal = Signal::balanced(8000, 50.0, 5.0, 20.0);
        for k in (0..3).filter(|&k| !has(k)) {
            (signal.waves[k], signal.waves[k + 3]) = (Wave::default(), Wave::default());
        }
        let mut m = meter(&config(8000));
        let (second, energy, time) = measure(&mut m, &mut signal, 4.0);
        assert!(second.valid.has(Valid::F), "{live:03b}");
        for k in 0..3 {
            let (phase, set) = (second.phase[k], energy.phase[k]);
            if has(k) {
                let (p, s) = (signal.p(k), signal.s(k));
                assert!(ppm(f64::from(phase.u_mv) / 1e3, 230.0, 230.0).abs() < 10.0, "{live:03b} {phase:?}");
                assert!(ppm(f64::from(phase.i_ua) / 1e6, 5.0, 5.0).abs() < 10.0, "{live:03b} {phase:?}");
                assert!(ppm(f64::from(phase.p_mw) / 1e3, p, s).abs() < 10.0, "{live:03b} {phase:?}");
                assert!(energy_ppm(set.a_plus, p, time, s).abs() < 20.0, "{live:03b} {set:?}");
            } else {
                assert_eq!((phase.u_mv, phase.i_ua, phase.p_mw, set), (0, 0, 0, EnergySet::default()), "{live:03b}");
            }
        }
    }
    // Two elements, one of them dark: the other one stays right.
    for dark in [0, 2] {
        let mut signal = Signal::new(8000, 50.0);
        (signal.waves[0], signal.waves[2]) = (Wave::sine(230.0, 30.0), Wave::sine(230.0, 90.0));
        (signal.waves[3], signal.waves[5]) = (Wave::sine(5.0, 0.0), Wave::sine(5.0, 120.0));
        (signal.waves[dark], signal.waves[dark + 3]) = (Wave::default(), Wave::default());
        let mut m = meter(&MeterConfig { topology: Topology::Aron, method: Method::Vector, ..config(8000) });
        let (second, energy, time) = measure(&mut m, &mut signal, 4.0);
        let k = 2 - dark;
        assert!(ppm(f64::from(second.phase[k].p_mw) / 1e3, signal.p(k), signal.s(k)).abs() < 10.0);
        assert!(energy_ppm(energy.total.a_plus, signal.p(k), time, signal.s(k)).abs() < 20.0);
    }
}

// covers: MET-003 MET-004 MET-020 MET-023
#[test]
fn rated_frequencies_and_voltages_at_any_displacement() {
    #[derive(Clone, Copy, Debug)]
    enum Grid {
        One,
        TwoOfFour,
        Four,
        Aron,
    }
    for (f_nominal, f) in [(50, 47.5), (50, 50.0), (50, 52.5), (60, 57.0), (60, 60.0), (60, 63.0)] {
        for grid in [Grid::One, Grid::TwoOfFour, Grid::Four, Grid::Aron] {
            // Every level with another angle: a Latin square instead of all pairs.
            for (level, degrees) in [(0.8, 90.0), (1.0, -137.0), (1.15, 33.0)] {
                let topology = match grid {
                    Grid::One => Topology::OnePhase,
                    Grid::Aron => Topology::Aron,
                    _ => Topology::ThreePhase,
                };
                let method = if topology == Topology::Aron { Method::Vector } else { Method::PerPhase };
                let mut m = meter(&MeterConfig { f_nominal, topology, method, ..config(8000) });
                let mut signal = Signal::balanced(8000, f, 5.0, degrees);
                let u = 230.0 * level;
                signal.waves[..3].iter_mut().for_each(|w| w.partials[0].1 = u);
                let live: &[usize] = match grid {
                    Grid::One => &[0],
                    Grid::TwoOfFour => &[0, 1],
                    Grid::Four => &[0, 1, 2],
                    Grid::Aron => &[0, 2],
                };
                if topology == Topology::Aron {
                    (signal.waves[0], signal.waves[2]) = (Wave::sine(u, 30.0), Wave::sine(u, 90.0));
                }
                for k in (0..3).filter(|k| !live.contains(k)) {
                    (signal.waves[k], signal.waves[k + 3]) = (Wave::default(), Wave::default());
                }
                let (second, energy, time) = measure(&mut m, &mut signal, 3.0);
                let context = format!("{grid:?} {f} Hz {u} V {degrees}°");
                assert!(second.valid.has(Valid::F) && (f64::from(second.f_uhz) / 1e6 - f).abs() < 1e-4, "{context}");
                let mut net = [0.0; 2];
                for &k in live {
                    let (p, q, s) = (signal.p(k), signal.q(k), signal.s(k));
                    let phase = &second.phase[k];
                    assert!(ppm(f64::from(phase.u_mv) / 1e3, u, u).abs() < 10.0, "{context}: {phase:?}");
                    assert!(ppm(f64::from(phase.p_mw) / 1e3, p, s).abs() < 10.0, "{context}: {phase:?}");
                    assert!(ppm(f64::from(phase.q_mvar) / 1e3, q, s).abs() < 10.0, "{context}: {phase:?}");
                    (net[0], net[1]) = (net[0] + p, net[1] + s);
                }
                let joules = energy.total.a_plus as f64 / 1e3 - energy.total.a_minus as f64 / 1e3;
                assert!(ppm(joules, net[0] * time, net[1] * time).abs() < 30.0, "{context}: {joules} J");
            }
        }
    }
}

// covers: MET-005 MET-006 MET-021
#[test]
fn rated_currents_of_direct_meters_and_those_behind_transformers() {
    let direct = [0.25, 0.5, 5.0, 10.0, 60.0, 63.0, 65.0, 80.0, 100.0].map(|i| (config(8000), 1.0, i));
    let transformers = [0.01, 0.05, 1.0, 5.0, 6.0].map(|i| (ct(), 200.0 / CT_FULL_SCALE, i));
    for (config, range, i) in direct.into_iter().chain(transformers) {
        // PF 0.5 inductive and full export: a current has no direction.
        for degrees in [0.0, 60.0, 180.0] {
            let mut m = meter(&config);
            let mut signal = Signal::balanced(8000, 50.03, i * range, degrees);
            let (second, energy, time) = measure(&mut m, &mut signal, 4.0);
            assert_eq!(m.cumulative().clipped_windows, 0, "{i} A");
            let (p, s) = (signal.p(1) / range, signal.s(1) / range);
            let step = 1.0 / (i * range);
            let (ua, mw) = (0.6e-6 / i * 1e6 + 2.0 * step, 0.6e-3 / s * 1e6 + 2.0 * step);
            let phase = &second.phase[1];
            assert!(ppm(f64::from(phase.i_ua) / 1e6, i, i).abs() < 1.0 + ua, "{i} A: {phase:?}");
            assert!(ppm(f64::from(phase.p_mw) / 1e3, p, s).abs() < 1.0 + mw, "{i} A {degrees}: {phase:?}");
            let set = &energy.phase[1];
            let millijoules = if p > 0.0 { set.a_plus } else { set.a_minus };
            // Whole samples at both ends of 4 s: half a sample of S is 16 ppm.
            assert!(energy_ppm(millijoules, p.abs(), time, s).abs() < 16.0 + mw / 2.0, "{i} A {degrees}: {set:?}");
        }
    }
}

// covers: MET-043
#[test]
fn each_phase_registers_from_its_own_threshold() {
    for (config, range, threshold) in [(config(8000), 1.0, 2.3), (ct(), 200.0 / CT_FULL_SCALE, 0.6)] {
        // A little above the threshold, at rest, and below three quarters of it; the phases do not share it.
        let watts = [threshold * 1.01, 0.0, threshold * 0.7];
        let mut m = meter(&config);
        let mut signal = Signal::balanced(8000, 50.0, 0.0, 0.0);
        for (k, watts) in watts.into_iter().enumerate() {
            signal.waves[k + 3] = Wave::sine(watts / 230.0 * range, -120.0 * k as f64);
        }
        let (second, energy, time) = measure(&mut m, &mut signal, 20.0);
        assert!(energy_ppm(energy.phase[0].a_plus, watts[0], time, watts[0]).abs() < 2000.0, "{:?}", energy.phase[0]);
        assert_eq!((energy.phase[1], energy.phase[2]), Default::default(), "{threshold} W");
        assert_eq!(energy.total, energy.phase[0]);
        // The power is shown, whether it registers or not.
        assert!((f64::from(second.phase[2].p_mw) / 1e3 - watts[2]).abs() < 0.01, "{second:?}");
        // Registering stops below the threshold: what was counted stays.
        signal.waves[3].partials[0].1 *= 0.7;
        run(&mut m, &mut signal, 1.0);
        let counted = m.cumulative().counters;
        run(&mut m, &mut signal, 5.0);
        assert_eq!(m.cumulative().counters, counted);
    }
}

// covers: MET-050
#[test]
fn the_direction_of_each_phases_current_is_told() {
    let mut m = meter(&config(8000));
    let mut signal = Signal::balanced(8000, 50.0, 5.0, 0.0);
    signal.waves[4].partials[0].2 += 160.0;
    // 8 mA: below the 10 mA at which indicators begin.
    signal.waves[5].partials[0].1 = 0.008;
    run(&mut m, &mut signal, 2.5);
    let of = |m: &Metrology| [0, 1, 2, 3].map(|k| m.second().direction(k));
    assert_eq!(of(&m), [Some(Direction::Import), Some(Direction::Export), None, None]);
    signal.waves[5].partials[0].1 = 0.0105;
    run(&mut m, &mut signal, 2.5);
    assert_eq!(of(&m)[2], Some(Direction::Import));
}

// covers: MET-053
#[test]
fn direct_current_moves_no_other_quantity() {
    // A half-wave load: a direct component of 0.32 of the peak, even harmonics, and half of the power.
    let half_wave = |amps: f64| {
        let peak = amps * std::f64::consts::SQRT_2;
        let mut wave = Wave::sine(amps / 2.0, 0.0).with_direct(peak / std::f64::consts::PI);
        for order in [2.0_f64, 4.0, 6.0, 8.0, 10.0, 12.0] {
            let size = 2.0 * peak / std::f64::consts::PI / (order * order - 1.0);
            wave = wave.with(order, size / std::f64::consts::SQRT_2, -90.0);
        }
        wave
    };
    let mut m = meter(&config(8000));
    let mut signal = Signal::balanced(8000, 50.0, 20.0, 0.0);
    signal.waves[3] = half_wave(40.0);
    // A direct current alone next to it, and a direct voltage.
    signal.waves[4].direct = -30.0;
    signal.waves[2].direct = 1.5;
    let (second, energy, time) = measure(&mut m, &mut signal, 5.0);
    for k in 0..3 {
        let (p, s) = (signal.p(k), signal.s(k));
        assert!(ppm(f64::from(second.phase[k].p_mw) / 1e3, p, s).abs() < 5.0, "{k} {second:?}");
        assert!(energy_ppm(energy.phase[k].a_plus, p, time, s).abs() < 20.0, "{k}");
    }
    let near = |ua: i32, amps: f64| (f64::from(ua) / 1e6 - amps).abs() < 50e-6;
    let direct = 40.0 * std::f64::consts::SQRT_2 / std::f64::consts::PI;
    assert!(near(second.phase[0].i_dc_ua, direct), "{} {direct}", second.phase[0].i_dc_ua);
    assert!(near(second.phase[1].i_dc_ua, -30.0) && near(second.phase[2].i_dc_ua, 0.0), "{second:?}");
    assert_eq!([0, 1, 2].map(|k| second.phase[k].u_dc_mv), [0, 0, 1500]);
    // It is part of the RMS value, and of nothing fundamental.
    assert!((f64::from(second.phase[1].i_ua) / 1e6 - (20.0_f64.powi(2) + 900.0).sqrt()).abs() < 1e-4);
    assert!((f64::from(second.phase[1].p1_mw) / 1e3 - 4600.0).abs() < 0.05, "{second:?}");
}

#[test]
fn fundamental_power_under_harmonics_and_what_follows_from_it() {
    let mut m = meter(&config(8000));
    let mut signal = Signal::balanced(8000, 50.02, 5.0, 25.0);
    signal.waves[0] = Wave::sine(230.0, 0.0).with(5.0, 20.0, 10.0);
    signal.waves[3] = Wave::sine(5.0, -25.0).with(3.0, 2.0, 40.0).with(5.0, 3.0, 190.0);
    run(&mut m, &mut signal, 3.0);
    let phase = m.second().phase[0];
    let p1 = 230.0 * 5.0 * 25.0_f64.to_radians().cos();
    let p = p1 + 20.0 * 3.0 * 180.0_f64.to_radians().cos();
    assert!(
        (f64::from(phase.p1_mw) / 1e3 - p1).abs() < 0.01 && (f64::from(phase.p_mw) / 1e3 - p).abs() < 0.01,
        "{phase:?}"
    );
    // Displacement power factor both ways: cos φ, and P1/S1.
    let (p1_mw, q_mvar) = (f64::from(phase.p1_mw), f64::from(phase.q_mvar));
    let displacement = p1_mw / p1_mw.hypot(q_mvar);
    assert!((displacement - 25.0_f64.to_radians().cos()).abs() < 1e-5);
    assert!(((f64::from(phase.phi_mdeg) / 1e3).to_radians().cos() - displacement).abs() < 2e-5);
    assert!((f64::from(phase.pf_ppm) / 1e6 - p / signal.s(0)).abs() < 1e-5, "the other one has the distortion in it");
    // Total reactive power √(S² − P²) is more than that of the fundamental by the distortion.
    let total = f64::from(phase.s_mva).powi(2) - f64::from(phase.p_mw).powi(2);
    let expected = signal.s(0).powi(2) - p.powi(2);
    assert!((total.sqrt() / 1e3 - expected.sqrt()).abs() < 0.02 && total.sqrt() > q_mvar * 1.5);
}

#[test]
fn the_neutral_current_is_measured_and_computed() {
    let mut m = meter(&config(8000));
    let mut signal = Signal::balanced(8000, 50.0, 10.0, 0.0);
    // Third harmonics add in the neutral; L3 takes less; the measured neutral lacks 0.4 A that went another way.
    for k in 0..3 {
        let angle = -120.0 * k as f64;
        signal.waves[k + 3] = Wave::sine(if k == 2 { 4.0 } else { 10.0 }, angle).with(3.0, 2.0, 15.0);
    }
    signal.waves[6] = Wave::sine(5.6, 300.0).with(3.0, 6.0, 195.0);
    run(&mut m, &mut signal, 3.0);
    let s = m.second();
    assert!(s.valid.has(Valid::I_N | Valid::I_N_COMPUTED));
    // 10 + 10·a² + 4·a is −6·a.
    assert!((f64::from(s.i_n_computed_ua) / 1e6 - 6.0_f64.hypot(6.0)).abs() < 1e-5, "{}", s.i_n_computed_ua);
    assert!((f64::from(s.i_n_ua) / 1e6 - 5.6_f64.hypot(6.0)).abs() < 1e-5, "{}", s.i_n_ua);
    // Without all three currents there is nothing to compute from.
    for config in [
        MeterConfig { channels: 0b101_1111, ..config(8000) },
        MeterConfig { topology: Topology::OnePhase, ..config(8000) },
        MeterConfig { topology: Topology::Aron, method: Method::Vector, ..config(8000) },
    ] {
        let mut m = meter(&config);
        run(&mut m, &mut signal, 2.5);
        assert!(!m.second().valid.has(Valid::I_N_COMPUTED) && m.second().i_n_computed_ua == 0);
    }
}

#[test]
fn unbalance_by_the_definition_and_absent_where_there_is_none() {
    let cases = [
        ([(230.0, 0.0), (230.0, -120.0), (230.0, 120.0)], 0.0, 0.0),
        ([(167.9, 0.0), (184.0, -120.0), (200.1, 120.0)], 50_518.0, 50_518.0),
        ([(230.0, 0.0), (207.0, -122.0), (241.5, 117.0)], 29_205.1, 60_505.3),
    ];
    for (u, u2, u0) in cases {
        let mut m = meter(&config(8000));
        let mut signal = Signal::balanced(8000, 50.03, 5.0, 0.0);
        for (k, (rms, degrees)) in u.into_iter().enumerate() {
            signal.waves[k] = Wave::sine(rms, degrees).with(3.0, 10.0, 0.0).with(5.0, 8.0, 30.0).with_direct(2.0);
        }
        run(&mut m, &mut signal, 2.5);
        let s = m.second();
        assert!(s.valid.has(Valid::U2 | Valid::U0));
        assert!(
            (f64::from(s.u2_ppm) - u2).abs() < 5.0 && (f64::from(s.u0_ppm) - u0).abs() < 5.0,
            "{} {}",
            s.u2_ppm,
            s.u0_ppm
        );
    }
    let mut m = meter(&MeterConfig { topology: Topology::OnePhase, ..config(8000) });
    run(&mut m, &mut Signal::balanced(8000, 50.0, 5.0, 0.0), 2.5);
    assert!(!m.second().valid.has(Valid::U2) && !m.second().valid.has(Valid::U0));
}
