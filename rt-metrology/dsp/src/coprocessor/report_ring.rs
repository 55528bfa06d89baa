//! The ring of reports: slots numbered by the sequence number of the record in them, as the other rings, but records
//! have the length they need.
//!
//! A slot holds the record as it goes into a page (head of [`HEAD`] bytes, body) and its CRC-32 right behind it. A cut
//! costs the record being written and the one it replaces, which is the oldest.

use metrology_link::codec::{Reader, Wire, Writer};
use metrology_link::page::crc32;
use metrology_link::payload::{REPORT_DATA, ReportFlags, ReportKind, ReportRecord};

use super::{Board, nv};

/// Bytes of a record before its body, the last two of them the body's length.
const HEAD: usize = ReportRecord::LEN - REPORT_DATA;

const _: () = assert!(ReportRecord::LEN + 4 <= nv::REPORT_SLOT);

/// What the head of a report says, but for what the ring adds: number and length.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReportHead {
    pub boot_id: u32,
    pub kind: ReportKind,
    pub flags: ReportFlags,
    pub begin: u64,
    pub end: u64,
    pub utc_us: i64,
}

type Slot = [u8; nv::REPORT_SLOT];

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReportRing {
    last: u64,
}

impl ReportRing {
    /// Nothing in it.
    pub const EMPTY: ReportRing = ReportRing { last: 0 };

    /// Finds the newest record. `damaged` counts slots that hold something unreadable.
    #[inline(never)] // its slot is gone before the state is built
    pub fn load<B: Board>(&mut self, board: &B, damaged: &mut u32) {
        let mut slot = [0; nv::REPORT_SLOT];
        for index in 0..nv::REPORT_SLOTS {
            match read_slot(board, index, &mut slot) {
                Ok((seq, _)) => self.last = self.last.max(seq),
                Err(blank) => *damaged += u32::from(!blank),
            }
        }
    }

    /// (oldest, newest) sequence number; (0, 0) when empty.
    pub fn range(&self) -> (u64, u64) {
        let first = self.last.saturating_sub(nv::REPORT_SLOTS - 1);
        if self.last == 0 { (0, 0) } else { (first.max(1), self.last) }
    }

    /// Newest sequence number; 0 when empty.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Appends one record to `out`; false when it is not there or cannot be read.
    pub fn read<B: Board>(&self, board: &B, seq: u64, out: &mut Writer<'_>) -> bool {
        let mut slot = [0; nv::REPORT_SLOT];
        let found = read_slot(board, seq % nv::REPORT_SLOTS, &mut slot).ok().filter(|found| found.0 == seq);
        if let Some((_, len)) = found {
            out.bytes(slot.get(..len).unwrap_or(&[]));
        }
        found.is_some()
    }

    /// Stores the next record over the oldest.
    pub fn append<B: Board>(&mut self, board: &mut B, head: &ReportHead, body: &impl Wire) {
        let mut slot = [0; nv::REPORT_SLOT];
        let (head_room, body_room) = slot.split_at_mut(HEAD);
        let mut w = Writer::new(body_room.get_mut(..REPORT_DATA).unwrap_or(&mut []));
        body.put(&mut w);
        debug_assert!(!w.overflowed(), "bodies fit by the assertions beside their layouts");
        let len = w.written();
        self.last += 1;
        let mut w = Writer::new(head_room);
        w.u64(self.last);
        w.u32(head.boot_id);
        head.kind.put(&mut w);
        head.flags.put(&mut w);
        w.u64(head.begin);
        w.u64(head.end);
        w.i64(head.utc_us);
        w.u16(len as u16);
        let end = HEAD + len;
        let crc = crc32(slot.get(..end).unwrap_or(&[]));
        if let Some(place) = slot.get_mut(end..end + 4) {
            place.copy_from_slice(&crc.to_le_bytes());
        }
        board.nv_write(place(self.last % nv::REPORT_SLOTS), slot.get(..end + 4).unwrap_or(&[]));
    }
}

fn place(index: u64) -> usize {
    nv::REPORTS_AT + index as usize * nv::REPORT_SLOT
}

/// Reads a slot: number and length (head and body) of what it holds; else whether it was never written.
fn read_slot<B: Board>(board: &B, index: u64, slot: &mut Slot) -> Result<(u64, usize), bool> {
    board.nv_read(place(index), slot);
    let found = || {
        let (head, _) = slot.split_at_checked(HEAD)?;
        let seq = Reader::new(head).u64().ok()?;
        let (_, len) = head.split_last_chunk::<2>()?;
        let len = HEAD + usize::from(u16::from_le_bytes(*len));
        if len > ReportRecord::LEN {
            return None;
        }
        let (body, rest) = slot.split_at_checked(len)?;
        let whole = Reader::new(rest).u32().ok()? == crc32(body);
        (whole && seq != 0 && seq % nv::REPORT_SLOTS == index).then_some((seq, len))
    };
    found().ok_or_else(|| nv::erased(slot))
}
