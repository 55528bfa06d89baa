//! The map of the non-volatile memory, and records that survive a cut at any byte.
//!
//! A [`Pair`] is two slots written in turn, each with generation and CRC-32; a cut while one is written leaves the
//! other. A [`Ring`] is 256 slots numbered by the sequence number of the record in them, each with its CRC-32; a cut
//! costs the record being written and the one it replaces, which is the oldest.

use metrology_link::codec::{Reader, Wire, Writer};
use metrology_link::page::crc32;
use metrology_link::payload::{CHAIN_LOGS, LCD_BACKUP_FRAMES};

use super::Board;

/// Slots of the history ring: 120 minutes, and 136 records that came in between (edges, grid changes, starts).
pub const HISTORY_SLOTS: u64 = 256;
/// Slots of the event ring.
pub const EVENT_SLOTS: u64 = 256;
/// Slots of the report ring. Intervals alone make 26 reports in two hours (harmonics and values, each ten minutes and
/// each two hours), so 256 are 19 hours without Linux; a waveform of 23 cycles takes 50 of them. With all that stands
/// before it the ring ends below [`NV_LIMIT`].
pub const REPORT_SLOTS: u64 = 256;
/// The memory of a board: FRAM or MRAM of 4 Mbit.
const NV_LIMIT: usize = 512 * 1024;

/// Cumulative state (written every window): 2 x 1024.
pub(super) const CUMULATIVE_AT: usize = 0;
pub(super) const CUMULATIVE_SLOT: usize = 1024;
/// Boot state (written on change): 2 x 256.
pub(super) const STATE_AT: usize = CUMULATIVE_AT + 2 * CUMULATIVE_SLOT;
pub(super) const STATE_SLOT: usize = 256;
/// Configuration and signed calibration: 2 x 512.
pub(super) const CONFIG_AT: usize = STATE_AT + 2 * STATE_SLOT;
pub(super) const CONFIG_SLOT: usize = 512;
/// Heads of the hash chains: 16 pairs of 64.
pub(super) const HEADS_AT: usize = CONFIG_AT + 2 * CONFIG_SLOT;
pub(super) const HEAD_SLOT: usize = 64;
/// Display frames for the supply back-up: 8 pairs of 96.
pub(super) const LCD_AT: usize = HEADS_AT + CHAIN_LOGS * 2 * HEAD_SLOT;
pub(super) const LCD_SLOT: usize = 96;
/// Occurrence counters of power quality (written when one has changed): 2 x 128.
pub(super) const OCCURRENCES_AT: usize = LCD_AT + LCD_BACKUP_FRAMES as usize * 2 * LCD_SLOT;
pub(super) const OCCURRENCES_SLOT: usize = 128;
/// Pulses given (written with each): 2 x 64.
pub(super) const PULSES_AT: usize = OCCURRENCES_AT + 2 * OCCURRENCES_SLOT;
pub(super) const PULSES_SLOT: usize = 64;
/// Events: 256 x 96.
pub(super) const EVENTS_AT: usize = PULSES_AT + 2 * PULSES_SLOT;
pub(super) const EVENT_SLOT: usize = 96;
/// History: 256 x 640.
pub(super) const HISTORY_AT: usize = EVENTS_AT + EVENT_SLOTS as usize * EVENT_SLOT;
pub(super) const HISTORY_SLOT: usize = 640;
/// Reports: 256 x 1024.
pub(super) const REPORTS_AT: usize = HISTORY_AT + HISTORY_SLOTS as usize * HISTORY_SLOT;
pub(super) const REPORT_SLOT: usize = 1024;
/// Bytes a board must have; an image is staged behind them.
pub const NV_BYTES: usize = REPORTS_AT + REPORT_SLOTS as usize * REPORT_SLOT;
const _: () = assert!(NV_BYTES <= NV_LIMIT);

/// Largest slot of all.
const SLOT_LIMIT: usize = 1024;
/// Generation (8) and length (2) before the payload of a slot, CRC (4) at its end.
const OVERHEAD: usize = 14;

/// Largest payload of a slot.
pub(super) const fn room(slot: usize) -> usize {
    slot - OVERHEAD
}

/// One slot as it stands in memory.
pub(super) type Slot = [u8; SLOT_LIMIT];

/// What a pair or a kept image held.
pub(super) struct Loaded {
    pub generation: u64,
    slot: Slot,
    len: usize,
}

impl Loaded {
    pub fn payload(&self) -> &[u8] {
        self.slot.get(10..10 + self.len).unwrap_or(&[])
    }

    /// A slot that was kept elsewhere, if CRC and length of its first `size` bytes are right.
    pub fn kept(slot: &Slot, size: usize) -> Option<Loaded> {
        let mut loaded = Loaded { generation: 0, slot: *slot, len: 0 };
        loaded.check(size).then_some(loaded)
    }

    /// Checks CRC and length of the first `size` bytes, and takes generation and length from them.
    fn check(&mut self, size: usize) -> bool {
        let Some((body, crc)) = self.slot.get(..size).and_then(|s| s.split_last_chunk::<4>()) else { return false };
        if u32::from_le_bytes(*crc) != crc32(body) {
            return false;
        }
        let mut r = Reader::new(body);
        let (Ok(generation), Ok(len)) = (r.u64(), r.u16()) else { return false };
        (self.generation, self.len) = (generation, usize::from(len));
        // An erased memory of zeros has no valid CRC, but generation 0 is refused as well.
        generation != 0 && self.len <= r.rest().len()
    }
}

/// Two slots, written in turn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair {
    at: usize,
    size: usize,
    generation: u64,
    /// The slot that is not the newest readable one.
    next: usize,
}

impl Pair {
    pub const fn new(at: usize, size: usize) -> Pair {
        assert!(size <= SLOT_LIMIT);
        Pair { at, size, generation: 0, next: 0 }
    }

    /// Reads the newest readable slot; `None` when neither is. `damaged` counts slots that hold something unreadable.
    pub fn load<B: Board>(&mut self, board: &B, damaged: &mut u32) -> Option<Loaded> {
        let mut newest: Option<(usize, u64)> = None;
        for index in 0..2 {
            match self.read(board, index) {
                Ok(found) if newest.is_none_or(|(_, generation)| generation < found.generation) => {
                    newest = Some((index, found.generation));
                }
                Ok(_) => {}
                Err(blank) => *damaged += u32::from(!blank),
            }
        }
        // Read again: two slots at once would be two KiB of stack.
        let (index, _) = newest?;
        let found = self.read(board, index).ok()?;
        self.generation = found.generation;
        self.next = 1 - index;
        Some(found)
    }

    /// One slot; when it is not readable, whether it was never written.
    fn read<B: Board>(&self, board: &B, index: usize) -> Result<Loaded, bool> {
        let mut found = Loaded { generation: 0, slot: [0; SLOT_LIMIT], len: 0 };
        let slot = found.slot.get_mut(..self.size).unwrap_or(&mut []);
        board.nv_read(self.at + index * self.size, slot);
        if found.check(self.size) { Ok(found) } else { Err(erased(found.slot.get(..self.size).unwrap_or(&[]))) }
    }

    /// Goes on from a generation that was kept elsewhere (the memory that is not initialised), when that is newer.
    pub fn continue_from(&mut self, generation: u64) {
        self.generation = self.generation.max(generation);
    }

    /// Writes the next generation into the older slot.
    pub fn save<B: Board>(&mut self, board: &mut B, fill: impl FnOnce(&mut Writer<'_>)) {
        self.save_from(board, &mut [0; SLOT_LIMIT], fill);
    }

    /// The same, made in `slot` and left there as written.
    pub fn save_from<B: Board>(&mut self, board: &mut B, slot: &mut Slot, fill: impl FnOnce(&mut Writer<'_>)) {
        self.generation += 1;
        seal(slot, self.size, self.generation, fill);
        board.nv_write(self.at + self.next * self.size, slot.get(..self.size).unwrap_or(&[]));
        self.next = 1 - self.next;
    }
}

fn seal(slot: &mut Slot, size: usize, generation: u64, fill: impl FnOnce(&mut Writer<'_>)) {
    slot.fill(0);
    let (used, _) = slot.split_at_mut(size);
    let (body, crc) = used.split_at_mut(size - 4);
    let (head, room) = body.split_at_mut(10);
    let mut w = Writer::new(room);
    fill(&mut w);
    debug_assert!(!w.overflowed(), "what is stored fits by the assertions in `app`");
    let len = w.written() as u16;
    let mut w = Writer::new(head);
    w.u64(generation);
    w.u16(len);
    crc.copy_from_slice(&crc32(body).to_le_bytes());
}

/// Never written: all zeros (a new file) or all ones (erased flash).
pub(super) fn erased(slot: &[u8]) -> bool {
    slot.iter().all(|b| *b == 0) || slot.iter().all(|b| *b == 0xff)
}

/// Records with a sequence number.
pub(super) trait Numbered: Wire {
    fn seq(&self) -> u64;
}

impl Numbered for metrology_link::payload::EventRecord {
    fn seq(&self) -> u64 {
        self.seq
    }
}

impl Numbered for metrology_link::payload::HistoryRecord {
    fn seq(&self) -> u64 {
        self.seq
    }
}

/// 256 records in turn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ring {
    at: usize,
    size: usize,
    slots: u64,
    last: u64,
}

impl Ring {
    pub const fn new(at: usize, size: usize, slots: u64) -> Ring {
        assert!(size <= SLOT_LIMIT);
        Ring { at, size, slots, last: 0 }
    }

    /// Finds the newest record. `damaged` counts slots that hold something unreadable.
    pub fn load<T: Numbered, B: Board>(&mut self, board: &B, damaged: &mut u32) {
        for index in 0..self.slots {
            let mut slot = [0; SLOT_LIMIT];
            match self.read_slot::<T, B>(board, index, &mut slot) {
                Some(record) => self.last = self.last.max(record.seq()),
                None => *damaged += u32::from(!erased(slot.get(..self.size).unwrap_or(&[]))),
            }
        }
    }

    fn place(&self, index: u64) -> usize {
        self.at + index as usize * self.size
    }

    fn read_slot<T: Numbered, B: Board>(&self, board: &B, index: u64, slot: &mut Slot) -> Option<T> {
        board.nv_read(self.place(index), slot.get_mut(..self.size)?);
        let (body, rest) = slot.split_at(T::LEN);
        if Reader::new(rest).u32().ok()? != crc32(body) {
            return None;
        }
        let record: T = metrology_link::codec::decode(body).ok()?;
        (record.seq() != 0 && record.seq() % self.slots == index).then_some(record)
    }

    /// (oldest, newest) sequence number; (0, 0) when empty.
    pub fn range(&self) -> (u64, u64) {
        let first = self.last.saturating_sub(self.slots - 1);
        if self.last == 0 { (0, 0) } else { (first.max(1), self.last) }
    }

    /// Newest sequence number; 0 when empty.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// One record; `None` when it is not there or cannot be read.
    pub fn read<T: Numbered, B: Board>(&self, board: &B, seq: u64) -> Option<T> {
        let record: T = self.read_slot(board, seq % self.slots, &mut [0; SLOT_LIMIT])?;
        (record.seq() == seq).then_some(record)
    }

    /// Stores `record`, which must be the next one, over the oldest.
    pub fn append<T: Numbered, B: Board>(&mut self, board: &mut B, record: &T) {
        debug_assert!(record.seq() == self.last + 1 && T::LEN + 4 <= self.size);
        let mut slot = [0; SLOT_LIMIT];
        let mut w = Writer::new(&mut slot);
        record.put(&mut w);
        let len = w.written();
        let crc = crc32(slot.get(..len).unwrap_or(&[]));
        if let Some(place) = slot.get_mut(len..len + 4) {
            place.copy_from_slice(&crc.to_le_bytes());
        }
        self.last = record.seq();
        board.nv_write(self.place(record.seq() % self.slots), slot.get(..self.size).unwrap_or(&[]));
    }
}
