//! Measured quantities against the analytic truth of an independent generator.
//!
//! `cargo test -p metrology-dsp --release --test accuracy -- --nocapture` prints the figures of the README.

mod common;

use common::{Signal, Wave, active, config, meter, ppm, run};
use metrology_dsp::{Calibration, MeterConfig, Metrology};
use metrology_link::payload::{Method, Second, Topology, Valid};

/// Largest errors of the one-second values of all phases, ppm: U, I, P (of S), Q (of S), S, f.
fn errors(signal: &Signal, second: &Second) -> [f64; 6] {
    let mut worst = [0.0_f64; 6];
    for k in 0..3 {
        let (v, s) = (&second.phase[k], signal.s(k));
        let now = [
            ppm(f64::from(v.u_mv) / 1e3, signal.waves[k].rms(), signal.waves[k].rms()),
            ppm(f64::from(v.i_ua) / 1e6, signal.waves[k + 3].rms(), signal.waves[k + 3].rms()),
            ppm(f64::from(v.p_mw) / 1e3, signal.p(k), s),
            ppm(f64::from(v.q_mvar) / 1e3, signal.q(k), s),
            ppm(f64::from(v.s_mva) / 1e3, s, s),
            ppm(f64::from(second.f_uhz) / 1e6, signal.f, signal.f),
        ];
        for (w, e) in worst.iter_mut().zip(now) {
            *w = w.max(e.abs());
        }
    }
    worst
}

fn measure(signal: &mut Signal, seconds: f64) -> Second {
    let mut m = meter(&config(signal.rate));
    run(&mut m, signal, seconds);
    assert!(m.second().number >= 2 && m.second().valid.has(Valid::F));
    *m.second()
}

#[test]
fn every_quantity_over_current_power_factor_frequency_and_rate() {
    println!("| I, A | U | I | P of S | Q of S | S | f | (ppm, worst over PF, f, rate)");
    for i in [100.0, 10.0, 1.0, 0.1, 0.02] {
        let mut worst = [0.0_f64; 6];
        for degrees in [0.0, 60.0, -36.87, 75.5, 180.0, 120.0, -150.0] {
            let rates = [(8000, 47.5), (8000, 49.93), (8000, 50.0), (8000, 52.5), (16_000, 50.37), (32_000, 51.1)];
            // The higher rates differ in the front end only; one current shows it.
            let rates = if i == 10.0 { &rates[..] } else { &rates[..4] };
            for &(rate, f) in rates {
                let mut signal = Signal::balanced(rate, f, i, degrees);
                let second = measure(&mut signal, 2.5);
                for (w, e) in worst.iter_mut().zip(errors(&signal, &second)) {
                    *w = w.max(e);
                }
            }
        }
        println!("| {i} | {}", worst.map(|e| format!("{e:.2}")).join(" | "));
        // The floor is the unit shown (half a milliwatt of 4.6 W is 109 ppm, one microampere of 20 mA 50 ppm) and the
        // converter's step: 0.29 counts over the 40 different samples that 50 Hz at 8 kS/s has in each half of a
        // wave are 0.046 of 41 943 counts per ampere, 1.1 ppm at 1 A.
        let step = 2.0 / i;
        let (mw, ua) = (0.6e-3 / (230.0 * i) * 1e6 + step, 1.1 / i + step);
        let limits = [5.0, 5.0 + ua, 5.0 + mw, 5.0 + mw, 5.0 + mw, 0.5];
        for (k, (w, limit)) in worst.iter().zip(limits).enumerate() {
            assert!(*w < limit, "I {i} A, quantity {k}: {w} ppm of {limit}");
        }
    }
}

#[test]
fn sixty_hertz() {
    let mut m = meter(&MeterConfig { f_nominal: 60, ..config(8000) });
    let mut signal = Signal::balanced(8000, 59.7, 5.0, 30.0);
    let end = run(&mut m, &mut signal, 3.0).expect("windows");
    assert_eq!(end.samples / 100, 16, "12 periods");
    for (k, e) in errors(&signal, m.second()).iter().enumerate() {
        assert!(*e < 5.0, "quantity {k}: {e} ppm");
    }
}

#[test]
fn harmonics_and_direct_components() {
    // EN 50470-3: U5 10 %, I5 40 %; with a third, an eleventh and a 40th.
    let mut signal = Signal::balanced(8000, 50.2, 5.0, 37.0);
    for k in 0..3 {
        let u = signal.waves[k].clone().with(5.0, 23.0, 10.0).with(3.0, 10.0, 80.0).with_direct(0.8);
        let i = signal.waves[k + 3].clone().with(5.0, 2.0, 40.0).with(3.0, 1.5, -20.0).with(11.0, 0.7, 5.0);
        signal.waves[k] = u;
        signal.waves[k + 3] = i.with(40.0, 0.2, 0.0).with_direct(-0.05);
    }
    let second = measure(&mut signal, 3.0);
    println!("harmonics (ppm): {:?}", errors(&signal, &second));
    for (k, e) in errors(&signal, &second).iter().enumerate() {
        assert!(*e < 20.0, "quantity {k}: {e} ppm");
    }
}

#[test]
fn calibration_takes_out_gain_offset_and_lag() {
    for rate in [8000, 32_000] {
        let mut calibration = Calibration::default();
        let mut truth = Signal::balanced(rate, 50.0, 2.0, 60.0);
        truth.f = 49.8;
        let mut sensed = truth.clone();
        for k in 0..6 {
            let gain = 1.0 + 0.07 * (k as f64 - 2.5);
            let offset = 1000 * (k as i32 - 3);
            let lag_ns = 9_300 * (k as i32 * 5 % 7 - 3);
            let lsb = if k < 3 { common::U_LSB } else { common::I_LSB };
            for p in &mut sensed.waves[k].partials {
                p.1 /= gain;
            }
            sensed.waves[k].direct = -f64::from(offset) * lsb;
            sensed.waves[k].lag = f64::from(lag_ns) * 1e-9;
            let c = &mut calibration.channel[k];
            (c.gain_q30, c.offset, c.phase_ns) = ((gain * f64::from(1 << 30)).round() as i32, offset, lag_ns);
        }
        let mut m = Metrology::new(&config(rate), &calibration).expect("possible");
        run(&mut m, &mut sensed, 3.0);
        for (k, e) in errors(&truth, m.second()).iter().enumerate() {
            assert!(*e < 5.0, "rate {rate}, quantity {k}: {e} ppm");
        }
        for (k, expected) in [0, -120_000, 120_000].into_iter().enumerate() {
            let angle = m.second().phase[k].angle_mdeg;
            assert!((angle - expected).abs() <= 3, "voltage angle {k}: {angle}");
        }
    }
}

#[test]
fn angles_signs_and_sequence() {
    let mut signal = Signal::balanced(8000, 50.0, 5.0, 30.0);
    signal.waves.swap(1, 2);
    signal.waves.swap(4, 5);
    signal.waves[5] = Wave::sine(5.0, -120.0 + 25.0);
    signal.waves[6] = Wave::sine(1.234567, 0.0);
    let second = measure(&mut signal, 3.0);
    let angles: Vec<i32> = second.phase.iter().map(|p| p.angle_mdeg).collect();
    assert_eq!(angles, [0, 120_000, -120_000]);
    let phi: Vec<i32> = second.phase.iter().map(|p| p.phi_mdeg).collect();
    assert!((phi[0] - 30_000).abs() <= 2 && (phi[2] + 25_000).abs() <= 2, "{phi:?}");
    assert!((second.phase[0].pf_ppm - 866_025).abs() <= 3);
    assert!(second.phase[2].q_mvar < 0);
    assert!((i64::from(second.i_n_ua) - 1_234_567).abs() <= 3, "{}", second.i_n_ua);
    assert!(second.valid.has(Valid::I_N));
}

#[test]
fn energies_of_a_minute() {
    println!("| energies of 60 s (ppm): A, |R|, E |");
    for (rate, f, i, degrees) in
        [(8000, 49.87, 5.0, 60.0), (8000, 50.0, 100.0, 0.0), (8000, 50.06, 0.05, -36.87), (16_000, 50.1, 1.0, 150.0)]
    {
        let mut signal = Signal::balanced(rate, f, i, degrees);
        let mut m = meter(&config(rate));
        let start = run(&mut m, &mut signal, 2.0).expect("windows");
        let before = *m.cumulative();
        let end = run(&mut m, &mut signal, 60.1).expect("windows");
        let seconds = (end.t_samples - start.t_samples) as f64 / f64::from(rate);
        for k in 0..3 {
            let (a, b) = (&m.cumulative().counters.phase[k], &before.counters.phase[k]);
            let net = |plus: u64, minus: u64| plus as f64 - minus as f64;
            let p = net(a.a_plus - b.a_plus, a.a_minus - b.a_minus) / 1e3 / seconds;
            let r: u64 = a.r.iter().sum::<u64>() - b.r.iter().sum::<u64>();
            let e = (a.e_plus + a.e_minus - b.e_plus - b.e_minus) as f64 / 1e3 / seconds;
            let s = signal.s(k);
            let error = [ppm(p, signal.p(k), s), ppm(r as f64 / 1e3 / seconds, signal.q(k).abs(), s), ppm(e, s, s)];
            println!("| {rate} {f} {i} {degrees} L{} | {}", k + 1, error.map(|e| format!("{e:.2}")).join(" | "));
            assert!(error.iter().all(|e| e.abs() < 20.0), "{error:?}");
        }
    }
}

#[test]
fn a_wandering_frequency_keeps_active_and_reactive_power() {
    let mut signal = Signal::balanced(8000, 49.0, 5.0, 60.0);
    let mut m = meter(&config(8000));
    run(&mut m, &mut signal, 2.0);
    // 0.5 Hz/s, fifty times what a large grid does.
    for _ in 0..40 {
        run(&mut m, &mut signal, 0.1);
        signal.f += 0.05;
        let w = m.window();
        assert!(ppm(f64::from(w.phase[1].p_mw) / 1e3, signal.p(1), signal.s(1)).abs() < 300.0);
        assert!(ppm(f64::from(w.phase[1].q_mvar) / 1e3, signal.q(1), signal.s(1)).abs() < 600.0);
        assert!(w.valid.has(Valid::F));
    }
}

#[test]
fn each_method_on_three_two_and_minus_one_kilowatt() {
    for (method, plus, minus) in
        [(Method::PerPhase, 5.0, 1.0), (Method::Vector, 4.0, 0.0), (Method::Magnitude, 6.0, 0.0)]
    {
        let mut m = meter(&MeterConfig { method, ..config(8000) });
        let mut signal = Signal::balanced(8000, 50.0, 0.0, 0.0);
        for (k, kw) in [3.0_f64, 2.0, -1.0].into_iter().enumerate() {
            let angle = -120.0 * k as f64 + if kw < 0.0 { 180.0 } else { 0.0 };
            signal.waves[k + 3] = Wave::sine(kw.abs() * 1000.0 / 230.0, angle);
        }
        let start = run(&mut m, &mut signal, 1.0).expect("windows").t_samples;
        let before = m.cumulative().counters.total;
        let end = run(&mut m, &mut signal, 5.0).expect("windows").t_samples;
        let after = m.cumulative().counters.total;
        let joules = (end - start) as f64 / 8.0;
        let check = |got: u64, kw: f64| assert!((got as f64 / joules / 1e3 - kw).abs() < 1e-4, "{method:?} {got} {kw}");
        check(after.a_plus - before.a_plus, plus);
        check(after.a_minus - before.a_minus, minus);
        let shown = m.second().p_mw as f64 / 1e6;
        assert!((shown - if method == Method::Magnitude { 6.0 } else { 4.0 }).abs() < 1e-4, "{shown}");
    }
}

#[test]
fn aron_measures_three_wires_with_two_elements() {
    for degrees in [0.0, 60.0, 75.52, -40.0, 180.0] {
        let config =
            MeterConfig { topology: Topology::Aron, method: Method::Vector, u_nominal_mv: 230_000, ..config(8000) };
        let mut m = meter(&config);
        let phase_u = 230.0 / 3.0_f64.sqrt();
        let mut signal = Signal::new(8000, 50.05);
        // U12 leads U1 by 30°, U32 = U3 − U2 leads U12 by 60°.
        signal.waves[0] = Wave::sine(230.0, 30.0);
        signal.waves[2] = Wave::sine(230.0, 90.0);
        signal.waves[3] = Wave::sine(5.0, -degrees);
        signal.waves[5] = Wave::sine(5.0, 120.0 - degrees);
        // What is connected to unused inputs must not matter.
        signal.waves[1] = Wave::sine(100.0, 11.0);
        signal.waves[4] = Wave::sine(7.0, 11.0);
        run(&mut m, &mut signal, 3.0);
        let s = 3.0 * phase_u * 5.0;
        let (p, q) = (s * degrees.to_radians().cos(), s * degrees.to_radians().sin());
        let second = m.second();
        assert!(ppm(second.p_mw as f64 / 1e3, p, s).abs() < 10.0, "{degrees} {}", second.p_mw);
        assert!(ppm(second.q_mvar as f64 / 1e3, q, s).abs() < 10.0, "{degrees} {}", second.q_mvar);
        assert!(ppm(second.s_mva as f64 / 1e3, s, s).abs() < 10.0);
        assert!(!second.valid.phase(Valid::U, 1) && !second.valid.phase(Valid::I, 1));
        assert!(!second.valid.has(Valid::I_N));
        assert_eq!(m.cumulative().counters.phase[1], Default::default());
        let total = m.cumulative().counters.total;
        assert_eq!((total.a_plus > 1000, total.a_minus > 1000), (degrees < 90.0, degrees > 90.0));
    }
}

#[test]
fn one_phase_and_missing_channels_are_absent() {
    let mut m = meter(&MeterConfig { topology: Topology::OnePhase, ..config(8000) });
    let mut signal = Signal::balanced(8000, 50.0, 3.0, 0.0);
    run(&mut m, &mut signal, 2.5);
    let s = m.second();
    assert_eq!([0, 1, 2].map(|k| s.valid.phase(Valid::U, k)), [true, false, false]);
    assert_eq!((s.phase[1].u_mv, s.p_mw), (0, i64::from(s.phase[0].p_mw)));
    assert_eq!(m.cumulative().counters.total, m.cumulative().counters.phase[0]);
    assert_eq!(m.cumulative().sums.phase[1].windows, 0);

    // U1 U2 U3 I1: a record without the other currents.
    let mut m = meter(&MeterConfig { channels: 0b000_1111, ..config(8000) });
    run(&mut m, &mut signal, 2.5);
    let s = m.second();
    assert!(s.valid.phase(Valid::U, 2) && s.valid.phase(Valid::I, 0) && !s.valid.phase(Valid::I, 2));
    assert!(!s.valid.phase(Valid::PF, 2) && !s.valid.has(Valid::I_N));
    assert_eq!(m.cumulative().counters.phase[2], Default::default());
    assert_eq!(m.cumulative().counters.total, m.cumulative().counters.phase[0]);
}

#[test]
fn sums_give_the_means() {
    let mut m = meter(&config(8000));
    let mut signal = Signal::balanced(8000, 50.1, 2.0, 60.0);
    run(&mut m, &mut signal, 2.0);
    let before = m.cumulative().sums;
    run(&mut m, &mut signal, 5.0);
    let after = m.cumulative().sums;
    let (a, b) = (&after.phase[2], &before.phase[2]);
    let n = a.windows - b.windows;
    assert!((24..=26).contains(&n));
    assert!(((a.u_mv - b.u_mv) / n).abs_diff(230_000) <= 1);
    assert!(((a.i_ua - b.i_ua) / n).abs_diff(2_000_000) <= 20);
    assert!(((a.pf_ppm - b.pf_ppm) / (a.pf_windows - b.pf_windows) as i64 - 500_000).abs() < 10);
    let f = (after.f_uhz - before.f_uhz) / (after.f_windows - before.f_windows);
    assert!(f.abs_diff(50_100_000) < 20, "{f}");
}

#[test]
fn generator_truth_is_consistent() {
    // The check of the checker: brute-force means of the unquantised waves over whole periods.
    let u = Wave::sine(230.0, 20.0).with(3.0, 20.0, 5.0).with_direct(2.0);
    let i = Wave::sine(5.0, -40.0).with(3.0, 2.0, 50.0).with_direct(0.1);
    let n = 10_000;
    let x = |k: i32| f64::from(k) / f64::from(n) * std::f64::consts::TAU;
    let mean = (0..n).map(|k| u.at(x(k), 0.0) * i.at(x(k), 0.0)).sum::<f64>() / f64::from(n);
    assert!((mean - active(&u, &i)).abs() < 1e-9);
}
