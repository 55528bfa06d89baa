//! The load model at length: a year of minutes in every kind of meter is a matter of seconds.
#![allow(clippy::unwrap_used)] // a failed unwrap fails the test

use metrology_sim::pages::{Item, Life, LifeOptions};
use metrology_sim::{MeterType, Scenario};

#[test]
fn a_year_has_every_minute_and_a_plausible_energy() {
    let options = LifeOptions {
        meter_type: MeterType::ThreePhase,
        scenario: Scenario::load("household").unwrap(),
        seed: 1,
        start_us: 1_735_689_600_000_000,
        days: 365,
        faults: 0,
    };
    let begun = std::time::Instant::now();
    let (mut minutes, mut items, mut last) = (0, 0, None);
    for item in Life::new(&options) {
        items += 1;
        match item {
            Item::History(r) if r.kind == metrology_link::payload::HistoryKind::Minute => minutes += 1,
            Item::Billing(b) => last = Some(b),
            _ => {}
        }
    }
    println!("{items} items in {:?}", begun.elapsed());
    assert_eq!(minutes, 365 * 1440);
    let kwh = last.unwrap().snapshot.counters.total.a_plus / 3_600_000_000;
    assert!((5_000..25_000).contains(&kwh), "{kwh} kWh");
}
