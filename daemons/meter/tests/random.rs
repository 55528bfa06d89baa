//! Random lives: whatever happens, and however often registerd dies in between, the rows are those of a life in which
//! it never died, the sums are exact, and every stored row can be proved. Controls show that the proof would fail.

mod common;

use common::{Device, Host, Load, MINUTE, NOON, WINDOW_US};
use meter_core::tariff::{Tariff, Tariffs};
use meter_core::{Command, Durable, Fault, Input, LoggerId, Meter, MeterType, Params, Row, Settings, Verifier};
use meter_model::{Mono, Status, Utc};
use metrology_link::payload;
use proptest::prelude::*;

/// One thing that happens to a meter.
#[derive(Clone, Debug)]
enum Op {
    /// Windows with this load, with registerd alive.
    Run {
        windows: u32,
        load: Load,
    },
    /// Windows with registerd away in the life with crashes: at most 100 minutes, less than the ring holds.
    Away {
        windows: u32,
        load: Load,
    },
    /// A window of another length, so that minutes fall inside windows.
    Odd {
        us: i64,
    },
    /// registerd is killed between a step and its commit, at the n-th step from here, and started again.
    Crash {
        step: u32,
    },
    Edge,
    Overload,
    Reset {
        down_us: i64,
    },
    PowerFail,
    Reconfigure,
    ClockSet {
        minutes: i64,
    },
    ClockAdjust {
        us: i64,
    },
    Period {
        minutes: u8,
        ratio: u16,
    },
    /// State of the tariff inputs.
    Inputs {
        bits: u32,
    },
    /// A tariff on demand.
    Demand {
        tariff: u8,
    },
    DebitingStop,
}

/// What decides about tariffs in a life. The tests know the plan as a list, too.
const SOURCES: [&str; 4] = ["off", "inputs-4", "on-demand", "plan"];

/// Minute of the day and tariff, without seasons or daylight saving; a life takes a day or two.
const PLAN: [(i64, u8); 10] =
    [(0, 1), (300, 2), (730, 3), (745, 4), (746, 5), (820, 6), (900, 7), (1080, 8), (1201, 1), (1350, 2)];

fn tariffs(source: usize) -> Tariffs {
    let shifts = PLAN.map(|(m, t)| format!("'{:02}:{:02} T{t}'", m / 60, m % 60)).join(", ");
    let text = format!("source = '{}'\n[plan.1.season.1]\nworking = [{shifts}]", SOURCES[source]);
    Tariffs::parse(&text).expect("possible").0
}

/// A+ per tariff, window by window: what the test counts itself. A window belongs to the minute in which it ends; one
/// that ends with the minute to that minute.
fn by_tariff(source: usize, device: &Device) -> [u128; 8] {
    let mut sums = [0; 8];
    for (end, inputs, mj, tag) in &device.windows {
        let of_day = (end - 1).div_euclid(MINUTE).rem_euclid(1440);
        let tariff = match SOURCES[source] {
            "inputs-4" => (inputs & 3) as u8 + 1,
            "on-demand" => tag.demanded,
            "plan" => PLAN.iter().rev().find(|(m, _)| *m <= of_day).expect("it begins at midnight").1,
            _ => 1,
        };
        sums[usize::from(tariff) - 1] += u128::from(mj * tag.ratio);
    }
    sums
}

fn load() -> impl Strategy<Value = Load> {
    (0..1u64 << 40, 0..1u64 << 40, any::<[u16; 4]>(), 0..400_000u64, 0..100_000_000u64).prop_map(
        |(import, export, reactive, u_mv, i_ua)| Load { import, export, reactive: reactive.map(u64::from), u_mv, i_ua },
    )
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (1..300u32, load()).prop_map(|(windows, load)| Op::Run { windows, load }),
        4 => (1..600u32, load()).prop_map(|(windows, load)| Op::Away { windows, load }),
        2 => (1_000..9_999_000i64).prop_map(|us| Op::Odd { us }),
        4 => (0..8u32).prop_map(|step| Op::Crash { step }),
        2 => Just(Op::Edge),
        1 => Just(Op::Overload),
        2 => (0..200 * MINUTE).prop_map(|down_us| Op::Reset { down_us }),
        1 => Just(Op::PowerFail),
        1 => Just(Op::Reconfigure),
        2 => (-3000..3000i64).prop_map(|minutes| Op::ClockSet { minutes }),
        2 => (-9_000_000..=9_000_000i64).prop_map(|us| Op::ClockAdjust { us }),
        3 => (0..4u32).prop_map(|bits| Op::Inputs { bits }),
        2 => (1..=8u8).prop_map(|tariff| Op::Demand { tariff }),
        1 => Just(Op::DebitingStop),
        1 => (prop_oneof![Just(15u8), Just(30), Just(60)], 1..=600u16).prop_map(|(minutes, ratio)| Op::Period { minutes, ratio }),
    ]
}

/// What one life leaves.
struct Life {
    host: Host,
    device: Device,
    /// Primary A+ counted by the test itself: Δsecondary × ratio in force.
    primary: u128,
}

/// Lives through the operations; with `crashes` registerd dies as they say, without it never does.
fn live(settings: &Settings, ops: &[Op], crashes: bool) -> Life {
    let device = Device::new(1, NOON + 3 * MINUTE + 1, payload::ClockQuality::Valid);
    let mut life = Life { host: Host::new(settings.clone()), device, primary: 0 };
    let Life { host, device, primary } = &mut life;
    let mut params = settings.params;
    let mut ratio = u128::from(params.ct_ratio);
    let mut counted = 0;
    device.tag.ratio = ratio as u64;
    host.pump(device);
    for op in ops {
        match op {
            Op::Run { windows, load } => {
                device.load = *load;
                host.run(device, *windows);
            }
            Op::Away { windows, load } => {
                device.load = *load;
                for _ in 0..*windows {
                    device.window(WINDOW_US);
                    if !crashes {
                        host.pump(device);
                    }
                }
                if crashes {
                    host.restart();
                }
            }
            Op::Odd { us } => device.window(*us),
            Op::Crash { step } if crashes => crash(host, device, *step),
            Op::Crash { .. } => {}
            Op::Edge => device.edge(),
            Op::Overload => device.overload(),
            Op::Reset { down_us } => device.reset(*down_us),
            Op::PowerFail => device.power_fail(),
            Op::Reconfigure => device.reconfigure(),
            Op::ClockSet { minutes } => {
                host.pump(device);
                let to = Utc(device.utc() + minutes * MINUTE);
                // Not within a minute of now, so that both lives see a set (an adjustment is another operation).
                if minutes.abs() > 1 {
                    assert_eq!(host.command(device, Command::ClockSet(to)), Ok(()));
                }
            }
            Op::ClockAdjust { us } => {
                host.pump(device);
                assert_eq!(host.command(device, Command::ClockAdjust(*us)), Ok(()));
            }
            Op::Period { minutes, ratio: new } => {
                host.pump(device);
                let now = u128::from(device.snapshot.counters.total.a_plus);
                *primary += (now - counted) * ratio;
                counted = now;
                let ct_ratio = if settings.meter_type.is_ct() { *new } else { 1 };
                ratio = ct_ratio.into();
                params = Params { period_min: *minutes, ct_ratio, ..params };
                assert_eq!(host.command(device, Command::SetParams(params)), Ok(()));
                device.tag.ratio = ct_ratio.into();
            }
            Op::Inputs { bits } => device.inputs(*bits),
            Op::Demand { tariff } => {
                host.pump(device);
                params.choice.on_demand = Tariff::new(*tariff).expect("1 to 8");
                assert_eq!(host.command(device, Command::SetParams(params)), Ok(()));
                device.tag.demanded = *tariff;
            }
            Op::DebitingStop => {
                host.pump(device);
                assert_eq!(host.command(device, Command::DebitingStop), Ok(()));
            }
        }
        host.pump(device);
    }
    *primary += (u128::from(device.snapshot.counters.total.a_plus) - counted) * ratio;
    // A record at the last window.
    device.power_fail();
    host.pump(device);
    life
}

/// Takes up to `step` inputs without committing what comes of them, dies, and starts from what was committed.
fn crash(host: &mut Host, device: &Device, step: u32) {
    let mut doomed = host.meter.clone();
    let now = Host::mono(device);
    let _ = doomed.step(now, Input::Billing(device.billing()));
    for record in device.ring.iter().filter(|r| r.seq >= host.meter.resume().history_next).take(step as usize) {
        let _ = doomed.step(now, Input::History(*record));
    }
    for event in device.events.iter().take(step as usize) {
        let _ = doomed.step(now, Input::Event(*event));
    }
    host.restart();
}

/// Means and peaks from the rows alone: whole periods of the load profile, in the order in which rows were written. At
/// each debiting stop its row must have the peak of the rows before it.
fn check_peaks(host: &Host) {
    let (mut last, mut peak, mut accumulated, mut stops) = (0, 0, 0, 0);
    for (logger, row) in &host.rows {
        match logger {
            LoggerId::Load => {
                let energy = row.values[0] - last;
                last = row.values[0];
                let minutes = (row.end.0 - row.start.0 + MINUTE / 2) / MINUTE;
                let whole = !row.status.has(Status::SHORT) && !row.status.has(Status::LONG);
                if whole {
                    assert!([15, 30, 60].contains(&minutes), "{row:?}");
                    peak = peak.max((energy + minutes * 30) / (minutes * 60));
                }
            }
            LoggerId::Debiting => {
                stops += 1;
                accumulated += peak;
                // Number, P+ max, P+ max acc.
                assert_eq!([row.values[1], row.values[19], row.values[21]], [stops, peak, accumulated]);
                peak = 0;
            }
            _ => {}
        }
    }
    let durable = host.committed.expect("committed");
    assert_eq!((durable.demand.peaks[0].mw as i64, durable.demand.accumulated[0] as i64), (peak, accumulated));
}

/// The checks that hold for every life.
fn check(life: &Life, source: usize) {
    let Life { host, device, primary } = life;
    let durable = host.committed.expect("something was committed");
    assert_eq!(host.verify(), []);
    check_peaks(host);
    // The life ends with a record at its last window, so everything is settled.
    assert_eq!(durable.by_tariff.map(|set| u128::from(set[0])), by_tariff(source, device));
    let registers = host.meter.registers().expect("pages came");
    if durable.ct {
        assert_eq!(u128::from(registers.total.a_plus), *primary);
        assert!(durable.secondary.a_plus <= device.snapshot.counters.total.a_plus);
        let settled = device.ring.iter().find(|r| r.seq == durable.seq).map(|r| r.snapshot.counters.total);
        assert_eq!(settled, Some(durable.secondary), "secondary registers are the counters");
    } else {
        assert_eq!(registers, device.snapshot.counters);
    }
    // Sum of intervals == register difference, and times do not contradict each other.
    let load = host.load();
    for (i, pair) in load.windows(2).enumerate() {
        assert_eq!(pair[1].seq, i as u64 + 2);
    }
    if let (Some(first), Some(last)) = (load.first(), load.last()) {
        for column in 0..10 {
            let sum: i64 = load.windows(2).map(|w| w[1].values[column] - w[0].values[column]).sum();
            assert_eq!(sum, last.values[column] - first.values[column]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, max_shrink_iters: 4096, ..ProptestConfig::default() })]

    // covers: MET-013 MET-027 MET-029 MET-030 LOG-017
    #[test]
    fn a_life_with_crashes_leaves_the_rows_of_a_life_without(
        ops in prop::collection::vec(op(), 1..40),
        ct: bool,
        source in 0..SOURCES.len(),
    ) {
        let meter_type = if ct { MeterType::Ct } else { MeterType::ThreePhase };
        let params = Params { ct_ratio: if ct { 40 } else { 1 }, ..Params::default() };
        let settings = Settings { meter_type, params, tariffs: Some((tariffs(source), None)), ..Settings::default() };
        let (quiet, troubled) = (live(&settings, &ops, false), live(&settings, &ops, true));
        check(&quiet, source);
        check(&troubled, source);
        for logger in LoggerId::ALL {
            prop_assert_eq!(quiet.host.logger(logger), troubled.host.logger(logger));
        }
        prop_assert_eq!(quiet.host.committed, troubled.host.committed);
    }

    /// Nonsense from the link moves no register back and never panics.
    #[test]
    fn nonsense_lowers_no_register(seed: u64, steps in 1..200u32) {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut meter = Meter::new(Settings::default(), None).unwrap();
        let mut device = Device::new(1, NOON, payload::ClockQuality::Valid);
        let mut shown = payload::EnergySet::default();
        for _ in 0..steps {
            device.window(WINDOW_US);
            let mut noise = device.clone();
            for _ in 0..random.usize(..3) {
                scramble(&mut noise, &mut random);
            }
            let input = match random.u8(..10) {
                0 => Input::Hello(noise.hello()),
                1..=4 => Input::Billing(noise.billing()),
                5 => Input::Event(noise.events.pop_front().unwrap_or_default()),
                6 => Input::HistoryLost { from: random.u64(..), to: random.u64(..300) },
                7 => Input::EventsLost { from: random.u64(..3), to: random.u64(..) },
                _ => Input::History(noise.ring[random.usize(..noise.ring.len())]),
            };
            let effects = meter.step(Mono(random.u64(..1 << 40)), input);
            if let Some(tx) = effects.persist {
                prop_assert_eq!(Durable::decode(&tx.durable.encode()), Ok(tx.durable));
            }
            let now = meter.durable().registers.total;
            prop_assert!(now.a_plus >= shown.a_plus && now.e_minus >= shown.e_minus);
            shown = now;
            let _ = meter.readings(Mono(random.u64(..)));
        }
    }
}

fn scramble(device: &mut Device, random: &mut fastrand::Rng) {
    let wild = [0, 1, random.u64(..), u64::MAX, i64::MAX as u64][random.usize(..5)];
    match random.u8(..9) {
        0 => device.snapshot.counters.total.a_plus = wild,
        1 => device.snapshot.t_samples = wild,
        2 => device.grid.utc_us = wild as i64,
        3 => device.grid.rate_q16 = wild,
        4 => device.boot_id = wild as u32,
        5 => device.memory_reset = true,
        6 => device.id[0] = wild as u8,
        7 => device.snapshot.sums.phase[0].windows = wild,
        _ => {
            for record in &mut device.ring {
                record.seq = record.seq.wrapping_add(wild);
                record.minute = record.minute.wrapping_add(wild as i64);
                record.old_utc_us = wild as i64;
                record.snapshot.counters.total.a_plus ^= wild;
            }
        }
    }
}

/// A day of rows and the state after it.
fn day() -> (Vec<Row>, Durable) {
    let mut device = Device::new(1, NOON, payload::ClockQuality::Valid);
    let mut host = Host::new(Settings::default());
    host.run_minutes(&mut device, 24 * 60);
    (host.load(), host.committed.expect("committed"))
}

fn findings(rows: &[Row], durable: &Durable) -> Vec<(u64, Fault)> {
    let mut verifier = Verifier::new(LoggerId::Load);
    rows.iter().for_each(|row| verifier.row(row));
    verifier.finish(durable).iter().map(|f| (f.seq, f.fault)).collect()
}

/// Each way of spoiling a table, and the row and fault that must be named.
#[test]
fn the_verifier_names_what_was_spoilt() {
    let (rows, durable) = day();
    assert_eq!(rows.len(), 96);
    assert_eq!(findings(&rows, &durable), []);
    // The oldest rows may have been overwritten.
    assert_eq!(findings(&rows[10..], &durable), []);
    let spoilt = |spoil: &dyn Fn(&mut Vec<Row>)| {
        let mut rows = rows.clone();
        spoil(&mut rows);
        findings(&rows, &durable)
    };
    assert_eq!(spoilt(&|r| r[40].values[12] ^= 1 << 20), [(41, Fault::Hash)], "a flipped bit");
    assert_eq!(spoilt(&|r| r[40].hash[31] ^= 1), [(41, Fault::Hash), (42, Fault::Chain)]);
    assert_eq!(spoilt(&|r| r[0].prev[0] ^= 1), [(1, Fault::Hash), (1, Fault::Chain)]);
    assert_eq!(
        spoilt(&|r| drop(r.remove(40))),
        [(42, Fault::Chain), (42, Fault::Sequence), (42, Fault::Gap)],
        "a deleted row"
    );
    assert_eq!(spoilt(&|r| r.truncate(90)), [(90, Fault::Tail), (90, Fault::Registers)], "rows cut off");
    let swapped = spoilt(&|r| r.swap(40, 41));
    assert!(swapped.contains(&(42, Fault::Sequence)) && swapped.contains(&(42, Fault::Chain)), "{swapped:?}");
    assert!(spoilt(&|r| r.clear()).contains(&(0, Fault::Tail)));
    // Lies that a careful forger would chain again are still found by the sums.
    let rechained = |spoil: &dyn Fn(&mut Vec<Row>)| {
        let mut rows = rows.clone();
        spoil(&mut rows);
        for i in 0..rows.len() {
            rows[i].prev = if i == 0 { meter_core::genesis(LoggerId::Load) } else { rows[i - 1].hash };
            rows[i].hash = meter_core::row_hash(LoggerId::Load, &rows[i]);
        }
        let mut durable = durable;
        durable.cursors[0].head = rows.last().expect("a row").hash;
        findings(&rows, &durable)
    };
    assert_eq!(rechained(&|r| r[40].values[0] -= 1 << 40), [(41, Fault::Register(0))]);
    assert_eq!(rechained(&|r| r[40].values[4] += 1), [(41, Fault::Quadrants)]);
    assert_eq!(rechained(&|r| r[95].values[8] += 1), [(96, Fault::Registers)]);
    assert_eq!(rechained(&|r| r[40].end.0 -= 1), [(42, Fault::Gap)]);
    let backwards = rechained(&|r| r[40].end.0 = r[40].start.0 - 1);
    assert_eq!(backwards, [(41, Fault::Backwards), (42, Fault::Gap)]);
    assert_eq!(rechained(&|r| r[40].values.truncate(19)), [(41, Fault::Columns)]);
}

/// The count of the windows would notice energy in the wrong tariff: another plan is another count.
#[test]
fn control_another_plan_gives_other_tariffs() {
    let plan = SOURCES.iter().position(|s| *s == "plan").expect("there is one");
    let settings = Settings { tariffs: Some((tariffs(plan), None)), ..Settings::default() };
    let life = live(&settings, &[Op::Run { windows: 600, load: Load::default() }], false);
    let settled = life.host.committed.expect("committed").by_tariff.map(|set| u128::from(set[0]));
    assert_eq!(settled, by_tariff(plan, &life.device));
    for other in (0..SOURCES.len()).filter(|n| *n != plan) {
        assert_ne!(settled, by_tariff(other, &life.device));
    }
    // So would one window at the wrong side of a switch.
    let mut late = life.device.clone();
    let crossing = late.windows.iter().position(|w| (w.0 - 1).div_euclid(MINUTE).rem_euclid(1440) == 730);
    late.windows[crossing.expect("12:10 is in this life")].0 -= MINUTE;
    assert_ne!(settled, by_tariff(plan, &late));
}

/// The comparison of two lives would notice a difference: one window of load more is another life.
#[test]
fn control_another_load_gives_other_rows() {
    let settings = Settings::default();
    let run = |windows| live(&settings, &[Op::Run { windows, load: Load::default() }], false).host.load();
    assert_ne!(run(600), run(400));
    let more = Load { import: Load::default().import + 1, ..Load::default() };
    let other = live(&settings, &[Op::Run { windows: 600, load: more }], false).host.load();
    assert_ne!(run(600), other);
}
