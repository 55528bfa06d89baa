//! The software codes: `Z1=3 Z2=1 Z3=01 …`, in any order, each at most once.

use core::fmt;

use super::tables::{Code, SOFTWARE_CODES};
use super::{Family, OrderError, TypeNumber, find};
use crate::debiting::{Cycle, Schedule};
use crate::settings::Params;
use crate::tariff::{Ports, Rule, Source};

/// Number of fields.
pub const SOFTWARE_FIELDS: usize = 30;

/// Codes of one meter. Every value exists for its family, and none contradicts another or the type number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SoftwareCodes {
    type_number: TypeNumber,
    values: [Option<&'static Code>; SOFTWARE_FIELDS],
}

/// What the meter core is told by codes. `None` = no code says anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Configuration {
    /// Z4: integration period, minutes.
    pub period_min: Option<u8>,
    /// Z6, Z7: automatic debiting stops.
    pub debiting: Option<Schedule>,
    /// Z3 15: a pulse on port 1 is a debiting stop.
    pub debiting_pulse: bool,
    /// Z11: normal time minus UTC, minutes.
    pub offset_min: Option<i16>,
    /// Z13 with Z3: what decides about tariffs. With a tariff order form it is an internal plan.
    pub source: Option<Source>,
    /// Z15: daylight saving.
    pub daylight: Option<Rule>,
    /// Z21: current transformer ratio.
    pub ct_ratio: Option<u16>,
    /// Z22: whether the ratio may not be changed.
    pub ratio_locked: Option<bool>,
    /// Z25: debiting logger 2.
    pub debiting_2: Option<Cycle>,
}

impl Configuration {
    /// Parameters with what the codes say, and the rest from `base`.
    pub fn params(&self, base: Params) -> Params {
        Params {
            period_min: self.period_min.unwrap_or(base.period_min),
            ct_ratio: self.ct_ratio.unwrap_or(base.ct_ratio),
            offset_min: self.offset_min.unwrap_or(base.offset_min),
            debiting: self.debiting.unwrap_or(base.debiting),
            debiting_2: self.debiting_2.unwrap_or(base.debiting_2),
            debiting_pulse: self.debiting_pulse,
            ..base
        }
    }
}

/// Z4, minutes.
const PERIODS: [(&str, u8); 3] = [("2", 15), ("3", 30), ("4", 60)];
/// Z25.
const CYCLES: [(&str, Cycle); 3] = [("1", Cycle::Daily), ("2", Cycle::Weekly), ("3", Cycle::Monthly)];
/// Z15.
const DAYLIGHT: [(&str, Rule); 2] = [("000", Rule::None), ("001", Rule::Eu)];
/// Z3 values that are tariff inputs. The first of each source is the one written for it.
const TARIFF_PORTS: [(&str, Ports, bool); 12] = [
    ("01", Ports::Both, false),
    ("02", Ports::Both, true),
    ("07", Ports::First, false),
    ("08", Ports::First, true),
    ("13", Ports::Second, false),
    ("14", Ports::Second, true),
    ("09", Ports::First, false),
    ("10", Ports::First, true),
    ("11", Ports::First, false),
    ("12", Ports::First, true),
    ("22", Ports::Both, false),
    ("23", Ports::Both, true),
];
/// Z7: intervals in the order of their codes; each has as many codes as first months.
const INTERVALS: [u8; 5] = [1, 2, 3, 6, 12];

impl SoftwareCodes {
    /// Reads codes for a meter of this type number, separated by spaces, commas or lines.
    ///
    /// # Errors
    /// The first field that is unknown, doubled, not a code of the family, or that contradicts another.
    pub fn parse(type_number: TypeNumber, text: &str) -> Result<SoftwareCodes, OrderError> {
        let mut codes = SoftwareCodes { type_number, values: [None; SOFTWARE_FIELDS] };
        for word in text.split([' ', ',', '\n', '\r', '\t']).filter(|w| !w.is_empty()) {
            let pair = word.split_once('=').and_then(|(name, value)| {
                let digits =
                    name.strip_prefix('Z').filter(|n| n.len() <= 2 && n.bytes().all(|b| b.is_ascii_digit()))?;
                Some((digits.parse::<u8>().ok()?, value))
            });
            let (field, value) = pair
                .filter(|(field, _)| (1..=SOFTWARE_FIELDS as u8).contains(field))
                .ok_or_else(|| OrderError::new("codes", format!("{word:?} is not of the form Z1=… to Z30=…")))?;
            let slot = &mut codes.values[usize::from(field) - 1];
            if slot.is_some() {
                return Err(OrderError::new(format!("Z{field}"), "stands there twice"));
            }
            *slot = Some(find(SOFTWARE_CODES, 'Z', field, value, type_number.family())?);
        }
        codes.check()?;
        Ok(codes)
    }

    /// The type number the codes belong to.
    pub fn type_number(&self) -> &TypeNumber {
        &self.type_number
    }

    /// The codes that are set, in the order of their fields.
    pub fn codes(&self) -> impl Iterator<Item = &'static Code> + '_ {
        self.values.iter().flatten().copied()
    }

    /// The value of a field; `None` when it is not set.
    pub fn value(&self, field: u8) -> Option<&'static str> {
        self.values.get(usize::from(field).wrapping_sub(1))?.map(|c| c.value)
    }

    /// Refuses values that contradict each other or the type number.
    fn check(&self) -> Result<(), OrderError> {
        let value = |field| self.value(field).unwrap_or_default();
        let wrong = |field: u8, reason: &str| Err(OrderError::new(format!("Z{field}"), reason));
        if value(13) == "001" && self.value(3).is_some() && self.ports().is_none() {
            return wrong(13, "tariffs by module ports need a tariff function in Z3");
        }
        let variant_2 = self.type_number.is_variant_2();
        let profile: u8 = value(29).parse().unwrap_or(0);
        let six_or_more = match self.type_number.family() {
            Family::Ct => profile % 10 >= 5,
            _ => profile >= 4,
        };
        for (field, needs) in
            [(27, value(27) == "2"), (28, matches!(value(28), "1" | "2")), (29, six_or_more), (30, value(30) == "2")]
        {
            if needs && !variant_2 {
                return wrong(field, "needs variant 2 (X8)");
            }
        }
        if value(28) == "0" && variant_2 {
            return wrong(28, "variant 2 has encryption: 1 or 2");
        }
        if let (Some(basis), true) = (self.value(23), profile > 0)
            && (basis == "2") != (profile > 10)
        {
            return wrong(29, "load profile set and Z23 disagree about primary and secondary energy");
        }
        let (measured, logged) = (self.type_number.value(9), profile % 10);
        let ct = self.type_number.family() == Family::Ct;
        let fits = match measured {
            "1" => logged <= 1,
            "2" => logged <= 2,
            "3" => matches!(logged, 0 | 1 | 3),
            _ => true,
        };
        if !fits || (measured == "3" && !ct) {
            return wrong(29, "the meter does not measure all of these energies (X9)");
        }
        if self.value(19).is_some_and(|position| (position == "0") != (self.type_number.value(10) == "0")) {
            return wrong(19, "breaker position and X10 disagree about whether there is a breaker");
        }
        if self.value(16).is_some_and(|radio| radio != "000") && self.type_number.value(11) == "0" {
            return wrong(16, "a radio frequency needs a radio (X11)");
        }
        Ok(())
    }

    /// The tariff inputs that Z3 makes.
    fn ports(&self) -> Option<Source> {
        let value = self.value(3)?;
        let (_, ports, inverted) = TARIFF_PORTS.iter().find(|(code, ..)| *code == value)?;
        Some(Source::Inputs { ports: *ports, inverted: *inverted })
    }

    /// What the codes tell the meter core.
    pub fn configuration(&self) -> Configuration {
        let of = |field| self.value(field);
        let debiting = of(7).and_then(|code| schedule(code, of(6)));
        let source = of(13).map(|code| match code {
            "000" => Source::Off,
            "001" => self.ports().unwrap_or_default(),
            "002" => Source::OnDemand,
            _ => Source::Plan,
        });
        Configuration {
            period_min: of(4).and_then(|code| by_code(&PERIODS, code)),
            debiting,
            debiting_pulse: of(3) == Some("15"),
            offset_min: of(11)
                .and_then(|code| code.parse::<i16>().ok())
                .map(|n| if n <= 12 { n * 60 } else { (n - 24) * 60 }),
            source,
            daylight: of(15).and_then(|code| by_code(&DAYLIGHT, code)),
            ct_ratio: of(21).and_then(|code| code.parse().ok()),
            ratio_locked: of(22).map(|code| code == "2"),
            debiting_2: of(25).and_then(|code| by_code(&CYCLES, code)),
        }
    }

    /// The codes with what a configuration says; codes of other functions stay.
    ///
    /// # Errors
    /// The first field that has no code for its value.
    pub fn with(&self, configuration: &Configuration) -> Result<SoftwareCodes, OrderError> {
        let mut codes = self.clone();
        let c = configuration;
        let offset = c.offset_min.map(|min| {
            let hours = if min % 60 == 0 { min / 60 } else { i16::MAX };
            if hours < 0 { format!("{:02}", hours + 24) } else { format!("{hours:02}") }
        });
        let no_code = || String::from("?");
        codes.set(4, c.period_min.map(|v| code_of(&PERIODS, v)))?;
        codes.set(6, c.debiting.filter(|s| s.months > 0).map(|s| format!("{:02}", s.day)))?;
        codes.set(7, c.debiting.map(|s| interval_code(s).unwrap_or_else(no_code)))?;
        codes.set(11, offset)?;
        codes.set(15, c.daylight.map(|v| code_of(&DAYLIGHT, v)))?;
        codes.set(21, c.ct_ratio.filter(|_| codes.type_number.family() == Family::Ct).map(|n| format!("{n:03}")))?;
        codes.set(22, c.ratio_locked.map(|locked| String::from(if locked { "2" } else { "1" })))?;
        codes.set(25, c.debiting_2.map(|v| code_of(&CYCLES, v)))?;
        codes.set(
            13,
            c.source.map(|source| {
                String::from(match source {
                    Source::Off => "000",
                    Source::Inputs { .. } => "001",
                    Source::OnDemand => "002",
                    Source::Plan => "-",
                })
            }),
        )?;
        if let Some(Source::Inputs { ports, inverted }) = c.source
            && codes.ports() != c.source
        {
            let code = TARIFF_PORTS.iter().find(|(_, p, i)| (*p, *i) == (ports, inverted)).map(|(code, ..)| *code);
            codes.set(3, code.map(String::from))?;
        }
        if c.debiting_pulse {
            codes.set(3, Some("15".into()))?;
        }
        codes.check()?;
        Ok(codes)
    }

    fn set(&mut self, field: u8, value: Option<String>) -> Result<(), OrderError> {
        if let Some(value) = value {
            let code = find(SOFTWARE_CODES, 'Z', field, &value, self.type_number.family())?;
            self.values[usize::from(field) - 1] = Some(code);
        }
        Ok(())
    }
}

/// `Z1=3 Z2=1 …`
impl fmt::Display for SoftwareCodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, code) in self.codes().enumerate() {
            write!(f, "{}Z{}={}", if n == 0 { "" } else { " " }, code.field, code.value)?;
        }
        Ok(())
    }
}

fn by_code<T: Copy>(table: &[(&str, T)], code: &str) -> Option<T> {
    table.iter().find(|(c, _)| *c == code).map(|(_, value)| *value)
}

/// `?` is the code of nothing, so that the field is named in the error.
fn code_of<T: Copy + PartialEq>(table: &[(&str, T)], value: T) -> String {
    table.iter().find(|(_, v)| *v == value).map_or("?", |(code, _)| *code).into()
}

/// Z7 and Z6 as a schedule.
fn schedule(interval: &str, day: Option<&str>) -> Option<Schedule> {
    let mut code = interval.parse::<u8>().ok()?;
    let day = day.and_then(|day| day.parse().ok()).unwrap_or(1);
    if code == 0 {
        return Some(Schedule { day, months: 0, first: 1 });
    }
    for months in INTERVALS {
        if code <= months {
            return Some(Schedule { day, months, first: code });
        }
        code -= months;
    }
    None
}

/// The inverse of [`schedule`].
fn interval_code(schedule: Schedule) -> Option<String> {
    if schedule.months == 0 {
        return Some("00".into());
    }
    let before: u8 = INTERVALS.iter().take_while(|m| **m < schedule.months).sum();
    INTERVALS.contains(&schedule.months).then(|| format!("{:02}", before + schedule.first))
}
