//! The influence quantities, as the standards name them, at their currents. Each point stands beside an undisturbed one
//! of about the same power.

use std::f64::consts::{FRAC_PI_2, PI, SQRT_2};

use super::bench::Conditions;
use super::classes::{Group, Influence};
use super::points::{Kind, Load, Pf, Point, Sine, U_N};
use super::range::Range;
use super::signal::{Partial, Signal, shaped};

/// Temperatures at the ends of the directive's bands, °C.
const CELSIUS: [f64; 8] = [-40.0, -25.0, -10.0, 5.0, 30.0, 40.0, 55.0, 70.0];
/// Temperature that the others are compared with, °C.
const REFERENCE: f64 = metrology_sim::afe::REFERENCE_CELSIUS;
/// Years after which ageing is looked at.
const YEARS: f64 = 10.0;

const UNITY: Load = Load::Active(Pf::One);
const HALF: Load = Load::Active(Pf::HalfInductive);
const REACTIVE: Load = Load::Reactive(Sine { group: Group::Unity, capacitive: false });
const REACTIVE_HALF: Load = Load::Reactive(Sine { group: Group::Half, capacitive: false });

/// All influence points of a range.
pub fn points(range: Range, out: &mut Vec<Point>) {
    supply(range, out);
    climate(range, out);
    waveforms(range, out);
    phases(range, out);
}

/// A point that differs from the undisturbed one by what `change` does.
fn changed(influence: Influence, label: &str, load: Load, amps: f64, change: impl FnOnce(&mut Conditions)) -> Point {
    let mut point = Point::balanced(load, amps, 50.0, 1.0);
    point.kind = Kind::Influence(influence);
    point.label = label.to_owned();
    point.reference = Some(point.conditions.clone());
    change(&mut point.conditions);
    point
}

/// Voltage and frequency.
fn supply(range: Range, out: &mut Vec<Point>) {
    let mut add = |influence, load, amps, f, u| {
        let reference = Point::balanced(load, amps, 50.0, 1.0).conditions;
        let kind = Kind::Influence(influence);
        out.push(Point { kind, reference: Some(reference), ..Point::balanced(load, amps, f, u) });
    };
    for load in [UNITY, HALF, REACTIVE, REACTIVE_HALF] {
        let currents = [2.0 * range.transitional(), range.basic(), range.largest()];
        for amps in if matches!(load, Load::Active(_)) { &currents[..] } else { &currents[1..2] } {
            for (influence, u) in [
                (Influence::Voltage, 0.9),
                (Influence::Voltage, 1.1),
                (Influence::WideVoltage, 0.8),
                (Influence::WideVoltage, 1.15),
            ] {
                add(influence, load, *amps, 50.0, u);
            }
            for f in [49.0, 51.0] {
                add(Influence::Frequency, load, *amps, f, 1.0);
            }
        }
        for f in [45.0, 55.0, 65.0] {
            add(Influence::WideFrequency, load, range.basic(), f, 1.0);
        }
    }
}

/// Temperature and age.
fn climate(range: Range, out: &mut Vec<Point>) {
    let mut add = |load, amps, celsius: f64| {
        let influence = Influence::Temperature(celsius - REFERENCE);
        out.push(changed(influence, &format!("{celsius} °C"), load, amps, |c| c.celsius = celsius));
    };
    for celsius in CELSIUS {
        add(UNITY, range.basic(), celsius);
        add(HALF, range.basic(), celsius);
    }
    for celsius in [-40.0, 70.0] {
        add(UNITY, range.largest(), celsius);
        add(UNITY, 2.0 * range.transitional(), celsius);
        add(REACTIVE, range.basic(), celsius);
    }
    let label = format!("after {YEARS} years");
    out.push(changed(Influence::Ageing, &label, UNITY, range.basic(), |c| c.years = YEARS));
}

/// Puts this current into every phase.
fn all(conditions: &mut Conditions, current: &[Partial]) {
    for (_, i) in &mut conditions.signal.phase {
        i.clear();
        i.extend_from_slice(current);
    }
}

/// Adds harmonics to every voltage: order, share of the nominal voltage.
fn distort(signal: &mut Signal, harmonics: &[(u32, f64)]) {
    for (u, _) in &mut signal.phase {
        u.extend(harmonics.iter().map(|(order, share)| Partial::sine(*order, share * U_N, 0.0)));
    }
}

/// RMS value of a current in its series.
fn rms(current: &[Partial]) -> f64 {
    current.iter().map(Partial::square).sum::<f64>().sqrt()
}

fn waveforms(range: Range, out: &mut Vec<Point>) {
    let (basic, largest) = (range.basic(), range.largest());
    for load in [UNITY, REACTIVE] {
        out.push(changed(Influence::Harmonic, "5th harmonic: U 10 %, I 40 %", load, 0.5 * largest, |c| {
            distort(&mut c.signal, &[(5, 0.1)]);
            for (_, i) in &mut c.signal.phase {
                i.push(Partial::sine(5, 0.4 * 0.5 * largest, 0.0));
            }
        }));
    }
    if !range.transformer() {
        // Half of a sine of Imax has an RMS value of Imax/√2.
        let half = shaped(largest, |x| f64::from(u8::from(x.sin() > 0.0)));
        let label = "half-wave, direct component";
        out.push(changed(Influence::HalfWave, label, UNITY, largest / SQRT_2, |c| all(c, &half)));
    }
    let fired = shaped(basic, |x| f64::from(u8::from(x.tan() < 0.0)));
    let label = "phase-fired at 90 degrees";
    out.push(changed(Influence::PhaseFired, label, UNITY, basic / SQRT_2, |c| all(c, &fired)));
    let label = "bursts, 2 cycles on, 2 off";
    out.push(changed(Influence::Bursts, label, UNITY, basic, |c| c.signal.bursts = true));
    // What is left of a sine behind 135°, and pulses around the peak as a rectifier with a capacitor draws them; both
    // out of a voltage that such loads have flattened.
    let dimmed = shaped(2.0 * basic, |x| f64::from(u8::from(x.rem_euclid(PI) > 0.75 * PI)));
    let pulses = shaped(2.0 * basic, |x| f64::from(u8::from((x.rem_euclid(PI) - FRAC_PI_2).abs() < 0.1)));
    for (label, current) in
        [("dimmed to 45 degrees, U flattened", dimmed), ("pulses of 11 degrees, U flattened", pulses)]
    {
        out.push(changed(Influence::Dimmer, label, UNITY, rms(&current), |c| {
            distort(&mut c.signal, &[(3, -0.03), (5, 0.03), (7, -0.01)]);
            all(c, &current);
        }));
    }
}

/// Sequence, missing phases, unbalance.
fn phases(range: Range, out: &mut Vec<Point>) {
    let basic = range.basic();
    out.push(changed(Influence::Reversed, "sequence L1 L3 L2", UNITY, 0.1 * basic, |c| c.signal.reversed = true));
    for (label, missing) in
        [("L2 without voltage", &[1][..]), ("L1 without voltage", &[0]), ("L1 and L2 without voltage", &[0, 1])]
    {
        out.push(changed(Influence::Missing, label, UNITY, basic, |c| {
            missing.iter().for_each(|&k: &usize| c.signal.phase[k].0.clear());
        }));
    }
    out.push(changed(Influence::Unbalanced, "U 0.9 1 1.1, I 1 0.5 0.2", UNITY, basic, |c| {
        for ((u, i), (volts, amps)) in c.signal.phase.iter_mut().zip([(0.9, 1.0), (1.0, 0.5), (1.1, 0.2)]) {
            *u = vec![Partial::sine(1, U_N * volts, 0.0)];
            *i = vec![Partial::sine(1, basic * amps, 0.0)];
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_influence_has_a_reference_at_rest() {
        for range in [Range::Direct100, Range::Transformer1] {
            let mut all = Vec::new();
            points(range, &mut all);
            for point in &all {
                let reference = point.reference.as_ref().unwrap();
                assert_ne!(*reference, point.conditions, "{point:?}");
                assert_eq!((reference.celsius, reference.years, reference.signal.f), (REFERENCE, 0.0, 50.0));
            }
            let half_wave = |p: &&Point| p.kind == Kind::Influence(Influence::HalfWave);
            assert_eq!(all.iter().filter(half_wave).count(), usize::from(!range.transformer()));
        }
    }

    #[test]
    fn pulsed_currents_have_the_crest_factor_that_they_are_there_for() {
        let pulses = shaped(10.0, |x| f64::from(u8::from((x.rem_euclid(PI) - FRAC_PI_2).abs() < 0.1)));
        let crest = 10.0 * SQRT_2 / rms(&pulses);
        assert!(crest > 3.5, "{crest}");
    }
}
