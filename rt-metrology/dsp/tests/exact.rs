//! Nothing is lost between samples and counters, whatever the samples.

mod common;

use common::{Signal, config, meter, run};
use metrology_dsp::energy::SUB_QUANTA;
use metrology_dsp::{CHANNELS, Calibration, Cumulative, Malformed, MeterConfig, Metrology};
use metrology_link::payload::{Counters, EnergySet, Method};
use proptest::prelude::*;

/// A set as exact integers in sub-quanta: A+, A−, then the others.
fn exact(set: &EnergySet, remainders: &[u128; 8]) -> [u128; 8] {
    let [r1, r2, r3, r4] = set.r;
    let counters = [set.a_plus, set.a_minus, r1, r2, r3, r4, set.e_plus, set.e_minus];
    std::array::from_fn(|k| u128::from(counters[k]) * SUB_QUANTA + remainders[k])
}

#[test]
fn counters_and_remainders_equal_the_brute_force_sum() {
    for rate in [8000, 32_000] {
        // Everything registers; odd scales, gains and offsets, so that no factor is a round number.
        let config =
            MeterConfig { start_mw: 0, u_full_scale_mv: 599_993, i_full_scale_ua: 199_999_991, ..config(rate) };
        let mut calibration = Calibration::default();
        for (k, c) in calibration.channel.iter_mut().enumerate() {
            c.gain_q30 = (1 << 30) + 12_345_677 * (k as i32 - 3);
            c.offset = 77 * k as i32 - 200;
        }
        let mut m = Metrology::new(&config, &calibration).expect("possible");
        let mut signal = Signal::balanced(rate, 49.9, 7.0, 80.0);
        // What rounding takes from a sample goes into the channel's next.
        let mut rests = [1_i128 << 25; CHANNELS];
        let mut corrected = |counts: &[i32; CHANNELS], k: usize| {
            let c = &calibration.channel[k];
            let exact = i128::from(counts[k] + c.offset) * i128::from(c.gain_q30) + rests[k];
            rests[k] = exact & ((1 << 26) - 1);
            exact >> 26
        };
        let mut open = [0_i128; 3];
        let mut plus = [0_i128; 3];
        let mut minus = [0_i128; 3];
        let mut delayed = std::collections::VecDeque::from([[0_i128; 6]; 10]);
        for n in 0..rate * 5 {
            // Turns of the load through all quadrants.
            for k in 3..6 {
                signal.waves[k].partials[0].2 -= 0.003;
            }
            let counts = signal.counts();
            delayed.push_back(std::array::from_fn(|k| corrected(&counts, k)));
            let y = delayed.pop_front().expect("ten in the queue");
            if m.push(&counts).is_some() {
                for k in 0..3 {
                    *(if open[k] >= 0 { &mut plus[k] } else { &mut minus[k] }) += open[k].abs();
                    open[k] = 0;
                }
                let scale = 599_993_i128 * 199_999_991 * i128::from(32_000 / rate);
                for k in 0..3 {
                    let got = exact(&m.cumulative().counters.phase[k], &m.cumulative().phase_remainders[k]);
                    assert_eq!(got[0] as i128, plus[k] * scale, "sample {n}, A+ of L{}", k + 1);
                    assert_eq!(got[1] as i128, minus[k] * scale, "sample {n}, A− of L{}", k + 1);
                }
            }
            for k in 0..3 {
                open[k] += y[k] * y[k + 3];
            }
        }
        assert!(plus.iter().chain(&minus).all(|&sum| sum > 0), "both signs were seen");
    }
}

#[test]
fn the_total_of_method_one_is_exactly_the_sum_of_the_phases() {
    let mut m = meter(&config(8000));
    let mut signal = Signal::balanced(8000, 50.1, 3.0, 0.0);
    for k in 0..3 {
        signal.waves[k + 3].partials[0].2 += 100.0 * k as f64;
    }
    run(&mut m, &mut signal, 6.0);
    let c = m.cumulative();
    let mut sum = [0_u128; 8];
    for k in 0..3 {
        for (s, v) in sum.iter_mut().zip(exact(&c.counters.phase[k], &c.phase_remainders[k])) {
            *s += v;
        }
    }
    assert_eq!(exact(&c.counters.total, &c.total_remainders), sum);
}

#[test]
fn restored_counters_go_on_exactly() {
    // One meter runs through; the other is handed its stored counters at a window's end and must agree to the last bit.
    let mut through = meter(&config(8000));
    let mut signal = Signal::balanced(8000, 50.1, 3.0, 20.0);
    run(&mut through, &mut signal, 1.7);
    while through.push(&signal.counts()).is_none() {}
    let stored = Cumulative::from_bytes(&through.cumulative().to_bytes()).expect("own bytes");
    assert_eq!(&stored, through.cumulative());

    let mut fresh = through.clone();
    fresh.restore(&Cumulative::default());
    let mut again = through.clone();
    again.restore(&stored);
    for _ in 0..40_000 {
        let counts = signal.counts();
        for m in [&mut through, &mut again, &mut fresh] {
            m.push(&counts);
        }
    }
    assert_eq!(again.cumulative(), through.cumulative());
    for k in 0..3 {
        let part = |c: &Cumulative| exact(&c.counters.phase[k], &c.phase_remainders[k]);
        for ((all, old), new) in part(through.cumulative()).iter().zip(part(&stored)).zip(part(fresh.cumulative())) {
            assert_eq!(*all, old + new);
        }
    }
}

fn lower(a: &Counters, b: &Counters) -> bool {
    let sets = |c: &Counters| [c.phase[0], c.phase[1], c.phase[2], c.total];
    sets(a).iter().zip(sets(b)).any(|(x, y)| {
        x.a_plus < y.a_plus
            || x.a_minus < y.a_minus
            || x.r.iter().zip(y.r).any(|(p, q)| *p < q)
            || x.e_plus < y.e_plus
            || x.e_minus < y.e_minus
    })
}

/// Largest scales and gains: what the bounds of the sums were derived for.
fn extreme(rate_hz: u32, method: Method) -> (MeterConfig, Calibration) {
    let config = MeterConfig {
        method,
        rate_hz,
        f_nominal: 60,
        u_nominal_mv: 10_000,
        u_full_scale_mv: 2_000_000,
        i_full_scale_ua: 4_000_000_000,
        i_n_full_scale_ua: 4_000_000_000,
        ..MeterConfig::default()
    };
    let mut calibration = Calibration::default();
    for (k, c) in calibration.channel.iter_mut().enumerate() {
        (c.gain_q30, c.offset) = (i32::MAX, 1 << 20);
        c.phase_ns = if k < 3 { -100_000 } else { 100_000 };
    }
    (config, calibration)
}

#[test]
fn full_scale_for_the_longest_windows_stays_in_bounds() {
    // Debug builds check every addition for overflow. 43 Hz squares at full scale: the longest windows there are.
    for (rate, period) in [(32_000, 744), (32_000, 0), (8000, 186)] {
        for method in [Method::PerPhase, Method::Vector, Method::Magnitude] {
            let (config, calibration) = extreme(rate, method);
            let mut m = Metrology::new(&config, &calibration).expect("possible");
            let mut before = m.cumulative().counters;
            let mut longest = 0;
            for n in 0..rate * 2 {
                let high = period == 0 || n % period < period / 2;
                if let Some(end) = m.push(&[if high { i32::MAX } else { i32::MIN }; CHANNELS]) {
                    assert!(end.clipped);
                    longest = longest.max(end.samples);
                    assert!(!lower(&m.cumulative().counters, &before));
                    before = m.cumulative().counters;
                }
            }
            assert!(longest >= rate / 5 && longest <= 1 << 14, "{longest}");
            // 2 × full scale on both: 4 kV · 8 kA = 32 MW for close to 2 s.
            assert!(before.phase[0].a_plus > 40_000_000_000, "{}", before.phase[0].a_plus);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_samples_are_counted_without_panic_and_never_backwards(
        rate in prop::sample::select(vec![8000_u32, 16_000, 32_000]),
        method in prop::sample::select(vec![Method::PerPhase, Method::Vector, Method::Magnitude]),
        runs in prop::collection::vec((prop::array::uniform7(any::<i32>()), 1_usize..900, 0_u8..4), 1..40),
    ) {
        let (config, calibration) = extreme(rate, method);
        let mut m = Metrology::new(&config, &calibration).expect("possible");
        let mut before = *m.cumulative();
        for (counts, length, flip) in runs {
            for n in 0..length {
                let sign = if flip > 0 && (n / (40 * usize::from(flip))) % 2 == 0 { -1 } else { 1 };
                let counts = counts.map(|c| c.saturating_mul(sign));
                if m.push(&counts).is_some() {
                    prop_assert!(!lower(&m.cumulative().counters, &before.counters));
                    prop_assert_eq!(m.cumulative().windows, before.windows + 1);
                    before = *m.cumulative();
                }
                m.half_cycle();
            }
        }
        m.finish();
        prop_assert!(!lower(&m.cumulative().counters, &before.counters));
        let c = m.cumulative();
        prop_assert!(c.phase_remainders.iter().flatten().chain(&c.total_remainders).all(|r| *r < SUB_QUANTA));
        prop_assert_eq!(Cumulative::from_bytes(&c.to_bytes()), Ok(*c));
    }

    #[test]
    fn any_bytes_are_read_or_refused(
        mut bytes in prop::collection::vec(any::<u8>(), 0..Cumulative::BYTES + 9),
        fitting in prop::collection::vec(any::<u8>(), Cumulative::BYTES),
        small in any::<bool>(),
    ) {
        prop_assert!(Cumulative::from_bytes(&bytes).is_err());
        bytes = fitting;
        bytes[..4].copy_from_slice(&[1, 0, 0, 0]);
        // The highest byte of each remainder decides whether it can be below 2^68 · 5^9.
        for k in 0..32 {
            bytes[32 + 256 + 12 * k + 11] = if small { 0 } else { 2 };
        }
        match Cumulative::from_bytes(&bytes) {
            Ok(c) => prop_assert!(small && c.to_bytes().to_vec() == bytes),
            Err(e) => prop_assert!(!small && e == Malformed::Remainder),
        }
    }
}
