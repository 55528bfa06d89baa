//! Pulse outputs of the application: what is kept of them, when they are planned and given, and what is told.

use metrology_link::codec::{Reader, Writer};
use metrology_link::payload::{EventCode, LedMode};

use super::Board;
use super::app::App;
use super::nv::{self, Loaded};
use crate::pulses::{COUNTING, Kept, Pulses};

/// Number, counters and constant of the outputs that count.
const KEPT_BYTES: usize = COUNTING * (8 + 1 + 4);
const _: () = assert!(KEPT_BYTES <= nv::room(nv::PULSES_SLOT));

fn read(loaded: &Loaded) -> Option<[Kept; COUNTING]> {
    let mut r = Reader::new(loaded.payload());
    let mut kept = [Kept::default(); COUNTING];
    for one in &mut kept {
        *one = Kept { begun: r.i64().ok()?, source: r.u8().ok()?, per_kwh: r.u32().ok()? };
    }
    Some(kept)
}

fn write(kept: &[Kept; COUNTING], w: &mut Writer<'_>) {
    for one in kept {
        w.i64(one.begun);
        w.u8(one.source);
        w.u32(one.per_kwh);
    }
}

impl<B: Board> App<B> {
    /// Goes on where the pulses ended: at the start, when the counters and the clock are known.
    #[inline(never)]
    pub fn start_pulses(&mut self, damaged: &mut u32) {
        let kept = self.pulse_pair.load(&self.board, damaged).and_then(|loaded| read(&loaded));
        let t = self.t_samples();
        self.pulse_outputs = Pulses::start(&self.config, t, self.metrology.cumulative(), kept.as_ref());
        self.save_pulses();
        self.board.light_rests(false);
    }

    /// After a change of configuration, whose window is closed.
    pub fn configure_pulses(&mut self) {
        self.pulse_outputs.configure(&self.config, self.metrology.cumulative());
        self.save_pulses();
    }

    /// The light and S0 follow something else, from the end of the last window on.
    pub fn verify(&mut self, mode: LedMode) {
        if mode == self.pulse_outputs.mode() {
            return;
        }
        self.pulse_outputs.set_mode(mode, &self.config, self.metrology.cumulative());
        self.save_pulses();
        self.event(EventCode::VERIFICATION, 0, [mode as i64, 0, 0, 0]);
    }

    /// A window has closed: plans its pulses.
    pub fn plan_pulses(&mut self) {
        let lit = self.pulse_outputs.rests_lit();
        self.pulse_outputs.window(self.metrology.line(), self.metrology.cumulative());
        let mut news = [None; COUNTING];
        let mut at = news.iter_mut();
        self.pulse_outputs.overload(|output, overload| {
            if let Some(place) = at.next() {
                *place = Some((output, overload));
            }
        });
        for (output, overload) in news.into_iter().flatten() {
            let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
            let args = [output as i64, count(overload.owed), count(overload.dropped), 0];
            self.event(EventCode::PULSES_LATE, 0, args);
        }
        if self.pulse_outputs.rests_lit() != lit {
            self.board.light_rests(!lit);
        }
    }

    /// Hands out the pulses whose time it is, and keeps the numbers of those that have begun: one that was kept does not
    /// come again, one that was not comes after the reset.
    #[inline(never)] // seldom, off the way of the samples
    pub fn give_pulses(&mut self) {
        let (t, board) = (self.metrology.t_samples(), &mut self.board);
        if self.pulse_outputs.step(t, |pulse| board.pulse(&pulse)) {
            self.save_pulses();
        }
    }

    fn save_pulses(&mut self) {
        let kept = self.pulse_outputs.kept();
        self.pulse_pair.save(&mut self.board, |w| write(&kept, w));
    }
}
