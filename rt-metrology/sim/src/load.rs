//! The load model: who draws or delivers how much, at a given second.
//!
//! A pure function of scenario, seed and UTC: asking twice gives the same answer, in any order. The sampled grid asks
//! once a second, the page generator four times a minute.

use crate::noise;
use crate::scenario::{Load, MAX_ORDERS, Scenario};

/// A complex number: a phasor.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Complex {
    /// Real part.
    pub re: f64,
    /// Imaginary part.
    pub im: f64,
}

impl Complex {
    /// From length and angle in radians.
    pub fn polar(length: f64, angle: f64) -> Complex {
        Complex { re: length * angle.cos(), im: length * angle.sin() }
    }

    /// Squared length.
    pub fn square(self) -> f64 {
        self.re * self.re + self.im * self.im
    }

    /// Length.
    pub fn length(self) -> f64 {
        self.square().sqrt()
    }

    /// The conjugate.
    pub fn conj(self) -> Complex {
        Complex { re: self.re, im: -self.im }
    }

    /// Multiplied by a real number.
    pub fn scale(self, k: f64) -> Complex {
        Complex { re: self.re * k, im: self.im * k }
    }
}

impl std::ops::Add for Complex {
    type Output = Complex;
    fn add(self, o: Complex) -> Complex {
        Complex { re: self.re + o.re, im: self.im + o.im }
    }
}

impl std::ops::Sub for Complex {
    type Output = Complex;
    fn sub(self, o: Complex) -> Complex {
        Complex { re: self.re - o.re, im: self.im - o.im }
    }
}

impl std::ops::Mul for Complex {
    type Output = Complex;
    fn mul(self, o: Complex) -> Complex {
        Complex { re: self.re * o.re - self.im * o.im, im: self.re * o.im + self.im * o.re }
    }
}

impl std::ops::Div for Complex {
    type Output = Complex;
    fn div(self, o: Complex) -> Complex {
        (self * o.conj()).scale(1.0 / o.square())
    }
}

/// What hangs on one phase at one moment, at nominal voltage.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Draw {
    /// Active power drawn by loads, W (at nominal voltage; follows the voltage squared).
    pub p: f64,
    /// Their reactive power, var, inductive positive.
    pub q: f64,
    /// Active power delivered by inverters, W, positive. They stop outside 85 to 115 % of nominal voltage.
    pub feed_p: f64,
    /// Reactive power of the inverters as seen by the meter, var.
    pub feed_q: f64,
    /// Harmonic currents as RMS amperes times √2, angle against the phase's own voltage, by index of the order.
    pub harmonics: [Complex; MAX_ORDERS],
}

/// See the module.
#[derive(Clone, Debug)]
pub struct LoadModel {
    loads: Vec<Load>,
    orders: Vec<u8>,
    seed: u64,
    offset_s: f64,
    u_nominal: f64,
    scale: f64,
}

/// Local civil time, as far as loads care.
struct Local {
    /// Seconds since 1970, local.
    s: f64,
    day: i64,
    /// Hour of the day with fraction.
    hour: f64,
    weekend: bool,
    /// 0 to 11.
    month: usize,
    /// 0 to 365.
    day_of_year: f64,
}

impl Local {
    fn new(utc_s: f64, offset_s: f64) -> Local {
        let s = utc_s + offset_s;
        let day = (s / 86_400.0).floor();
        let second = s - day * 86_400.0;
        let day = day as i64;
        // Days since 0000-03-01 in 400-year cycles (the usual civil calendar arithmetic).
        let shifted = day + 719_468;
        let in_era = shifted.rem_euclid(146_097);
        let year = (in_era - in_era / 1460 + in_era / 36_524 - in_era / 146_096) / 365;
        let since_march = in_era - (365 * year + year / 4 - year / 100);
        let month = ((5 * since_march + 2) / 153 + 2) % 12;
        Local {
            s,
            day,
            hour: second / 3600.0,
            // 1970-01-01 was a Thursday.
            weekend: (day + 3).rem_euclid(7) >= 5,
            month: usize::try_from(month).unwrap_or(0),
            day_of_year: ((since_march + 59) % 365) as f64,
        }
    }

    fn hour_index(&self) -> usize {
        (self.hour as usize).min(23)
    }
}

impl LoadModel {
    /// The loads of a scenario, divided by `ratio` (the current transformers; 1 for a direct meter).
    pub fn new(scenario: &Scenario, seed: u64, ratio: f64) -> LoadModel {
        LoadModel {
            loads: scenario.loads.clone(),
            orders: scenario.orders(),
            seed,
            offset_s: scenario.utc_offset_h * 3600.0,
            u_nominal: scenario.grid.u_nominal,
            scale: 1.0 / ratio,
        }
    }

    /// What L1 to L3 draw at a UTC time in seconds since 1970.
    pub fn at(&self, utc_s: f64) -> [Draw; 3] {
        let local = Local::new(utc_s, self.offset_s);
        let mut draws = [Draw::default(); 3];
        for (k, load) in self.loads.iter().enumerate() {
            let watts = self.watts(load, k as u64, &local) * self.scale;
            let common = load.common();
            let tan = (1.0 - common.pf * common.pf).sqrt() / common.pf;
            let mut vars = if common.leading { -watts.abs() * tan } else { watts.abs() * tan };
            if let Load::Constant(l) = load
                && let Some(own) = l.vars
            {
                vars = own * self.scale;
            }
            if watts == 0.0 && vars == 0.0 {
                continue;
            }
            let current = (watts * watts + vars * vars).sqrt() / self.u_nominal * std::f64::consts::SQRT_2;
            for &phase in common.phases {
                let draw = &mut draws[usize::from(phase) - 1];
                if matches!(load, Load::Solar(_)) {
                    draw.feed_p -= watts;
                    draw.feed_q += vars;
                } else {
                    draw.p += watts;
                    draw.q += vars;
                }
                for h in common.harmonics {
                    if let Some(index) = self.orders.iter().position(|o| *o == h.order) {
                        let amplitude = current * h.percent / 100.0;
                        draw.harmonics[index] =
                            draw.harmonics[index] + Complex::polar(amplitude, h.degrees.to_radians());
                    }
                }
            }
        }
        draws
    }

    /// Power per phase of one load, negative when it delivers.
    fn watts(&self, load: &Load, id: u64, local: &Local) -> f64 {
        // Streams of random numbers of one load, kept apart by their last digit.
        let stream = |n: u64| id * 10 + n + 1000;
        match load {
            Load::Constant(l) => l.watts,
            Load::Profile(l) => {
                let curve = l.weekend.as_ref().filter(|_| local.weekend).unwrap_or(&l.hours);
                let quarter = (local.s / 900.0).floor() as i64;
                let scatter = 1.0 + noise::signed(self.seed, stream(0), quarter) * l.scatter_percent / 100.0;
                l.watts * curve[local.hour_index()] * l.months[local.month] * scatter
            }
            Load::Cycle(l) => {
                let shift = noise::unit(self.seed, stream(0), 0) * l.period_s;
                let on = l.on_s * l.months[local.month];
                if (local.s + shift).rem_euclid(l.period_s) < on { l.watts } else { 0.0 }
            }
            Load::Appliance(l) => {
                let this_hour = (local.s / 3600.0).floor() as i64;
                // A use lasts an hour at most, so only this hour's and the last hour's can be running.
                let running = [this_hour - 1, this_hour].into_iter().any(|hour| {
                    let p = l.hours[usize::try_from(hour.rem_euclid(24)).unwrap_or(0)];
                    let start = (hour as f64 + noise::unit(self.seed, stream(1), hour)) * 3600.0;
                    noise::unit(self.seed, stream(0), hour) < p && (start..start + l.minutes * 60.0).contains(&local.s)
                });
                if running { l.watts } else { 0.0 }
            }
            Load::Solar(l) => -l.peak_watts * self.sun(l.clouds, stream(0), stream(1), local),
            Load::Ev(l) => {
                let charging = [local.day - 1, local.day].into_iter().any(|day| {
                    let hour = l.arrive_hour + noise::signed(self.seed, stream(1), day) * l.arrive_scatter_h;
                    let start = day as f64 * 86_400.0 + hour * 3600.0;
                    let kwh = l.kwh * (0.5 + noise::unit(self.seed, stream(2), day));
                    // A car leaves after 20 hours at the latest, so yesterday's is the oldest that can be there.
                    let length = (kwh * 3.6e6 / (l.watts * l.phases.len() as f64)).min(72_000.0);
                    noise::unit(self.seed, stream(0), day) < l.probability && (start..start + length).contains(&local.s)
                });
                if charging { l.watts } else { 0.0 }
            }
        }
    }

    /// Sun on the roof, 0 to 1.
    fn sun(&self, clouds: f64, by_day: u64, quick: u64, local: &Local) -> f64 {
        use std::f64::consts::{FRAC_PI_2, TAU};
        // Day length and height follow the sun's declination, greatest around 21 June (day 171), at about 55° north.
        let season = ((local.day_of_year - 171.0) / 365.0 * TAU).cos();
        let half_day = 6.0 + 2.4 * season;
        let x = (local.hour - 12.2) / half_day;
        if x.abs() >= 1.0 {
            return 0.0;
        }
        let clear = (x * FRAC_PI_2).cos() * (0.6 + 0.4 * season);
        let dull = noise::unit(self.seed, by_day, local.day);
        let passing = 0.5 + 0.5 * noise::walk(self.seed, quick, local.s, 300.0);
        clear * (1.0 - clouds * (0.6 * dull + 0.35 * passing)).max(0.03)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2025-06-21T00:00:00Z and 2025-12-21, a Saturday and a Sunday.
    const JUNE: f64 = 1_750_464_000.0;
    const DECEMBER: f64 = 1_766_275_200.0;

    fn day_kwh(name: &str, start: f64, seed: u64) -> (f64, f64) {
        let model = LoadModel::new(&Scenario::load(name).unwrap(), seed, 1.0);
        let (mut drawn, mut fed) = (0.0, 0.0);
        for minute in 0..1440 {
            for d in model.at(start + f64::from(minute) * 60.0) {
                drawn += d.p / 60_000.0;
                fed += d.feed_p / 60_000.0;
            }
        }
        (drawn, fed)
    }

    #[test]
    fn a_household_uses_more_in_winter_and_days_differ_by_seed() {
        let (summer, _) = day_kwh("household", JUNE, 1);
        let (winter, _) = day_kwh("household", DECEMBER, 1);
        assert!((5.0..40.0).contains(&summer), "{summer}");
        assert!((20.0..80.0).contains(&winter), "{winter}");
        assert!(winter > summer * 1.3);
        assert_eq!(day_kwh("household", JUNE, 1), day_kwh("household", JUNE, 1));
        assert_ne!(day_kwh("household", JUNE, 1), day_kwh("household", JUNE, 2));
    }

    #[test]
    fn the_sun_shines_by_day_and_more_in_june() {
        let (_, june) = day_kwh("solar", JUNE, 3);
        let (_, december) = day_kwh("solar", DECEMBER, 3);
        assert!((20.0..90.0).contains(&june) && december < june / 3.0, "{june} {december}");
        let model = LoadModel::new(&Scenario::load("solar").unwrap(), 3, 1.0);
        assert_eq!(model.at(JUNE + 0.5 * 3600.0)[0].feed_p, 0.0);
        assert!(model.at(JUNE + 11.0 * 3600.0)[0].feed_p > 300.0);
    }

    #[test]
    fn a_car_charges_in_the_evening_about_its_mean_energy() {
        let days = 60.0;
        let model = LoadModel::new(&Scenario::load("ev").unwrap(), 5, 1.0);
        let kwh: f64 = (0..60 * 1440)
            .map(|m| model.at(JUNE + f64::from(m) * 60.0)[1].p)
            .filter(|p| *p > 3000.0)
            .map(|_| 3.0 * 3.68 / 60.0)
            .sum();
        assert!((0.6..1.0).contains(&(kwh / days / 14.0)), "{kwh}");
        assert!(model.at(JUNE + 11.0 * 3600.0)[1].p < 1000.0);
    }

    #[test]
    fn months_are_read_from_the_calendar() {
        for (utc, month, day_of_year) in
            [(JUNE, 5, 171.0), (DECEMBER, 11, 354.0), (1_735_689_600.0, 0, 0.0), (1_740_787_200.0, 2, 59.0)]
        {
            let local = Local::new(utc, 0.0);
            assert_eq!((local.month, local.day_of_year), (month, day_of_year));
        }
        assert!(Local::new(JUNE, 0.0).weekend && !Local::new(JUNE - 86_400.0, 0.0).weekend);
    }

    #[test]
    fn current_transformers_divide_everything() {
        let scenario = Scenario::load("industry-ct").unwrap();
        let (one, fifty) = (LoadModel::new(&scenario, 1, 1.0), LoadModel::new(&scenario, 1, 50.0));
        let (a, b) = (one.at(JUNE)[0], fifty.at(JUNE)[0]);
        assert!((a.p / b.p - 50.0).abs() < 1e-9 && (a.q / b.q - 50.0).abs() < 1e-9);
        assert!((a.harmonics[1].length() / b.harmonics[1].length() - 50.0).abs() < 1e-9);
    }
}
