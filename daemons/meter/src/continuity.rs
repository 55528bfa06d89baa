//! Is this still the coprocessor we knew, and do its counters go on? Registers never go down, whatever the answer.
//!
//! | what is found | counters so far | energy counted from |
//! |---|---|---|
//! | first contact | adopted whole | 0: the registers equal the counters |
//! | the same | go on | the settled record |
//! | its memory began anew | settled up to the last page seen | 0: all it has counted since is ours |
//! | another one | settled up to the last page seen | its first page: what it counted elsewhere is not ours |
//!
//! That the memory began anew is told by the hello, or, when the history ring survived, by the record of that start.
//! The interval that was open ends at the last settled record, marked `discontinuity`; so is the next one.

use meter_model::{ClockQuality, Status, Wall};
use metrology_link::payload::{Billing, Counters, Hello, PULSE_INPUTS, Topology};

use crate::effects::Notice;
use crate::logger::{LoggerId, StatusCode};
use crate::meter::{Meter, Unsettled, Work};
use crate::settings::MeterType;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Continuity {
    First,
    Same,
    /// Counted from zero; records up to `seq` are of its life before, or cannot be told from them.
    MemoryReset {
        seq: u64,
    },
    Another,
}

impl Meter {
    /// Takes note of a coprocessor that says hello.
    pub(crate) fn meet(&mut self, hello: Hello, work: &mut Work) {
        let found = self.continuity(&hello);
        if !fits(self.settings.meter_type, hello.topology) && self.hello.is_none_or(|h| h.topology != hello.topology) {
            work.effects.notices.push(Notice::WrongTopology);
            let (ours, theirs) = (self.settings.meter_type as i64, hello.topology as i64);
            self.note(StatusCode::WrongTopology, [ours, theirs, 0, 0], work);
        }
        self.foreign = false;
        match found {
            Continuity::First => {
                self.adopt(&hello);
                let records = hello.history_last.saturating_sub(hello.history_first);
                self.note(StatusCode::MetrologyAdopted, [hello.boots.into(), records as i64, 0, 0], work);
                work.effects.notices.push(Notice::Adopted);
            }
            Continuity::Same => self.go_on(&hello),
            Continuity::MemoryReset { seq } => {
                let seen = self.forget();
                self.adopt(&hello);
                self.durable.seq = seq;
                self.memory_began_anew(Counters::default(), [0; PULSE_INPUTS], seen, work);
            }
            // Its counters come with its first page; until then nothing of it is believed and nothing is persisted.
            Continuity::Another => self.foreign = true,
        }
        self.hello = Some(hello);
    }

    /// Takes over from another coprocessor, at its first billing page.
    pub(crate) fn replace(&mut self, billing: &Billing, work: &mut Work) {
        let Some(hello) = self.hello else { return };
        self.foreign = false;
        let before = self.durable.device_id;
        let seen = self.forget();
        self.close_off(billing.snapshot.counters, billing.snapshot.pulses, seen, work);
        self.adopt(&hello);
        // Nor is the time it ran elsewhere.
        self.durable.t_samples = billing.snapshot.t_samples;
        self.durable.down_us = billing.snapshot.down_us;
        // The records at hand are of its life elsewhere, or older than this page.
        self.durable.seq = billing.history_last;
        self.note(StatusCode::MetrologyReplaced, [number(&before), number(&hello.device_id), 0, 0], work);
        work.effects.notices.push(Notice::Replaced);
    }

    fn continuity(&self, hello: &Hello) -> Continuity {
        let d = &self.durable;
        if d.boot_id == 0 {
            return Continuity::First;
        }
        let same = hello.device_id == d.device_id;
        let ring_anew = hello.history_last < d.seq;
        if same && hello.boot_id == d.boot_id && !ring_anew {
            // The hello of a boot already taken over, said again.
            return Continuity::Same;
        }
        // Starts are counted in an area of their own, so fewer of them mean that nothing at all was kept.
        let wiped = hello.boots < d.boots || (hello.memory_reset && hello.boots == 1);
        let gap = hello.history_first > d.seq.saturating_add(1);
        match (same, hello.memory_reset) {
            (false, true) => Continuity::MemoryReset { seq: hello.history_last },
            (false, false) => Continuity::Another,
            (true, reset) if ring_anew && (reset || wiped) => {
                Continuity::MemoryReset { seq: hello.history_first.saturating_sub(1) }
            }
            // Records of both lives may be there, or the record of the start may be among those that were lost.
            (true, reset) if wiped || (reset && gap) => Continuity::MemoryReset { seq: hello.history_last },
            // With the ring whole, the record of the start tells, in its place between the others.
            (true, _) => Continuity::Same,
        }
    }

    fn go_on(&mut self, hello: &Hello) {
        let d = &mut self.durable;
        if hello.boot_id != d.boot_id {
            if let Some((billing, _)) = self.last.take() {
                let snapshot = &billing.snapshot;
                self.unsettled = Some(Unsettled { boots: snapshot.boots, counters: snapshot.counters });
            }
            d.boot_id = hello.boot_id;
        }
        // A ring that was lost and numbered anew is read from its start; records already settled are known by their
        // sample clock.
        if hello.history_last < d.seq {
            d.seq = hello.history_first.saturating_sub(1);
        }
        if hello.event_last.saturating_add(1) < d.event_next {
            d.event_next = hello.event_first.max(1);
        }
    }

    /// Forgets the pages of a coprocessor that ends here; gives the highest counters they told.
    fn forget(&mut self) -> Option<Counters> {
        let seen = self.latest_counters();
        self.last = None;
        self.unsettled = None;
        seen
    }

    /// The memory was empty at a start: registers stay, counting goes on from `base`. `seen` is the last page of the
    /// life before.
    pub(crate) fn memory_began_anew(
        &mut self,
        base: Counters,
        pulses: [u64; PULSE_INPUTS],
        seen: Option<Counters>,
        work: &mut Work,
    ) {
        let device_id = number(&self.durable.device_id);
        self.close_off(base, pulses, seen, work);
        let a_plus = self.durable.registers.total.a_plus as i64;
        self.note(StatusCode::MetrologyMemoryReset, [device_id, a_plus, 0, 0], work);
        work.effects.notices.push(Notice::MemoryReset);
    }

    /// Settles what was seen of the coprocessor that ends here, and ends the interval at the last settled record.
    fn close_off(&mut self, base: Counters, pulses: [u64; PULSE_INPUTS], seen: Option<Counters>, work: &mut Work) {
        let before = self.durable.registers;
        if let Some(latest) = seen {
            self.accrue(&latest);
        }
        let counted = self.durable.registers != before;
        self.durable.counters = base;
        self.durable.pulse_counters = pulses;
        self.clean = None;
        if let Some(passive) = &mut self.durable.passive {
            // Another sample clock begins.
            passive.after_t = 0;
        }
        let t = std::mem::take(&mut self.durable.t_samples);
        if let Some(mut interval) = self.durable.interval.take().filter(|i| counted || t > i.start_t) {
            interval.status |= Status::DISCONTINUITY;
            // The sums at the settled record are not kept, so this row has no means.
            let (end, sums) = (self.durable.utc, interval.sums);
            let row = interval.row(end, &self.durable.registers, &sums, &self.durable.params, &self.settings);
            self.append(LoggerId::Load, row, work);
        }
        self.durable.carry |= Status::DISCONTINUITY;
        // Its grid was a line on the other's sample clock.
        if let Some(params) = self.durable.pending.and_then(|p| p.params) {
            self.durable.pending = None;
            self.durable.params = params;
            self.durable.carry |= Status::CONFIG_CHANGED;
        }
        let at = Wall { utc: self.durable.utc, quality: ClockQuality::Invalid };
        self.give_up_pending(at, work);
        work.persist = true;
    }

    fn adopt(&mut self, hello: &Hello) {
        let d = &mut self.durable;
        d.device_id = hello.device_id;
        d.boot_id = hello.boot_id;
        d.seq = hello.history_first.saturating_sub(1);
        d.event_next = hello.event_first.max(1);
        d.grid_id = hello.grid.id;
        d.boots = hello.boots;
        d.down_us = 0;
        d.clipped = 0;
        d.suspect = 0;
        d.lost = 0;
        let [a, b, c, e, f, g, h, i, ..] = hello.config_hash;
        d.config_hash = [a, b, c, e, f, g, h, i];
    }
}

fn number(device_id: &[u8; 8]) -> i64 {
    i64::from_be_bytes(*device_id)
}

fn fits(meter_type: MeterType, topology: Topology) -> bool {
    match meter_type {
        MeterType::OnePhase => topology == Topology::OnePhase,
        MeterType::ThreePhase | MeterType::Ct => topology == Topology::ThreePhase,
        MeterType::Aron | MeterType::CtAron => topology == Topology::Aron,
    }
}
