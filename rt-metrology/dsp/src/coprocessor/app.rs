//! What the coprocessor keeps, and what it stores when something happens.

use metrology_link::codec::{Reader, Wire, Writer, decode, encode};
use metrology_link::device::Source;
use metrology_link::page::crc32;
use metrology_link::payload::{
    Billing, CHAIN_LOGS, Calibration, ChainHead, ClockQuality, EventCode, EventRecord, Grid, Heads, Hello, HistoryKind,
    HistoryRecord, Impossible, Inputs, LCD_BACKUP_FRAMES, LcdFrame, MeterConfig, OCCURRENCES, Outputs, PHASES,
    PULSE_INPUTS, Reply, ResetCause, Second, SignedCalibration, Snapshot, StreamChunk, Suspect, Valid,
};
use sha2::{Digest, Sha256};

use super::breaker::{Due, Guard};
use super::image::Staging;
use super::inputs::{Debounce, POLLS_PER_SECOND};
use super::minutes::{Minutes, minute_of};
use super::nv::{self, Loaded, Pair, Ring, Slot};
use super::presence::Presence;
use super::reports::Reports;
use super::seal;
use super::streams::Streams;
use super::waveform::Capture;
use super::{Board, FIRMWARE_VERSION, NoInit};
use crate::pq::events::Kind;
use crate::pq::{self, Done, Notice, Value};
use crate::pulses::Pulses;
use crate::{CHANNELS, Cumulative, Metrology, WindowEnd, validate};

/// What has its own events.
const TOLD_APART: u32 = (0x7f * Suspect::CLIPPED) | Suspect::LOST;
/// Windows without clipping after which the next clipped one is told again: one second.
const CLEAN_WINDOWS: u32 = 5;

// What is stored fits into its slots.
const _: () = assert!(8 + 8 + 1 + 4 + 8 + 8 * PULSE_INPUTS + Cumulative::BYTES <= nv::room(nv::CUMULATIVE_SLOT));
const _: () = assert!(4 + Grid::LEN + 4 * 8 + Reply::LEN + Outputs::LEN + 8 <= nv::room(nv::STATE_SLOT));
const _: () = assert!(<[u32; OCCURRENCES]>::LEN <= nv::room(nv::OCCURRENCES_SLOT));
const _: () = assert!(MeterConfig::LEN + SignedCalibration::LEN <= nv::room(nv::CONFIG_SLOT));
const _: () = assert!(ChainHead::LEN <= nv::room(nv::HEAD_SLOT) && LcdFrame::LEN <= nv::room(nv::LCD_SLOT));
const _: () = assert!(EventRecord::LEN + 4 <= nv::EVENT_SLOT && HistoryRecord::LEN + 4 <= nv::HISTORY_SLOT);

/// Everything but the link's end and the armed page.
pub(super) struct App<B: Board> {
    pub board: B,
    pub metrology: Metrology,
    pub config: MeterConfig,
    pub calibration: Calibration,
    /// The laboratory's signature on it; zeros when it is the factory's.
    signature: [u8; 64],
    /// A calibration in memory that was refused at the start, and its number.
    refused: Option<(Impossible, u32)>,
    pub config_hash: [u8; 32],
    pub grid: Grid,
    pub guard: Guard,
    pub outputs: Outputs,
    pub staging: Staging,
    pub streams: Streams,
    pub last_reply: Reply,
    pub event_ack: u64,
    pub reports: Reports,
    pub capture: Capture,
    pub occurrence_pair: Pair,
    pub pulse_outputs: Pulses,
    pub pulse_pair: Pair,
    pub presence: Presence,
    pub boot_id: u32,
    /// Something new for a page, since the flag was last taken.
    pub news: bool,
    boots: u32,
    reset_cause: ResetCause,
    down_boot_us: u64,
    down_us: u64,
    memory_reset: bool,
    events_lost: u64,
    pulses: [u64; PULSE_INPUTS],
    board_pulses: [u64; PULSE_INPUTS],
    /// As of the last window, or of the start.
    snapshot: Snapshot,
    minutes: Minutes,
    debounce: Debounce,
    power_fail: bool,
    poll_in: u32,
    clean_windows: u32,
    /// Windows since the last one with lost samples.
    unbroken_windows: u32,
    /// What was told to be wrong with the samples.
    suspect: u32,
    /// Unreadable places found at the start.
    damaged: u32,
    heads: Heads,
    /// The cumulative record as last written.
    kept: Slot,
    cumulative_pair: Pair,
    state_pair: Pair,
    config_pair: Pair,
    head_pairs: [Pair; CHAIN_LOGS],
    history: Ring,
    events: Ring,
}

/// The cumulative record.
struct Stored {
    /// End of the last window on the sample clock, and on the real-time clock.
    t_samples: u64,
    rtc_us: i64,
    rtc_quality: ClockQuality,
    boots: u32,
    down_us: u64,
    pulses: [u64; PULSE_INPUTS],
    cumulative: Cumulative,
}

impl Stored {
    fn read(loaded: &Loaded) -> Option<Stored> {
        let mut r = Reader::new(loaded.payload());
        Some(Stored {
            t_samples: r.u64().ok()?,
            rtc_us: r.i64().ok()?,
            rtc_quality: Wire::take(&mut r).ok()?,
            boots: r.u32().ok()?,
            down_us: r.u64().ok()?,
            pulses: Wire::take(&mut r).ok()?,
            cumulative: Cumulative::from_bytes(r.rest()).ok()?,
        })
    }
}

/// The boot state: what changes seldom.
#[derive(Default)]
struct State {
    boots: u32,
    grid: Grid,
    event_ack: u64,
    events_lost: u64,
    report_ack: u64,
    reports_lost: u64,
    last_reply: Reply,
    outputs: Outputs,
    last_operation: u64,
}

impl State {
    fn read(loaded: &Loaded) -> Option<State> {
        let mut r = Reader::new(loaded.payload());
        Some(State {
            boots: r.u32().ok()?,
            grid: Wire::take(&mut r).ok()?,
            event_ack: r.u64().ok()?,
            events_lost: r.u64().ok()?,
            report_ack: r.u64().ok()?,
            reports_lost: r.u64().ok()?,
            last_reply: Wire::take(&mut r).ok()?,
            outputs: Wire::take(&mut r).ok()?,
            last_operation: r.u64().ok()?,
        })
    }
}

impl<B: Board> App<B> {
    /// Before [`App::load`]: the configuration that the memory holds, and nothing else of it.
    #[inline(never)] // a signature is verified before the stack of building is taken
    pub fn at_rest(board: B, reset_cause: ResetCause) -> App<B> {
        let mut damaged = 0;
        let mut config_pair = Pair::new(nv::CONFIG_AT, nv::CONFIG_SLOT);
        let loaded = load_config(&board, &mut config_pair, &mut damaged);
        App::built(board, reset_cause, config_pair, damaged, &loaded)
    }

    #[inline(never)] // see above
    fn built(board: B, reset_cause: ResetCause, config_pair: Pair, damaged: u32, loaded: &LoadedConfig) -> App<B> {
        let (config, SignedCalibration { calibration, signature }, refused) = *loaded;
        App {
            metrology: Metrology::checked(&config, &calibration),
            guard: Guard::new(&config, 0),
            config_hash: config_hash(&config, &calibration),
            outputs: Outputs::default(),
            staging: Staging::default(),
            streams: Streams::default(),
            last_reply: Reply::default(),
            event_ack: 0,
            reports: Reports::NONE,
            capture: Capture::default(),
            occurrence_pair: Pair::new(nv::OCCURRENCES_AT, nv::OCCURRENCES_SLOT),
            pulse_outputs: Pulses::start(&config, 0, &Cumulative::default(), None),
            pulse_pair: Pair::new(nv::PULSES_AT, nv::PULSES_SLOT),
            presence: Presence::new(&config),
            boot_id: 0,
            news: true,
            boots: 0,
            reset_cause,
            down_boot_us: 0,
            down_us: 0,
            memory_reset: true,
            events_lost: 0,
            pulses: [0; PULSE_INPUTS],
            board_pulses: [0; PULSE_INPUTS],
            snapshot: Snapshot::default(),
            minutes: Minutes::default(),
            debounce: Debounce::new(Inputs(0), config.debounce_ms),
            power_fail: false,
            poll_in: 1,
            clean_windows: CLEAN_WINDOWS,
            unbroken_windows: CLEAN_WINDOWS,
            suspect: 0,
            damaged,
            heads: core::array::from_fn(|log| ChainHead { log: log as u8, ..ChainHead::default() }),
            kept: [0; 1024],
            cumulative_pair: Pair::new(nv::CUMULATIVE_AT, nv::CUMULATIVE_SLOT),
            state_pair: Pair::new(nv::STATE_AT, nv::STATE_SLOT),
            config_pair,
            head_pairs: core::array::from_fn(|log| Pair::new(nv::HEADS_AT + log * 2 * nv::HEAD_SLOT, nv::HEAD_SLOT)),
            history: Ring::new(nv::HISTORY_AT, nv::HISTORY_SLOT, nv::HISTORY_SLOTS),
            events: Ring::new(nv::EVENTS_AT, nv::EVENT_SLOT, nv::EVENT_SLOTS),
            grid: Grid::default(),
            board,
            config,
            calibration,
            signature,
            refused,
        }
    }

    /// Takes over what the memory holds.
    #[inline(never)]
    pub fn load(&mut self, no_init: Option<&NoInit>) {
        let mut damaged = self.damaged;
        let stored = load_cumulative(&self.board, &mut self.cumulative_pair, no_init, &mut damaged);
        let state = self.state_pair.load(&self.board, &mut damaged).and_then(|l| State::read(&l));
        self.history.load::<HistoryRecord, B>(&self.board, &mut damaged);
        self.events.load::<EventRecord, B>(&self.board, &mut damaged);
        self.reports.ring.load(&self.board, &mut damaged);
        self.load_occurrences(&mut damaged);
        load_heads(&self.board, &mut self.heads, &mut self.head_pairs, &mut damaged);

        self.memory_reset = stored.is_none();
        self.boots = stored.as_ref().map_or(0, |s| s.boots).max(state.as_ref().map_or(0, |s| s.boots)) + 1;
        let (rtc_us, rtc_quality) = self.board.rtc();
        let nominal_q16 = u64::from(self.config.rate_hz) << 16;
        let known_grid = state.as_ref().map(|s| s.grid).filter(|g| g.rate_q16 != 0 && !self.memory_reset);
        let down = stored.as_ref().and_then(|s| {
            let believed = s.rtc_quality != ClockQuality::Invalid && rtc_quality != ClockQuality::Invalid;
            believed.then(|| rtc_us.saturating_sub(s.rtc_us).max(0) as u64)
        });
        let rate_q16 = known_grid.map_or(nominal_q16, |g| g.rate_q16);
        let t_samples = stored.as_ref().map_or(0, |s| {
            let lost = (u128::from(down.unwrap_or(0)) * u128::from(rate_q16)).div_ceil(65_536_000_000);
            s.t_samples.saturating_add(lost as u64)
        });
        self.grid = match known_grid {
            // Without a clock nobody knows how long it was dark: the line is kept, its quality is not.
            Some(g) if down.is_none() => Grid { quality: ClockQuality::Invalid, ..g },
            Some(g) => Grid { quality: worse(g.quality, rtc_quality), ..g },
            None => Grid { id: 0, anchor: t_samples, utc_us: rtc_us, rate_q16: nominal_q16, quality: rtc_quality },
        };
        self.minutes = Minutes::from(&self.grid, t_samples);
        self.boot_id = boot_id(&self.board, self.boots, rtc_us, t_samples);
        self.down_boot_us = down.unwrap_or(0);
        if let Some(state) = &state {
            self.guard = Guard::new(&self.config, state.last_operation);
            self.outputs = state.outputs;
            self.last_reply = state.last_reply;
            self.event_ack = state.event_ack;
            self.events_lost = state.events_lost;
            self.reports.ack = state.report_ack;
            self.reports.lost = state.reports_lost;
        }
        self.down_us = self.down_boot_us;
        if let Some(stored) = &stored {
            self.down_us = self.down_us.saturating_add(stored.down_us);
            self.pulses = stored.pulses;
            self.metrology.restore(&stored.cumulative);
        }
        self.metrology.set_clock(t_samples);
        let levels = self.board.inputs();
        self.board_pulses = self.board.pulses();
        self.debounce = Debounce::new(Inputs(levels.0 & !Inputs::POWER_FAIL), self.config.debounce_ms);
        // Found failing at the start, it was recorded before it went dark.
        self.power_fail = levels.0 & Inputs::POWER_FAIL != 0;
        self.start_pulses(&mut damaged);
        self.follow_climate();
        self.watch_power_quality();
        self.begin(damaged);
    }

    /// Stores that there was a start.
    fn begin(&mut self, damaged: u32) {
        self.board.set_outputs(&self.outputs);
        self.snapshot = self.take_snapshot(self.t_samples());
        self.record(HistoryKind::Boot);
        let cause = self.reset_cause as i64;
        let down = i64::try_from(self.down_boot_us).unwrap_or(i64::MAX);
        self.event(EventCode::BOOT, 0, [i64::from(self.boots), cause, down, i64::from(self.memory_reset)]);
        if damaged != 0 {
            self.event(EventCode::NV_ERROR, 0, [i64::from(damaged), 0, 0, 0]);
        }
        if let Some((reason, ident)) = self.refused {
            self.refused_calibration(reason, ident, true);
        }
        self.save_state();
        self.save_cumulative();
    }

    /// The calibration in force with its signature.
    pub fn signed(&self) -> SignedCalibration {
        SignedCalibration { calibration: self.calibration, signature: self.signature }
    }

    pub fn refused_calibration(&mut self, reason: Impossible, ident: u32, at_start: bool) {
        self.event(EventCode::CALIBRATION_REFUSED, 0, [reason as i64, i64::from(ident), i64::from(at_start), 0]);
    }

    /// There is a gap in the samples. The watch of power quality begins anew behind it.
    pub fn samples_lost(&mut self, n: u32) {
        self.metrology.lost(n);
        self.streams.gap();
        self.watch_power_quality();
    }

    pub fn t_samples(&self) -> u64 {
        self.metrology.t_samples()
    }

    pub fn no_init(&self) -> NoInit {
        NoInit { slot: self.kept }
    }

    /// Takes one sample of every channel. True when a window closed.
    pub fn sample(&mut self, counts: &[i32; CHANNELS]) -> bool {
        self.streams.raw(self.metrology.t_samples(), counts);
        let ended = self.metrology.push(counts);
        let half = self.metrology.half_cycle();
        if let Some(values) = &half {
            self.streams.half_cycle(values);
            self.watch_presence(values);
        }
        if let Some(end) = ended {
            self.close_window(&end);
        }
        if self.metrology.t_samples() >= self.pulse_outputs.due() {
            self.give_pulses();
        }
        let (y, grid) = (self.metrology.samples(), &self.grid);
        if let Some(done) = self.board.with_power_quality(|pq| pq.push(y, half.as_ref(), grid)) {
            self.power_quality(&done);
        }
        self.capture_step(half.is_some());
        self.news |= self.streams.ready();
        self.poll_in -= 1;
        if self.poll_in == 0 {
            self.poll_in = self.config.rate_hz / POLLS_PER_SECOND;
            self.poll();
        }
        ended.is_some()
    }

    /// Closes the open window early, so that what it holds is stored. True when there was one.
    pub fn finish_window(&mut self) -> bool {
        let ended = self.metrology.finish();
        if let Some(end) = &ended {
            self.close_window(end);
        }
        ended.is_some()
    }

    /// Carries on what the watch of power quality found in the last sample.
    #[inline(never)] // off the way of the samples that have nothing to tell
    fn power_quality(&mut self, done: &Done) {
        if let Some(channel) = done.channel {
            let (streams, t) = (&mut self.streams, self.metrology.t_samples());
            self.board.with_power_quality(|pq| streams.spectrum(t, channel, pq.harmonics()));
            self.reports_spectrum(channel);
        }
        if done.window {
            let window = self.board.with_power_quality(|pq| pq.window().map(|w| w.values)).flatten();
            let values = window.unwrap_or_default();
            for k in 0..PHASES {
                let ppm = |place: Value| values[place as usize + k].map(|ratio| (ratio * 1e6) as u32);
                if let Some(u) = ppm(Value::ThdU) {
                    self.metrology.distortion(k, u, ppm(Value::ThdI));
                }
            }
        }
        if done.window {
            self.reports_window();
        }
        if done.notices {
            while let Some(Some(notice)) = self.board.with_power_quality(|pq| pq.notice()) {
                match &notice {
                    Notice::Event(event) => self.voltage_event(event),
                    other => self.reports_notice(other),
                }
            }
        }
    }

    /// A dip, swell, interruption or rapid change: told when it begins (as far as that is known) and when it is over.
    #[inline(never)]
    fn voltage_event(&mut self, event: &pq::events::Event) {
        let code = match event.kind {
            Kind::Dip => EventCode::DIP,
            Kind::Swell => EventCode::SWELL,
            Kind::Interruption => EventCode::INTERRUPTION,
            Kind::Rapid => EventCode::RAPID_VOLTAGE_CHANGE,
        };
        let phase = match event.channels {
            0b001 => 1,
            0b010 => 2,
            0b100 => 3,
            _ => 0,
        };
        let duration_us = event.duration.map_or(-1, |samples| {
            let us = u128::from(samples) * 65_536_000_000 / u128::from(self.grid.rate_q16.max(1));
            i64::try_from(us).unwrap_or(i64::MAX)
        });
        let phases = i64::from(event.channels) | i64::from(event.steady_mv) << 8;
        self.event(code, phase, [phases, i64::from(event.extreme_mv), duration_us, event.start as i64]);
        // A rapid change was captured when it began.
        if event.kind != Kind::Rapid {
            self.begin_capture(self.events.last(), event.start);
        }
    }

    fn close_window(&mut self, end: &WindowEnd) {
        self.news = true;
        let previous = self.snapshot;
        self.snapshot = self.take_snapshot(end.t_samples);
        if let Some((minute, snapshot)) = self.minutes.due(&self.grid, &previous, &self.snapshot) {
            self.append_history(HistoryKind::Minute, minute, 0, snapshot);
        }
        if end.clipped && self.clean_windows >= CLEAN_WINDOWS {
            let windows = self.metrology.cumulative().clipped_windows;
            self.event(EventCode::CLIPPED, 0, [windows as i64, 0, 0, 0]);
        }
        self.clean_windows = if end.clipped { 0 } else { self.clean_windows.saturating_add(1) };
        self.watch_samples(end);
        self.watch_voltage(end);
        self.streams.window(self.metrology.window());
        self.plan_pulses();
        self.save_cumulative();
    }

    fn take_snapshot(&mut self, t_samples: u64) -> Snapshot {
        let now = self.board.pulses();
        for ((total, last), now) in self.pulses.iter_mut().zip(&mut self.board_pulses).zip(now) {
            *total = total.wrapping_add(now.wrapping_sub(*last));
            *last = now;
        }
        let cumulative = self.metrology.cumulative();
        let mut hash = [0; 8];
        hash.copy_from_slice(&self.config_hash[..8]);
        Snapshot {
            t_samples,
            window: cumulative.windows,
            counters: cumulative.counters,
            sums: cumulative.sums,
            inputs: self.inputs(),
            pulses: self.pulses,
            boots: self.boots,
            down_us: self.down_us,
            clipped_windows: cumulative.clipped_windows,
            lost_samples: cumulative.lost_samples,
            suspect_windows: cumulative.suspect_windows,
            config_hash: hash,
        }
    }

    fn inputs(&self) -> Inputs {
        Inputs(self.debounce.state().0 | if self.power_fail { Inputs::POWER_FAIL } else { 0 })
    }

    #[inline(never)]
    /// Tells what is wrong with the samples, and lets the corrections follow the temperature.
    fn watch_samples(&mut self, end: &WindowEnd) {
        let broken = self.metrology.window().suspect.has(Suspect::LOST);
        if broken && self.unbroken_windows >= CLEAN_WINDOWS {
            let lost = self.metrology.cumulative().lost_samples;
            self.event(EventCode::SAMPLES_LOST, 0, [lost as i64, 0, 0, 0]);
        }
        self.unbroken_windows = if broken { 0 } else { self.unbroken_windows.saturating_add(1) };
        if !end.second {
            return;
        }
        let now = self.metrology.second().suspect.0 & (Suspect::ENERGY | Suspect::REVERSED) & !TOLD_APART;
        let changed = core::mem::replace(&mut self.suspect, now) ^ now;
        if changed != 0 {
            let windows = i64::from(self.metrology.cumulative().suspect_windows);
            self.event(EventCode::SUSPECT_SAMPLES, 0, [i64::from(now), i64::from(changed), windows, 0]);
        }
        self.follow_climate();
    }

    /// Lets the corrections follow temperature and age.
    fn follow_climate(&mut self) {
        let utc_us = (self.grid.quality != ClockQuality::Invalid).then(|| self.grid.utc_us_at(self.t_samples()));
        self.metrology.climate(&self.calibration, self.board.temperature_mdeg(), utc_us);
    }

    fn watch_voltage(&mut self, end: &WindowEnd) {
        let window = self.metrology.window();
        let mut u_mv = [None; PHASES];
        for (k, u) in u_mv.iter_mut().enumerate() {
            *u = window.valid.phase(Valid::U, k).then(|| u64::from(window.phase[k].u_mv));
        }
        let window_ms = u64::from(end.samples) * 1000 / u64::from(self.config.rate_hz);
        let closed = self.board.inputs().0 & Inputs::BREAKER_CLOSED != 0;
        if let Some(Due::Trip { phase, u_mv, for_ms }) = self.guard.window(end.t_samples, window_ms, &u_mv, closed) {
            let drive = metrology_link::payload::BreakerDrive::Open;
            if self.guard.operate(end.t_samples, drive).is_ok() {
                self.board.set_outputs(&Outputs { breaker: drive, ..self.outputs });
                self.event(EventCode::OVERVOLTAGE_TRIP, phase, [u_mv as i64, for_ms as i64, 0, 0]);
                self.begin_capture(self.events.last(), end.t_samples);
                self.event(EventCode::BREAKER_OPENED, 0, [1, 0, 0, 0]);
                self.save_state();
            }
        }
    }

    /// Inputs and the guard's deadlines, once a millisecond.
    #[inline(never)]
    fn poll(&mut self) {
        let levels = self.board.inputs();
        let failing = levels.0 & Inputs::POWER_FAIL != 0;
        if failing != self.power_fail {
            self.power_fail = failing;
            self.power(failing);
        }
        let changed = self.debounce.poll(Inputs(levels.0 & !Inputs::POWER_FAIL));
        if changed != 0 {
            let state = self.inputs();
            if changed & Inputs::TARIFF != 0 {
                self.record(HistoryKind::InputEdge);
            }
            self.event(EventCode::INPUTS_CHANGED, 0, [i64::from(state.0), i64::from(changed), 0, 0]);
        }
        if let Some(Due::Check { closed }) = self.guard.poll(self.t_samples()) {
            let measured = levels.0 & Inputs::BREAKER_CLOSED != 0;
            if measured != closed {
                self.event(EventCode::BREAKER_FEEDBACK_WRONG, 0, [i64::from(closed), i64::from(measured), 0, 0]);
            }
        }
    }

    #[inline(never)]
    fn power(&mut self, failing: bool) {
        if failing {
            // The hold-up reserve lasts milliseconds: the open window first, then the records.
            self.finish_window();
            self.record(HistoryKind::PowerFail);
            self.event(EventCode::POWER_FAIL, 0, [0; 4]);
        } else {
            self.event(EventCode::POWER_RETURN, 0, [0; 4]);
        }
    }

    /// Stores a history record of now: the last window, with the inputs as they are.
    pub fn record(&mut self, kind: HistoryKind) {
        let minute = minute_of(&self.grid, self.t_samples());
        let snapshot = Snapshot { inputs: self.inputs(), ..self.snapshot };
        self.append_history(kind, minute, 0, snapshot);
    }

    fn append_history(&mut self, kind: HistoryKind, minute: i64, old_utc_us: i64, snapshot: Snapshot) {
        let record =
            HistoryRecord { seq: self.history.last() + 1, kind, minute, grid: self.grid, old_utc_us, snapshot };
        self.history.append(&mut self.board, &record);
        self.news = true;
    }

    /// Stores an event of now.
    pub fn event(&mut self, code: EventCode, phase: u8, args: [i64; 4]) {
        let t_samples = self.t_samples();
        let utc_us = self.grid.utc_us_at(t_samples);
        let seq = self.events.last() + 1;
        if self.events.last() >= self.event_ack + nv::EVENT_SLOTS {
            // The oldest goes unread; the host sees the gap in the numbers as well.
            self.events_lost += 1;
            self.save_state();
        }
        let record = EventRecord { seq, boot_id: self.boot_id, t_samples, utc_us, code, phase, args };
        self.events.append(&mut self.board, &record);
        self.news = true;
    }

    /// Puts another grid into force. The records refer to the end of the last window, where old and new time compare.
    pub fn change_grid(&mut self, grid: Grid) {
        let t = self.snapshot.t_samples;
        let old = core::mem::replace(&mut self.grid, grid);
        let old_utc_us = old.utc_us_at(t);
        let snapshot = Snapshot { inputs: self.inputs(), ..self.snapshot };
        self.append_history(HistoryKind::GridChange, minute_of(&grid, t), old_utc_us, snapshot);
        if let Some(minute) = self.minutes.change(&old, &grid, t) {
            self.append_history(HistoryKind::Minute, minute, 0, snapshot);
        }
        self.reports_clock_moved(&old, t);
        let moved = grid.utc_us_at(t).saturating_sub(old_utc_us);
        self.event(EventCode::GRID_SET, 0, [i64::from(grid.id), moved, grid.rate_q16 as i64, 0]);
        self.board.set_rtc(grid.utc_us_at(self.t_samples()), grid.quality);
        self.save_state();
        // With the clock's new time, so that the next start does not take the jump for down-time.
        self.save_cumulative();
    }

    /// Puts a checked configuration and calibration into force.
    pub fn change_config(&mut self, config: MeterConfig, signed: SignedCalibration, code: EventCode) {
        let SignedCalibration { calibration, signature } = signed;
        self.finish_window();
        let t_samples = self.t_samples();
        self.metrology.reconfigure(&config, &calibration);
        if config.rate_hz != self.config.rate_hz {
            // The clock goes on with another step: the line of time turns at this sample, and does not jump.
            let utc_us = self.grid.utc_us_at(t_samples);
            let rate_q16 = u64::from(config.rate_hz) << 16;
            self.grid = Grid { anchor: t_samples, utc_us, rate_q16, ..self.grid };
            self.poll_in = 1;
        }
        self.config = config;
        (self.calibration, self.signature) = (calibration, signature);
        self.follow_climate();
        self.watch_power_quality();
        self.config_hash = config_hash(&config, &calibration);
        self.guard.configure(&config);
        self.debounce.set_limit(config.debounce_ms);
        self.presence = Presence::new(&config);
        self.configure_pulses();
        self.config_pair.save(&mut self.board, |w| {
            config.put(w);
            signed.put(w);
        });
        self.snapshot = self.take_snapshot(t_samples);
        self.record(HistoryKind::ConfigChange);
        let mut first = [0; 8];
        first.copy_from_slice(&self.config_hash[..8]);
        self.event(code, 0, [i64::from_be_bytes(first), i64::from(calibration.ident), 0, 0]);
        self.save_state();
        self.save_cumulative();
    }

    /// Keeps the head of a chain; the log number is checked by the caller.
    pub fn store_head(&mut self, head: &ChainHead) {
        let log = usize::from(head.log);
        if let (Some(kept), Some(pair)) = (self.heads.get_mut(log), self.head_pairs.get_mut(log)) {
            *kept = *head;
            pair.save(&mut self.board, |w| head.put(w));
        }
    }

    fn lcd_pair(slot: u8) -> Pair {
        let index = usize::from(slot.clamp(1, LCD_BACKUP_FRAMES)) - 1;
        Pair::new(nv::LCD_AT + index * 2 * nv::LCD_SLOT, nv::LCD_SLOT)
    }

    /// Keeps a frame for the supply back-up; the slot is checked by the caller.
    pub fn store_frame(&mut self, frame: &LcdFrame) {
        let mut pair = Self::lcd_pair(frame.slot);
        pair.load(&self.board, &mut 0);
        pair.save(&mut self.board, |w| frame.put(w));
    }

    /// A frame of the supply back-up list (1 to 8); `None` when none is kept there.
    pub fn backup_frame(&self, slot: u8) -> Option<LcdFrame> {
        decode(Self::lcd_pair(slot).load(&self.board, &mut 0)?.payload()).ok()
    }

    fn save_cumulative(&mut self) {
        let (rtc_us, rtc_quality) = self.board.rtc();
        let (snapshot, cumulative) = (&self.snapshot, self.metrology.cumulative());
        // The clock as it was at the end of the window: what comes after is lost by a reset, and is down-time.
        let since = i128::from(self.metrology.t_samples().saturating_sub(snapshot.t_samples));
        let since_us = (since * 65_536_000_000 / i128::from(self.grid.rate_q16.max(1))) as i64;
        let rtc_us = rtc_us.saturating_sub(since_us);
        let (boots, down_us) = (self.boots, self.down_us);
        self.cumulative_pair.save_from(&mut self.board, &mut self.kept, |w| {
            w.u64(snapshot.t_samples);
            w.i64(rtc_us);
            rtc_quality.put(w);
            w.u32(boots);
            w.u64(down_us);
            snapshot.pulses.put(w);
            w.bytes(&cumulative.to_bytes());
        });
    }

    pub fn save_state(&mut self) {
        let state = State {
            boots: self.boots,
            grid: self.grid,
            event_ack: self.event_ack,
            events_lost: self.events_lost,
            report_ack: self.reports.ack,
            reports_lost: self.reports.lost,
            last_reply: self.last_reply,
            outputs: self.outputs,
            last_operation: self.guard.last_operation,
        };
        self.state_pair.save(&mut self.board, |w| {
            w.u32(state.boots);
            state.grid.put(w);
            w.u64(state.event_ack);
            w.u64(state.events_lost);
            w.u64(state.report_ack);
            w.u64(state.reports_lost);
            state.last_reply.put(w);
            state.outputs.put(w);
            w.u64(state.last_operation);
        });
    }
}

/// See [`load_config`]; last, the calibration that was refused, by its number.
type LoadedConfig = (MeterConfig, SignedCalibration, Option<(Impossible, u32)>);

/// Configuration and calibration from memory, else from the factory, else the defaults: the first that are possible.
/// A calibration in memory that is not the laboratory's word gives way to the factory's, and is told.
#[inline(never)] // what it holds is gone before the state is built
fn load_config<B: Board>(board: &B, pair: &mut Pair, damaged: &mut u32) -> LoadedConfig {
    let unsigned = |calibration| SignedCalibration { calibration, ..SignedCalibration::default() };
    let (factory_config, factory) = board.factory();
    let mut refused = None;
    let stored = pair.load(board, damaged).and_then(|loaded| {
        let mut r = Reader::new(loaded.payload());
        let (config, signed) = (MeterConfig::take(&mut r).ok()?, SignedCalibration::take(&mut r).ok()?);
        if signed.signature == [0; 64] {
            return Some((config, unsigned(factory)));
        }
        refused = seal::verify(board, &signed).err().map(|reason| (reason, signed.calibration.ident));
        Some((config, if refused.is_none() { signed } else { unsigned(factory) }))
    });
    let possible = |(config, signed): &(MeterConfig, SignedCalibration)| validate(config, &signed.calibration).is_ok();
    let factory = Some((factory_config, unsigned(factory)));
    let (config, signed) = stored.filter(possible).or_else(|| factory.filter(possible)).unwrap_or_default();
    (config, signed, refused)
}

/// A number that differs from those of other boots.
fn boot_id<B: Board>(board: &B, boots: u32, rtc_us: i64, t_samples: u64) -> u32 {
    let mut identity = [0; 28];
    let mut w = Writer::new(&mut identity);
    w.bytes(&board.device_id());
    w.u32(boots);
    w.i64(rtc_us);
    w.u64(t_samples);
    crc32(&identity).max(1)
}

/// The newest of both slots and of the image that survived in memory.
fn load_cumulative<B: Board>(
    board: &B,
    pair: &mut Pair,
    no_init: Option<&NoInit>,
    damaged: &mut u32,
) -> Option<Stored> {
    let in_nv = pair.load(board, damaged);
    let in_ram = no_init.and_then(|kept| Loaded::kept(&kept.slot, nv::CUMULATIVE_SLOT));
    let generation = |loaded: &Option<Loaded>| loaded.as_ref().map_or(0, |l| l.generation);
    let newest = if generation(&in_ram) > generation(&in_nv) { in_ram } else { in_nv }?;
    pair.continue_from(newest.generation);
    Stored::read(&newest)
}

fn load_heads<B: Board>(board: &B, heads: &mut Heads, pairs: &mut [Pair; CHAIN_LOGS], damaged: &mut u32) {
    for (head, pair) in heads.iter_mut().zip(pairs) {
        if let Some(stored) = pair.load(board, damaged).and_then(|l| decode::<ChainHead>(l.payload()).ok()) {
            *head = stored;
        }
    }
}

fn worse(a: ClockQuality, b: ClockQuality) -> ClockQuality {
    if (a as u8) < (b as u8) { a } else { b }
}

/// SHA-256 over the wire bytes of configuration and calibration.
fn config_hash(config: &MeterConfig, calibration: &Calibration) -> [u8; 32] {
    let mut bytes = [0; MeterConfig::LEN + Calibration::LEN];
    let len = encode(config, &mut bytes);
    encode(calibration, bytes.get_mut(len..).unwrap_or(&mut []));
    Sha256::digest(bytes).into()
}

impl<B: Board> Source for App<B> {
    fn hello(&self) -> Hello {
        let (rtc_us, rtc_quality) = self.board.rtc();
        let (history_first, history_last) = self.history.range();
        let (event_first, event_last) = self.events.range();
        let (report_first, report_last) = self.reports.ring.range();
        Hello {
            protocol: metrology_link::PROTOCOL,
            boot_id: self.boot_id,
            device_id: self.board.device_id(),
            firmware_id: self.board.firmware_id(),
            firmware_version: FIRMWARE_VERSION,
            topology: self.config.topology,
            method: self.config.method,
            rate_hz: self.config.rate_hz,
            f_nominal: self.config.f_nominal,
            channels: crate::measured_channels(&self.config),
            grid: self.grid,
            rtc_us,
            rtc_quality,
            config_hash: self.config_hash,
            boots: self.boots,
            reset_cause: self.reset_cause,
            down_us: self.down_boot_us,
            history_first,
            history_last,
            event_first,
            event_last,
            events_lost: self.events_lost,
            report_first,
            report_last,
            reports_lost: self.reports.lost,
            memory_reset: self.memory_reset,
            last_cmd: self.last_reply.cmd_id,
        }
    }

    fn billing(&self) -> Billing {
        let mut second: Second = *self.metrology.second();
        if let Some(mdeg) = self.board.temperature_mdeg() {
            second.temperature_mdeg = mdeg;
            second.valid.0 |= Valid::TEMPERATURE;
        }
        Billing {
            snapshot: self.snapshot,
            second,
            history_last: self.history.last(),
            event_last: self.events.last(),
            grid: self.grid,
        }
    }

    fn event_range(&self) -> (u64, u64) {
        self.events.range()
    }

    fn event(&self, seq: u64) -> Option<EventRecord> {
        self.events.read(&self.board, seq)
    }

    fn history_range(&self) -> (u64, u64) {
        self.history.range()
    }

    fn history(&self, seq: u64) -> Option<HistoryRecord> {
        self.history.read(&self.board, seq)
    }

    fn report_range(&self) -> (u64, u64) {
        self.reports.ring.range()
    }

    fn report(&self, seq: u64, page: &mut Writer<'_>) -> bool {
        self.reports.ring.read(&self.board, seq, page)
    }

    fn heads(&self) -> Heads {
        self.heads
    }

    fn stream_ready(&self) -> bool {
        self.streams.ready()
    }

    fn stream(&mut self) -> Option<StreamChunk> {
        self.streams.take()
    }
}
