//! Pulse outputs and the presence of a voltage, through the coprocessor.

use super::*;
use crate::pulses::{LEAD_MS, Output};

impl MemBoard {
    fn count(&self, output: Output) -> u64 {
        self.given.iter().filter(|pulse| pulse.output == output).count() as u64
    }
}

/// Pulses that the counter is worth at 1000 imp/kWh.
fn earned(rig: &Rig) -> u64 {
    rig.cop.billing().snapshot.counters.total.a_plus / 3_600_000
}

/// Stops at this very sample; timers that wait stop too.
fn cut(mut rig: Rig, cause: ResetCause, down_us: i64) -> Rig {
    let t = rig.cop.t_samples();
    rig.cop.board_mut().given.retain(|pulse| pulse.begin.sample < t);
    rig.restart(cause, cause == ResetCause::Warm, down_us)
}

// covers: MET-047 SGF-019
#[test]
fn over_resets_of_any_kind_the_pulses_are_the_counter() {
    let mut rig = Rig::fresh();
    rig.amps = 75.0;
    for n in 0..12 {
        rig.run_ms(1100 + 37 * n);
        // Cuts at the write of a window, between windows, with and without warning; some while it is dark already.
        match n % 4 {
            0 => rig = cut(rig, ResetCause::PowerOn, 2_000_000),
            1 => rig = cut(rig, ResetCause::Warm, 40_000),
            2 => {
                rig.cop.board_mut().inputs |= Inputs::POWER_FAIL;
                rig.run_ms(60);
                rig = cut(rig, ResetCause::PowerOn, 60_000_000);
                rig.cop.board_mut().inputs &= !Inputs::POWER_FAIL;
            }
            _ => rig = cut(rig, ResetCause::Watchdog, 300_000),
        }
    }
    rig.run_ms(900);
    rig.amps = 0.0;
    rig.run_ms(1600);
    let board = rig.cop.board();
    assert!(board.count(Output::Led) > 150, "{}", board.count(Output::Led));
    assert_eq!(board.count(Output::Led), earned(&rig));
    assert_eq!(board.count(Output::S0), earned(&rig));
    assert!(board.given.iter().all(|pulse| pulse.width_ms == 30));
}

#[test]
fn a_pulse_is_handed_out_ahead_and_kept_when_it_has_begun() {
    let mut rig = Rig::fresh();
    rig.amps = 100.0;
    let (mut seen, mut kept_at) = (0, 0);
    for _ in 0..3 * RATE {
        let writes = rig.cop.board().writes.iter().filter(|(_, bytes)| bytes.len() == 64).count();
        rig.step();
        let now = rig.cop.t_samples();
        for pulse in rig.cop.board().given.get(seen..).unwrap() {
            let ahead = pulse.begin.sample - now;
            assert!(
                ahead >= u64::from(LEAD_MS) * RATE / 1000 - 2 && ahead <= u64::from(LEAD_MS) * RATE / 1000,
                "{ahead}"
            );
            kept_at = pulse.begin.sample + 1;
        }
        seen = rig.cop.board().given.len();
        let written = rig.cop.board().writes.iter().filter(|(_, bytes)| bytes.len() == 64).count();
        if kept_at != 0 {
            assert_eq!(written - writes, usize::from(now == kept_at), "written in the sample after it began");
        }
    }
    assert!(seen > 50);
}

#[test]
fn a_memory_whose_newest_number_is_torn_doubles_one_pulse_at_most() {
    let mut rig = Rig::fresh();
    rig.amps = 80.0;
    rig.run_ms(4000);
    let (at, _) = rig.cop.board().writes.iter().rfind(|(_, bytes)| bytes.len() == 64).unwrap().clone();
    rig.cop.board_mut().nv[at + 13] ^= 0x10;
    let mut rig = cut(rig, ResetCause::PowerOn, 300_000);
    rig.amps = 0.0;
    rig.run_ms(3000);
    assert_eq!(rig.cop.board().count(Output::Led), earned(&rig) + 1);
}

// covers: MET-047
#[test]
fn verification_is_a_command_that_ends_with_the_next_start() {
    let mut rig = Rig::fresh();
    rig.amps = 60.0;
    rig.run_ms(1000);
    assert_eq!(rig.command(Command::Verify(LedMode::Reactive)).status, ReplyStatus::Done);
    assert_eq!(rig.command(Command::Verify(LedMode::Reactive)).status, ReplyStatus::Done);
    rig.run_ms(1500);
    let before = rig.cop.board().count(Output::Led);
    rig.run_ms(2000);
    assert_eq!(rig.cop.board().count(Output::Led), before, "no reactive energy, no pulses");
    let events = rig.events_of(EventCode::VERIFICATION);
    assert_eq!(events.iter().map(|e| e.args[0]).collect::<Vec<_>>(), [2], "the same again is no event");
    assert_eq!(rig.command(Command::Verify(LedMode::Active)).status, ReplyStatus::Done);
    rig.run_ms(2000);
    assert!(rig.cop.board().count(Output::Led) > before + 10);
    rig.command(Command::Verify(LedMode::Reactive));
    let mut rig = cut(rig, ResetCause::Watchdog, 1_000_000);
    rig.run_ms(500);
    let before = rig.cop.board().count(Output::Led);
    rig.run_ms(2000);
    assert!(rig.cop.board().count(Output::Led) > before + 20);
}

// covers: MET-047
#[test]
fn the_light_rests_as_configured() {
    let mut board = MemBoard::new();
    board.factory.pulses.led_rests_lit = true;
    let mut rig = Rig::start(board, ResetCause::PowerOn, None);
    rig.amps = 20.0;
    rig.run_ms(2000);
    assert_eq!(rig.cop.board().light, [false]);
    rig.amps = 0.0;
    rig.run_ms(2000);
    assert_eq!(rig.cop.board().light, [false, true]);
    rig.amps = 20.0;
    rig.run_ms(250);
    assert_eq!(rig.cop.board().light, [false, true, false]);
}

// covers: SGF-018
#[test]
fn an_output_that_falls_behind_is_an_event_and_catches_up() {
    let mut rig = Rig::fresh();
    let refused = |pulses| Command::WriteConfig(MeterConfig { pulses, ..MeterConfig::default() }, Authority::SealOpen);
    let on = ModuleOutput { energy: ModuleEnergy::Import, per_kwh: 1000, width_ms: 80 };
    let module = [on, ModuleOutput::default()];
    let reply = rig.command(refused(PulseConfig { module, ..PulseConfig::default() }));
    assert_eq!((reply.status, reply.detail), (ReplyStatus::Impossible, Impossible::ModuleRate as u32));
    let reply = rig.command(refused(PulseConfig { module, i_max_ma: 32_000, ..PulseConfig::default() }));
    assert_eq!(reply.status, ReplyStatus::Done);
    rig.amps = 90.0;
    rig.run_ms(8000);
    let late = rig.events_of(EventCode::PULSES_LATE);
    let [told] = late[..] else { panic!("{late:?}") };
    assert_eq!((told.args[0], told.args[2]), (Output::Module1 as i64, 0));
    assert!(told.args[1] >= 50);
    rig.amps = 0.0;
    rig.run_ms(20_000);
    let late = rig.events_of(EventCode::PULSES_LATE);
    assert_eq!(late.iter().map(|e| e.args[2]).collect::<Vec<_>>(), [0, 0]);
    assert!(late[1].args[1] <= 1, "caught up");
    let (board, earned) = (rig.cop.board(), earned(&rig));
    assert_eq!((board.count(Output::Module1), board.count(Output::Led)), (earned, earned));
}

// covers: MET-045
#[test]
fn a_second_without_a_voltage_stores_everything_and_shuts_down() {
    let mut rig = Rig::fresh();
    rig.run_ms(2000);
    rig.volts = 169.0;
    rig.run_ms(2500);
    assert_eq!(rig.cop.board().shut_downs, 0);
    rig.volts = 151.0;
    rig.run_ms(950);
    assert_eq!(rig.cop.board().shut_downs, 0, "not within the second");
    rig.run_ms(150);
    assert_eq!(rig.cop.board().shut_downs, 1);
    // Down from here on: what was measured up to the moment is in the memory, the window that was open too.
    let saved = rig.cop.billing().snapshot;
    assert!(rig.cop.t_samples() - saved.t_samples < RATE / 10);
    assert_eq!(rig.events_of(EventCode::SHUT_DOWN).len(), 1);
    let event = rig.events_of(EventCode::SHUT_DOWN)[0];
    assert!((event.args[0] - 151_000).abs() < 200 && event.args[1] == 160_080, "{event:?}");
    let mut rig = rig.restart(ResetCause::PowerOn, false, 3_600_000_000);
    rig.volts = 230.0;
    assert!(rig.cop.billing().snapshot.counters == saved.counters && rig.cop.hello().boots == 2);
    rig.run_ms(500);
    let kinds: Vec<HistoryKind> = rig.history().iter().map(|r| r.kind).collect();
    assert!(kinds.ends_with(&[HistoryKind::PowerFail, HistoryKind::Boot]), "{kinds:?}");
}

// covers: MET-045
#[test]
fn with_auxiliary_supply_it_goes_on() {
    let mut rig = Rig::fresh();
    rig.cop.board_mut().inputs |= Inputs::APS;
    rig.volts = 0.0;
    rig.run_ms(3000);
    assert_eq!(rig.cop.board().shut_downs, 0);
    rig.cop.board_mut().inputs &= !Inputs::APS;
    rig.run_ms(1200);
    assert_eq!(rig.cop.board().shut_downs, 1, "the control");
}
