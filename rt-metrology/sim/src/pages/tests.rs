//! Lives of several kinds of meter, with and without faults.

use super::*;

/// 2025-10-15T16:00:00Z.
const START: i64 = 1_760_544_000_000_000;

fn options(kind: MeterType, scenario: &str, days: u32, faults: u8) -> LifeOptions {
    let scenario = Scenario::load(scenario).unwrap();
    LifeOptions { meter_type: kind, scenario, seed: 5, start_us: START, days, faults }
}

fn records(items: &[Item]) -> Vec<HistoryRecord> {
    items.iter().filter_map(|i| if let Item::History(r) = i { Some(*r) } else { None }).collect()
}

#[test]
fn a_quiet_day_has_1440_minutes_and_exact_energy() {
    let items: Vec<Item> = Life::new(&options(MeterType::ThreePhase, "quiet", 1, 0)).collect();
    let records = records(&items);
    assert!(matches!(items[0], Item::Hello(h) if h.memory_reset && h.boots == 1));
    assert_eq!(records[0].kind, HistoryKind::Boot);
    assert_eq!(
        records.iter().filter(|r| r.kind == HistoryKind::Minute).count(),
        1440,
        "the last minute ends with the life"
    );
    for pair in records[1..].windows(2) {
        assert_eq!((pair[1].seq, pair[1].minute), (pair[0].seq + 1, pair[0].minute + 1));
        let (a, b) = (&pair[0].snapshot, &pair[1].snapshot);
        assert_eq!(b.t_samples - a.t_samples, 480_000);
        assert_eq!(b.counters.phase[0].a_plus - a.counters.phase[0].a_plus, 2_300 * 60_000);
        assert_eq!(b.counters.phase[2].a_minus - a.counters.phase[2].a_minus, 1_000 * 60_000);
        assert_eq!((b.window - a.window, b.sums.f_uhz - a.sums.f_uhz), (300, 300 * 50_000_000));
        assert_eq!(b.sums.phase[0].u_mv - a.sums.phase[0].u_mv, 300 * 230_000);
    }
    let Some(Item::Billing(last)) = items.last() else { panic!("the last item tells the counters") };
    assert_eq!(last.snapshot.counters.phase[0].a_plus, 2_300 * 86_400_000);
    assert_eq!(last.snapshot.counters.total.a_minus, 1_000 * 86_400_000);
}

#[test]
fn the_same_options_give_the_same_life_and_counters_never_fall() {
    for kind in [MeterType::OnePhase, MeterType::ThreePhase, MeterType::Aron, MeterType::Ct, MeterType::CtAron] {
        let name = if kind.transformers() { "industry-ct" } else { "solar" };
        let options = options(kind, name, 5, 3);
        let items: Vec<Item> = Life::new(&options).collect();
        assert_eq!(items, Life::new(&options).collect::<Vec<_>>());
        assert_ne!(items, Life::new(&LifeOptions { seed: 6, ..options }).collect::<Vec<_>>());
        let records = records(&items);
        for pair in records.windows(2) {
            let (a, b) = (&pair[0].snapshot, &pair[1].snapshot);
            assert!(b.t_samples >= a.t_samples && b.boots >= a.boots && b.down_us >= a.down_us);
            assert!(b.counters.total.a_plus >= a.counters.total.a_plus);
            assert!(b.counters.total.a_minus >= a.counters.total.a_minus);
        }
        assert!(records.last().unwrap().snapshot.counters.total.a_plus > 1_000_000_000, "{kind}");
    }
}

#[test]
fn faults_bring_starts_clock_changes_and_losses_that_are_told() {
    let items: Vec<Item> = Life::new(&options(MeterType::ThreePhase, "household", 90, 3)).collect();
    let count = |f: fn(&Item) -> bool| items.iter().filter(|i| f(i)).count();
    assert!(count(|i| matches!(i, Item::Hello(_))) > 100);
    assert!(count(|i| matches!(i, Item::History(r) if r.kind == HistoryKind::GridChange)) > 20);
    assert!(count(|i| matches!(i, Item::History(r) if r.kind == HistoryKind::PowerFail)) > 50);
    assert!(count(|i| matches!(i, Item::History(r) if r.kind == HistoryKind::InputEdge)) > 50);
    assert!(count(|i| matches!(i, Item::HistoryLost { .. })) > 1);
    // Every sequence number is delivered or told as lost, in order.
    let (mut record, mut event) = (1, 1);
    for item in &items {
        match item {
            Item::History(r) => {
                assert_eq!(r.seq, record);
                record += 1;
            }
            Item::HistoryLost { from, to } => {
                assert_eq!(*from, record);
                record = to + 1;
            }
            Item::Event(e) => {
                assert_eq!(e.seq, event);
                event += 1;
            }
            Item::Hello(_) | Item::Billing(_) => {}
        }
    }
    let Some(Item::Billing(last)) = items.last() else { panic!("the last item tells the counters") };
    assert_eq!((last.history_last, last.event_last), (record - 1, event - 1));
}

#[test]
fn a_tariff_edge_lies_on_its_second_and_the_energy_of_the_minute_does_not_change() {
    let items: Vec<Item> = Life::new(&options(MeterType::ThreePhase, "disturbed", 1, 0)).collect();
    let records = records(&items);
    let edge = records.iter().position(|r| r.kind == HistoryKind::InputEdge).unwrap();
    assert_eq!(records[edge].snapshot.t_samples, 110 * RATE);
    assert_eq!(records[edge].snapshot.inputs.0 & Inputs::TARIFF, 0b010);
    assert_eq!(records[edge - 1].snapshot.inputs.0 & Inputs::TARIFF, 0);
    assert_eq!(records[edge + 1].snapshot.t_samples, 120 * RATE);
    // The blackout at 130 s for 12 s, and 0.3 s until it meters again.
    let boot = records.iter().find(|r| r.kind == HistoryKind::Boot && r.snapshot.boots == 2).unwrap();
    assert_eq!(boot.snapshot.t_samples, 1423 * RATE / 10);
    assert_eq!(boot.snapshot.down_us, 12_300_000);
}
