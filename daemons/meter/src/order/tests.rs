use super::*;
use crate::debiting::{Cycle, Schedule};
use crate::settings::{MeterType, Params};
use crate::tariff::{Ports, Rule, Source};

const THREE_PHASE: &str = "684-13-3B1-N24-3101-123";

fn number(text: &str) -> TypeNumber {
    text.parse().unwrap()
}

fn error(type_number: &str, codes: &str) -> String {
    SoftwareCodes::parse(number(type_number), codes).unwrap_err().to_string()
}

// covers: ORD-001 ORD-002
#[test]
fn type_numbers_are_read_and_written_back() {
    for (text, meter_type, variant_2) in [
        ("684-11-31B-N14-3111-XXX", MeterType::ThreePhase, false),
        ("684-15-262-N24-5002-001", MeterType::Aron, true),
        ("686-12-17A-N11-2001-123", MeterType::OnePhase, false),
        ("685-11-31C-D23-0111-123", MeterType::Ct, true),
        ("685-11-255-D14-0011-123", MeterType::CtAron, false),
    ] {
        let read = number(text);
        assert_eq!((read.to_string().as_str(), read.meter_type(), read.is_variant_2()), (text, meter_type, variant_2));
        assert_eq!(text.replace('-', "").parse(), Ok(read), "without dashes");
    }
    // X3 = 3 is no housing of any family.
    for (text, wanted) in [
        (THREE_PHASE, "X3: \"3\" is not a code of 684 meters; these are: 1, 5"),
        ("687-11-31B-N14-3111-123", "X1: must be 4, 5 or 6"),
        ("694-11-31B-N14-3111-123", "type number: must begin with 68"),
        ("684-12-31B-N14-3111-123", "X3: \"2\" is not a code of 684"),
        ("686-11-31B-N14-3111-123", "X4: \"3\" is not a code of 686 meters; these are: 1"),
        ("684-11-32B-N14-3111-123", "X5: \"2\" is not a code of 684"),
        ("684-11-31C-N14-3111-123", "X6: \"C\" is not a code of 684"),
        ("685-11-31B-N14-0111-123", "X7: \"N\" is not a code of 685 meters; these are: D"),
        ("684-11-31B-N34-3111-123", "X8: \"3\" is not a code of 684"),
        ("684-11-31B-N13-3111-123", "X9: \"3\" is not a code of 684 meters; these are: 1, 2, 4"),
        ("685-11-31B-D14-3111-123", "X10: \"3\" is not a code of 685 meters; these are: 0"),
        ("685-11-31B-D14-0101-123", "X12: \"0\" is not a code of 685 meters; these are: 1"),
        ("686-11-11B-N14-3110-123", "X13: \"0\" is not a code of 686 meters; these are: 1"),
        ("684-11-31B-N14-3111-12", "type number: must have 18"),
        ("68-411-31B-N14-3111-123", "type number: must have 18"),
        ("", "type number: must have 18"),
        ("684-11-31B-N14-3111-12ä", "type number: must have 18"),
    ] {
        assert!(text.parse::<TypeNumber>().unwrap_err().to_string().starts_with(wanted), "{text}");
    }
}

const D2: &str = "684-11-31B-N24-3111-123";
const D1: &str = "684-11-31B-N14-3011-123";
const CT2: &str = "685-11-31B-D24-0111-123";

// covers: ORD-003 ORD-004 ORD-005 ORD-006 ORD-007 ORD-008 ORD-009 TIM-006 LOG-015 LOG-016 LOG-002
#[test]
fn codes_become_configuration_and_come_back() {
    let text = "Z1=4 Z2=1 Z3=02 Z4=3 Z5=- Z6=28 Z7=11 Z8=3 Z9=- Z10=000 Z11=13 Z12=02 Z13=001 Z14=000 Z15=001 Z16=328 \
                Z17=000 Z18=001 Z19=1 Z20=- Z25=2 Z26=000 Z27=2 Z28=1 Z29=5 Z30=2";
    let codes = SoftwareCodes::parse(number(D2), text).unwrap();
    assert_eq!(codes.to_string(), text);
    let c = codes.configuration();
    assert_eq!(c.period_min, Some(30));
    assert_eq!(c.debiting, Some(Schedule { day: 28, months: 6, first: 5 }));
    assert_eq!(c.offset_min, Some(-660));
    assert_eq!(c.source, Some(Source::Inputs { ports: Ports::Both, inverted: true }));
    assert_eq!((c.daylight, c.debiting_2, c.ct_ratio), (Some(Rule::Eu), Some(Cycle::Weekly), None));
    assert_eq!(codes.with(&c), Ok(codes.clone()));
    assert_eq!(c.params(Params::default()).check(MeterType::ThreePhase), Ok(()));
    let ct = SoftwareCodes::parse(number(CT2), "Z21=600 Z22=2 Z23=2 Z24=0 Z29=16 Z3=15 Z13=002").unwrap();
    let c = ct.configuration();
    assert_eq!((c.ct_ratio, c.ratio_locked, c.debiting_pulse), (Some(600), Some(true), true));
    assert_eq!(c.source, Some(Source::OnDemand));
    assert_eq!(ct.with(&c), Ok(ct.clone()));
    assert_eq!(c.params(Params::default()).ct_ratio, 600);
}

/// Every value of the fields that the core acts on, alone, there and back.
#[test]
fn every_code_that_the_core_acts_on_comes_back() {
    let mut seen = 0;
    for (text, family) in [(D2, Family::ThreePhase), (CT2, Family::Ct)] {
        for code in SOFTWARE_CODES.iter().filter(|c| c.on(family)) {
            if !matches!(code.field, 4 | 7 | 11 | 13 | 15 | 21 | 22 | 25) {
                continue;
            }
            // A schedule needs its day, tariff ports need ports.
            let with = match code.field {
                7 if code.value != "00" => " Z6=09",
                13 if code.value == "001" => " Z3=01",
                _ => "",
            };
            let codes = SoftwareCodes::parse(number(text), &format!("Z{}={}{with}", code.field, code.value)).unwrap();
            let none = SoftwareCodes::parse(number(text), "").unwrap();
            assert_eq!(none.with(&codes.configuration()).unwrap(), codes, "Z{}={}", code.field, code.value);
            seen += 1;
        }
    }
    assert_eq!(seen, 2 * (3 + 25 + 24 + 4 + 2 + 3) + 17 + 2);
    for hours in -11..=12i16 {
        let c = Configuration { offset_min: Some(hours * 60), ..Configuration::default() };
        let codes = SoftwareCodes::parse(number(D2), "").unwrap().with(&c).unwrap();
        assert_eq!(codes.configuration(), c);
    }
}

// covers: ORD-003 ORD-014
#[test]
fn wrong_codes_and_combinations_are_refused_by_their_field() {
    for (type_number, codes, wanted) in [
        (D2, "Z4=1", "Z4: \"1\" is not a code of 684 meters; these are: 2, 3, 4"),
        (D2, "Z3=24", "Z3: \"24\" is not a code"),
        (D2, "Z3=1", "Z3: \"1\" is not a code"),
        (D2, "Z6=29", "Z6: \"29\" is not a code"),
        (D2, "Z21=001", "Z21: 684 meters have no such field"),
        (CT2, "Z19=0", "Z19: 685 meters have no such field"),
        (CT2, "Z9=-", "Z9: 685 meters have no such field"),
        (CT2, "Z21=005", "Z21: \"005\" is not a code"),
        (CT2, "Z3=29", "Z3: \"29\" is not a code"),
        (D2, "Z31=0", "codes: \"Z31=0\" is not of the form"),
        (D2, "Z0=0", "codes: \"Z0=0\" is not of the form"),
        (D2, "Z4", "codes: \"Z4\" is not of the form"),
        (D2, "Z4=2 Z4=2", "Z4: stands there twice"),
        (D2, "Z13=001 Z3=03", "Z13: tariffs by module ports need"),
        (D1, "Z27=2", "Z27: needs variant 2"),
        (D1, "Z28=1", "Z28: needs variant 2"),
        (D2, "Z28=0", "Z28: variant 2 has encryption"),
        (D1, "Z29=4", "Z29: needs variant 2"),
        (D1, "Z30=2", "Z30: needs variant 2"),
        (CT2, "Z23=1 Z29=11", "Z29: load profile set and Z23 disagree"),
        (CT2, "Z23=2 Z29=4", "Z29: load profile set and Z23 disagree"),
        ("684-11-31B-N21-3111-123", "Z29=2", "Z29: the meter does not measure"),
        ("684-11-31B-N22-3111-123", "Z29=3", "Z29: the meter does not measure"),
        ("685-11-31B-D23-0111-123", "Z29=2", "Z29: the meter does not measure"),
        (D2, "Z19=0", "Z19: breaker position and X10 disagree"),
        ("684-11-31B-N24-0111-123", "Z19=1", "Z19: breaker position and X10 disagree"),
        (D1, "Z16=328", "Z16: a radio frequency needs a radio"),
    ] {
        let error = error(type_number, codes);
        assert!(error.starts_with(wanted), "{codes}: {error}");
    }
    // What has no code is named too.
    let none = SoftwareCodes::parse(number(CT2), "").unwrap();
    let with = |c: Configuration| none.with(&c).unwrap_err().field;
    let c = Configuration::default();
    assert_eq!(with(Configuration { ct_ratio: Some(5), ..c }), "Z21");
    assert_eq!(with(Configuration { offset_min: Some(330), ..c }), "Z11");
    assert_eq!(with(Configuration { daylight: Some(Rule::List), ..c }), "Z15");
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "[68XZ0-9=NDABC -]{0,40}") {
        if let Ok(read) = text.parse::<TypeNumber>() {
            proptest::prop_assert_eq!(read.to_string().parse(), Ok(read));
        }
        if let Ok(codes) = SoftwareCodes::parse(number(D2), &text) {
            proptest::prop_assert_eq!(SoftwareCodes::parse(number(D2), &codes.to_string()), Ok(codes));
        }
    }
}
