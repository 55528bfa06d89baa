//! The coprocessor's application: samples in, pages out, everything that must survive in non-volatile memory.
//!
//! It keeps, at the end of every window, all cumulative values (two slots with generation and CRC-32, and the same
//! record in memory that a reset leaves alone), the history ring on the minute grid, and the event ring. A reset loses
//! at most the window it fell into, and that window and the time until the start are told as down-time.
//!
//! It refuses impossible configurations and calibrations, sealed ones without authority, breaker operations the guard
//! forbids, and image blocks out of order; a refused command changes nothing and is an event.
//!
//! No allocation, no clock of its own: samples are the time. A board calls [`Coprocessor::sample`] for each sample and
//! [`Coprocessor::exchange`] for each page; both return in bounded time.

mod app;
mod board;
mod breaker;
mod command;
mod image;
mod inputs;
mod minutes;
mod nv;
mod presence;
mod pulses;
mod report_ring;
mod reports;
mod seal;
mod streams;
#[cfg(test)]
mod tests;
mod waveform;

pub use board::Board;
pub use breaker::{FEEDBACK_MS, MIN_INTERVAL_MS};
pub use nv::{EVENT_SLOTS, HISTORY_SLOTS, NV_BYTES, REPORT_SLOTS};
pub use presence::ABSENT_MS;

use metrology_link::device::{DeviceEnd, Source};
use metrology_link::page::Class;
use metrology_link::payload::{
    Billing, Calibration, Command, Grid, Hello, Inputs, LCD_BACKUP_FRAMES, MeterConfig, ResetCause,
};
use metrology_link::{PAGE, Page};

use crate::CHANNELS;
use app::App;

/// `major << 16 | minor << 8 | patch` of this crate.
pub const FIRMWARE_VERSION: u32 = 1 << 8;

/// After so long without a good page from the host, the left button turns the pages of the supply back-up list.
const HOST_SILENT_MS: u64 = 10_000;

/// The cumulative record as it stood in memory that a warm reset leaves alone. Its CRC decides whether it is used.
#[derive(Clone, Copy, Debug)]
pub struct NoInit {
    slot: nv::Slot,
}

/// The application on its board.
pub struct Coprocessor<B: Board> {
    app: App<B>,
    end: DeviceEnd,
    armed: Page,
    armed_class: Class,
    /// A reset was asked for: warm or not, and whether its reply is the armed page already.
    reset: Option<(bool, bool)>,
    host_seen: u64,
    /// Frame of the back-up list shown last; 0 = none.
    backup_shown: u8,
    left_down: bool,
}

impl<B: Board> Coprocessor<B> {
    /// Starts from what the memory holds. `no_init` is what a warm reset left.
    pub fn start(board: B, cause: ResetCause, no_init: Option<&NoInit>) -> Coprocessor<B> {
        let mut coprocessor = Coprocessor::at_rest(board, cause);
        coprocessor.begin(no_init);
        coprocessor
    }

    /// The first half of [`Coprocessor::start`], for processors whose stack has no room for a second one on its way out of
    /// that: built where it stays, it takes nothing from the memory but the configuration. [`Coprocessor::begin`] comes next.
    #[inline(never)]
    pub fn at_rest(board: B, cause: ResetCause) -> Coprocessor<B> {
        Coprocessor {
            app: App::at_rest(board, cause),
            end: DeviceEnd::new(1),
            armed: [0; PAGE],
            armed_class: Class::Idle,
            reset: None,
            host_seen: 0,
            backup_shown: 0,
            left_down: false,
        }
    }

    /// The second half: takes over what the memory holds, and stores that there was a start. Once.
    #[inline(never)]
    pub fn begin(&mut self, no_init: Option<&NoInit>) {
        self.app.load(no_init);
        self.end = DeviceEnd::new(self.app.boot_id);
        self.end.restore(self.app.last_reply, self.app.event_ack, self.app.reports.ack);
        self.host_seen = self.app.t_samples();
        self.arm();
    }

    /// Takes one sample of every channel: U1 U2 U3 I1 I2 I3 IN, 24-bit counts.
    pub fn sample(&mut self, counts: &[i32; CHANNELS]) {
        let window = self.app.sample(counts);
        if window {
            self.end.window_closed();
            self.backup_list();
        }
        let news = core::mem::take(&mut self.app.news);
        // Hello and billing that nobody fetched are made anew, so that what crosses is never older than a window.
        let renew = match self.armed_class {
            Class::Idle => news && self.end.ready(&self.app),
            Class::Hello | Class::Billing => window,
            _ => false,
        };
        if renew {
            self.arm();
        }
    }

    /// `n` samples never arrived (a full queue, a converter that failed its check): their time passes, the open window is
    /// marked, and nothing is counted for them.
    pub fn samples_lost(&mut self, n: u32) {
        self.app.samples_lost(n);
    }

    /// Level of the data-ready line: a page that says something is armed.
    pub fn data_ready(&self) -> bool {
        self.armed_class != Class::Idle
    }

    /// One exchange: gives the page that was armed, takes the host's, arms the next. A damaged host page changes nothing
    /// but that the armed page is gone.
    pub fn exchange(&mut self, host: &Page) -> Page {
        let mut page = *host;
        self.exchange_in_place(&mut page);
        page
    }

    /// [`Coprocessor::exchange`] in one buffer, which a transfer leaves with the host's page and finds the coprocessor's in.
    pub fn exchange_in_place(&mut self, page: &mut Page) {
        core::mem::swap(&mut self.armed, page);
        if let Ok(command) = self.end.receive(&self.armed) {
            let t = self.app.t_samples();
            self.host_seen = t;
            if let Some(ms) = self.end.take_permit_ms() {
                self.app.guard.permit(t, ms);
            }
            if let Some((id, command)) = command {
                self.execute(id, &command);
            }
        }
        let last_reply = core::mem::replace(&mut self.app.last_reply, *self.end.last_reply());
        self.arm();
        let event_ack = core::mem::replace(&mut self.app.event_ack, self.end.event_ack());
        let report_ack = core::mem::replace(&mut self.app.reports.ack, self.end.report_ack());
        let kept = (self.app.last_reply, self.app.event_ack, self.app.reports.ack);
        if (last_reply, event_ack, report_ack) != kept {
            self.app.save_state();
        }
        self.reset_if_due();
    }

    #[inline(never)]
    fn execute(&mut self, id: u32, command: &Command) {
        let window_before = self.app.metrology.cumulative().windows;
        let reply = self.app.execute(id, command);
        if self.app.metrology.cumulative().windows != window_before {
            self.end.window_closed();
        }
        if let Command::Reset { warm } = command {
            self.reset = Some((*warm, false));
        }
        self.end.reply(reply);
    }

    /// The reply of a reset command goes out first; it is armed in the exchange of the command and gone in the next.
    fn reset_if_due(&mut self) {
        match &mut self.reset {
            Some((_, armed)) if !*armed => *armed = true,
            Some((warm, _)) => {
                let warm = *warm;
                self.reset = None;
                self.app.finish_window();
                self.app.board.reset(warm);
            }
            None => {}
        }
    }

    #[inline(never)]
    fn arm(&mut self) {
        let t_samples = self.app.t_samples();
        self.armed_class = self.end.emit(&mut self.app, t_samples, &mut self.armed);
    }

    /// The display while Linux is dark: the left button turns through the kept frames.
    #[inline(never)]
    fn backup_list(&mut self) {
        let down = self.app.board.inputs().0 & Inputs::BUTTON_LEFT != 0;
        let pressed = !core::mem::replace(&mut self.left_down, down) && down;
        let silent_for = self.app.t_samples().saturating_sub(self.host_seen);
        if silent_for * 1000 < HOST_SILENT_MS * u64::from(self.app.config.rate_hz) {
            self.backup_shown = 0;
            return;
        }
        if pressed {
            self.backup_shown = self.backup_shown % LCD_BACKUP_FRAMES + 1;
            let frame = self.app.backup_frame(self.backup_shown).or_else(|| {
                self.backup_shown = 1;
                self.app.backup_frame(1)
            });
            if let Some(frame) = frame {
                self.app.board.lcd(&frame);
            }
        }
    }

    /// What a warm reset would leave: the record of the last window.
    pub fn no_init(&self) -> NoInit {
        self.app.no_init()
    }

    /// The sample clock: samples since the memory was created, down-time included.
    pub fn t_samples(&self) -> u64 {
        self.app.t_samples()
    }

    /// The grid in force.
    pub fn grid(&self) -> &Grid {
        &self.app.grid
    }

    /// The configuration in force; the board samples at its rate.
    pub fn config(&self) -> &MeterConfig {
        &self.app.config
    }

    /// The calibration in force.
    pub fn calibration(&self) -> &Calibration {
        &self.app.calibration
    }

    /// Identity and state, as the hello tells it.
    pub fn hello(&self) -> Hello {
        self.app.hello()
    }

    /// Cumulative and last values, as the next billing page tells them.
    pub fn billing(&self) -> Billing {
        self.app.billing()
    }

    /// The engine, for tests and displays.
    pub fn metrology(&self) -> &crate::Metrology {
        &self.app.metrology
    }

    /// The board.
    pub fn board(&self) -> &B {
        &self.app.board
    }

    /// The board, to change.
    pub fn board_mut(&mut self) -> &mut B {
        &mut self.app.board
    }

    /// Gives the board back, as a reset does.
    pub fn into_board(self) -> B {
        self.app.board
    }
}
