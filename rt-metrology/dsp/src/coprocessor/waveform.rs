//! The waveform around a voltage event: voltages and currents from before its begin until after it, out of the ring of
//! samples that the watch of power quality keeps anyway, piece by piece into the ring of reports.
//!
//! A capture begins [`CYCLES_AROUND`] cycles before the begin of its event, as far as the ring reaches back, and ends
//! as many after the last trigger: an event that begins or ends while a capture is under way makes it longer, up to
//! [`CYCLES_LIMIT`]. The pieces carry the number of the event that began it. A rapid voltage change is known only when it
//! is over, a second later and out of reach; its capture begins with the change, without a number, and is found by
//! the begin. When it turns out to be another event, the pieces from then on carry that one's number.
//!
//! It refuses a capture whose pieces would overwrite reports that Linux has not got yet: then the event goes without,
//! and is counted.

use metrology_link::payload::{PHASES, ReportFlags, ReportKind, WAVE_CHANNELS, WAVE_SAMPLES, WavePiece};

use super::Board;
use super::app::App;
use super::nv;
use super::report_ring::ReportHead;
use crate::pq::PowerQuality;

/// Nominal cycles before and after an event: ten, and one for a grid that runs slowly.
const CYCLES_AROUND: u64 = 11;
/// Nominal cycles of a capture at most: 64 pieces of six channels, a quarter of the ring.
const CYCLES_LIMIT: u64 = 30;
/// Reports that are not acknowledged may fill the ring up to here with waveforms; the rest is left to intervals, which
/// come 26 in two hours: 96 slots last seven hours.
const ROOM: u64 = nv::REPORT_SLOTS - 96;
/// Samples that come between two pieces: writing one (1 KiB, 0.4 ms at 20 MHz) takes less than the 2 ms of these, and
/// 75 instants per 16 overtake a ring that fills at the same time.
const PAUSE: u32 = 16;
/// Samples by which the ring may move on until the first piece is read.
const MARGIN: u64 = 8;

/// A capture that is under way. Numbers are those of [`PowerQuality::kept`].
#[derive(Clone, Copy, Debug)]
struct Active {
    event: u64,
    trigger: u64,
    next: u64,
    end: u64,
    /// It may not become longer than this.
    limit: u64,
    piece: u16,
    pause: u32,
}

/// At most one capture.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Capture {
    active: Option<Active>,
    /// Begin of the rapid change that was seen last.
    rapid: Option<u64>,
}

impl Capture {
    /// Gives up what is under way: the samples are gone.
    pub fn clear(&mut self) {
        *self = Capture::default();
    }

    fn under_way(&self) -> bool {
        self.active.is_some()
    }
}

/// Instants in a piece of so many channels.
fn instants(channels: u8) -> u64 {
    let width = u64::from(channels.count_ones().max(1));
    (WAVE_SAMPLES as u64 / width).min(u64::from(u8::MAX))
}

impl<B: Board> App<B> {
    /// An event begins or ends: begins a capture, or makes the one under way longer. `event` is its number (0 = not known
    /// yet), `begin` where the event began, sample clock. False when there is no room.
    pub(super) fn capture(&mut self, event: u64, begin: u64) -> bool {
        let config = &self.config;
        let cycle = u64::from(config.rate_hz) / u64::from(config.f_nominal.max(1));
        let look = |pq: &mut PowerQuality| (pq.kept(), pq.kept_at(begin), cycle >> pq.kept_octaves());
        let Some(((oldest, next), at, cycle)) = self.board.with_power_quality(look) else { return true };
        let end = next + CYCLES_AROUND * cycle;
        let instants = instants(self.wave_channels());
        let pieces = |from: u64, to: u64| to.saturating_sub(from) / instants + 1;
        let waiting = self.reports.ring.last().saturating_sub(self.reports.ack);
        if let Some(active) = &mut self.capture.active {
            if active.event == 0 {
                active.event = event;
            }
            let end = active.end.max(end.min(active.limit));
            if waiting + pieces(active.next, end) <= ROOM {
                active.end = end;
            }
            return true;
        }
        let from = at.saturating_sub(CYCLES_AROUND * cycle).max(oldest + MARGIN).min(next);
        if waiting + pieces(from, end) > ROOM {
            return false;
        }
        let limit = from + CYCLES_LIMIT * cycle;
        let active = Active { event, trigger: begin, next: from, end: end.min(limit), limit, piece: 0, pause: 0 };
        self.capture.active = Some(active);
        true
    }

    /// Channels of a waveform: voltages and currents that are measured.
    fn wave_channels(&self) -> u8 {
        crate::measured_channels(&self.config) & ((1 << WAVE_CHANNELS) - 1)
    }

    /// After each sample: writes the next piece when it is complete. `half`: a half-cycle ended, so a rapid change may
    /// have begun.
    pub(super) fn capture_step(&mut self, half: bool) {
        if half {
            let rapid = self.board.with_power_quality(|pq| pq.rapid_under_way()).flatten();
            if rapid.is_some() && rapid != self.capture.rapid {
                let begin = rapid.unwrap_or(0);
                self.begin_capture(0, begin);
            }
            self.capture.rapid = rapid;
        }
        if self.capture.under_way() {
            self.next_piece();
        }
    }

    /// Begins a capture, and counts when there is no room for it.
    pub(super) fn begin_capture(&mut self, event: u64, begin: u64) {
        if !self.capture(event, begin) {
            self.reports.waveforms_refused = self.reports.waveforms_refused.saturating_add(1);
        }
    }

    fn next_piece(&mut self) {
        let channels = self.wave_channels();
        let kept = self.board.with_power_quality(|pq| (pq.kept(), pq.kept_octaves()));
        let (Some(active), Some(((oldest, next), octaves))) = (&mut self.capture.active, kept) else { return };
        if active.pause > 0 {
            active.pause -= 1;
            return;
        }
        let count = instants(channels).min(active.end - active.next);
        if next < active.next + count {
            return;
        }
        let mut active = *active;
        // The ring overtook the capture: its own pace makes that impossible, a board that lost samples might not.
        let overtaken = active.next < oldest;
        let count = if overtaken { 0 } else { count };
        let last = overtaken || active.next + count >= active.end;
        self.write_piece(&active, channels, count as u8, last, overtaken);
        active.next += count;
        active.piece = active.piece.saturating_add(1);
        active.pause = PAUSE << octaves;
        self.capture.active = (!last).then_some(active);
    }

    #[inline(never)] // its frame holds a piece
    fn write_piece(&mut self, active: &Active, channels: u8, count: u8, last: bool, overtaken: bool) {
        let mut piece = WavePiece {
            event: active.event,
            trigger: active.trigger,
            piece: active.piece,
            channels,
            count,
            u_full_scale_mv: self.config.u_full_scale_mv,
            i_full_scale_ua: self.config.i_full_scale_ua,
            ..WavePiece::default()
        };
        let times = self.board.with_power_quality(|pq| {
            piece.step = 1 << pq.kept_octaves();
            let mut codes = piece.codes.iter_mut();
            for number in active.next..active.next + u64::from(count) {
                for k in (0..2 * PHASES).filter(|k| channels >> k & 1 != 0) {
                    if let Some(code) = codes.next() {
                        *code = pq.kept_code(k, number);
                    }
                }
            }
            (pq.kept_clock(active.next), pq.kept_clock(active.next + u64::from(count)))
        });
        let (begin, end) = times.unwrap_or_default();
        let mut flags = if last { ReportFlags::LAST } else { 0 };
        flags |= if overtaken { ReportFlags::INCOMPLETE } else { 0 };
        let head = ReportHead {
            boot_id: self.boot_id,
            kind: ReportKind::WAVEFORM,
            flags: self.report_flags(flags),
            begin,
            end,
            utc_us: self.grid.utc_us_at(begin),
        };
        self.report(&head, &piece);
    }
}
