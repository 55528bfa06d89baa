//! The streams: items packed into chunks, a short queue, and numbers that tell what did not get through.

use metrology_link::codec::encode;
use metrology_link::payload::{STREAM_DATA, Second, StreamChunk, StreamKind};

use crate::pq::harmonics::{Harmonics, ORDERS};
use crate::{CHANNELS, HalfCycle};

/// Bytes of a spectrum: channel, periods, 16 bits of zero, direct component, subgroups of orders 1 to 50, and
/// interharmonic subgroups above orders 0 to 50, as 32-bit floating point in V or A. Two fit into a chunk.
const SPECTRUM_BYTES: usize = 4 + 4 * (1 + ORDERS + ORDERS + 1);

/// Chunks, open or waiting for a page. At 32 kS/s raw samples fill one in 1.4 ms; beside the open one, four ride out
/// 5.7 ms without an exchange. More would only move the loss: an interrupted link loses anyway, and the numbers tell how
/// much. The other kinds fill one in tens of milliseconds.
const POOL: usize = 5;

/// All streams of the present subscription.
#[derive(Clone, Debug)]
pub(super) struct Streams {
    mask: u8,
    subscription: u32,
    /// Number of the next item of each kind.
    next: [u64; StreamKind::COUNT],
    pool: [StreamChunk; POOL],
    /// A bit for each of the pool that is neither open nor waiting.
    free: u8,
    /// Which of the pool each kind fills.
    open: [Option<u8>; StreamKind::COUNT],
    /// Which of the pool are complete, oldest first.
    queue: [u8; POOL],
    len: usize,
}

impl Default for Streams {
    fn default() -> Streams {
        Streams {
            mask: 0,
            subscription: 0,
            next: [0; StreamKind::COUNT],
            pool: [StreamChunk::default(); POOL],
            free: (1 << POOL) - 1,
            open: [None; StreamKind::COUNT],
            queue: [0; POOL],
            len: 0,
        }
    }
}

impl Streams {
    /// Begins anew with these kinds; what waited is dropped.
    pub fn subscribe(&mut self, subscription: u32, mask: u8) {
        (self.mask, self.subscription) = (mask, subscription);
        self.next = [0; StreamKind::COUNT];
        (self.free, self.open, self.len) = ((1 << POOL) - 1, [None; StreamKind::COUNT], 0);
    }

    /// Whether anybody wants this kind.
    pub fn wants(&self, kind: StreamKind) -> bool {
        self.mask & kind.bit() != 0
    }

    /// Whether a complete chunk waits.
    pub fn ready(&self) -> bool {
        self.len != 0
    }

    /// The oldest complete chunk.
    pub fn take(&mut self) -> Option<StreamChunk> {
        if self.len == 0 {
            return None;
        }
        let [slot, ..] = self.queue;
        self.queue.rotate_left(1);
        self.len -= 1;
        self.free |= 1 << slot;
        self.pool.get(usize::from(slot)).copied()
    }

    /// There is a gap in the samples: a chunk's items follow each other without one.
    pub fn gap(&mut self) {
        self.close(StreamKind::Raw);
    }

    /// One sample of every channel.
    pub fn raw(&mut self, t_samples: u64, counts: &[i32; CHANNELS]) {
        if !self.wants(StreamKind::Raw) {
            return;
        }
        let mut item = [0; 3 * CHANNELS];
        for (bytes, count) in item.chunks_exact_mut(3).zip(counts) {
            let [low, middle, high, _] = (*count).clamp(-(1 << 23), (1 << 23) - 1).to_le_bytes();
            bytes.copy_from_slice(&[low, middle, high]);
        }
        self.push(StreamKind::Raw, t_samples, (1 << CHANNELS) - 1, &item);
    }

    /// One half-cycle.
    pub fn half_cycle(&mut self, values: &HalfCycle) {
        if !self.wants(StreamKind::HalfCycleRms) {
            return;
        }
        let mut item = [0; 4 * CHANNELS];
        let mut len = 0;
        for (k, rms) in values.rms.iter().enumerate().filter(|(k, _)| values.channels >> k & 1 != 0) {
            debug_assert!(k < CHANNELS);
            if let Some(bytes) = item.get_mut(len..len + 4) {
                bytes.copy_from_slice(&rms.to_le_bytes());
                len += 4;
            }
        }
        self.push(StreamKind::HalfCycleRms, values.t_samples, values.channels, item.get(..len).unwrap_or(&[]));
    }

    /// The spectrum of one channel; `t_samples` is when it was made, a few milliseconds after its window's end.
    pub fn spectrum(&mut self, t_samples: u64, channel: usize, harmonics: &Harmonics) {
        if !self.wants(StreamKind::Spectrum) {
            return;
        }
        let mut item = [0; SPECTRUM_BYTES];
        (item[0], item[1]) = (channel as u8, harmonics.cycles as u8);
        let values = [harmonics.dc].into_iter();
        let values = values.chain(harmonics.subgroup[1..].iter().copied()).chain(harmonics.inter);
        for (bytes, value) in item[4..].chunks_exact_mut(4).zip(values) {
            bytes.copy_from_slice(&value.to_le_bytes());
        }
        // Items have their channel inside: the chunk's mask is for items that are alike.
        self.push(StreamKind::Spectrum, t_samples, 0, &item);
    }

    /// One window. Windows are the beat of the other slow streams too: their open chunks become complete.
    pub fn window(&mut self, values: &Second) {
        if self.wants(StreamKind::Window200ms) {
            let mut item = [0; 256];
            let len = encode(values, &mut item);
            self.push(StreamKind::Window200ms, values.t_samples, 0, item.get(..len).unwrap_or(&[]));
        }
        self.close(StreamKind::Window200ms);
        self.close(StreamKind::HalfCycleRms);
        self.close(StreamKind::Spectrum);
    }

    fn push(&mut self, kind: StreamKind, t_samples: u64, channels: u8, item: &[u8]) {
        let index = kind as usize;
        if let Some(chunk) = self.open[index].and_then(|slot| self.pool.get(usize::from(slot))) {
            let full = usize::from(chunk.len) + item.len() > STREAM_DATA;
            if full || chunk.channels != channels {
                self.close(kind);
            }
        }
        let number = self.next[index];
        self.next[index] += 1;
        if self.open[index].is_none() {
            // Without a free one the item is lost, and the next one's number tells.
            let slot = self.free.trailing_zeros();
            let Some(chunk) = self.pool.get_mut(slot as usize) else { return };
            self.free &= !(1 << slot);
            self.open[index] = Some(slot as u8);
            (chunk.kind, chunk.channels, chunk.subscription) = (kind, channels, self.subscription);
            (chunk.first, chunk.t_samples, chunk.count, chunk.len) = (number, t_samples, 0, 0);
            chunk.data = [0; STREAM_DATA];
        }
        let Some(chunk) = self.open[index].and_then(|slot| self.pool.get_mut(usize::from(slot))) else { return };
        let at = usize::from(chunk.len);
        if let Some(room) = chunk.data.get_mut(at..at + item.len()) {
            room.copy_from_slice(item);
            chunk.len += item.len() as u16;
            chunk.count += 1;
        }
    }

    /// Moves the open chunk to those that wait.
    fn close(&mut self, kind: StreamKind) {
        if let (Some(slot), Some(place)) = (self.open[kind as usize].take(), self.queue.get_mut(self.len)) {
            *place = slot;
            self.len += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_items_are_numbered_over_a_full_queue() {
        let mut s = Streams::default();
        s.raw(0, &[1; CHANNELS]);
        assert!(!s.ready(), "nobody subscribed");
        s.subscribe(7, StreamKind::Raw.bit());
        let per_chunk = (STREAM_DATA / 21) as u64;
        // Six chunks' worth and one more: five wait, the sixth is lost.
        for t in 0..6 * per_chunk + 1 {
            s.raw(100 + t, &[-2, 1 << 22, 0, 0, 0, 0, -(1 << 23)]);
        }
        for n in 0..POOL as u64 {
            let chunk = s.take().unwrap();
            assert_eq!((chunk.subscription, chunk.first, chunk.t_samples), (7, n * per_chunk, 100 + n * per_chunk));
            assert_eq!(u64::from(chunk.count), per_chunk);
            assert_eq!(chunk.bytes()[..6], [0xFE, 0xFF, 0xFF, 0, 0, 0x40]);
            assert_eq!(chunk.bytes()[18..21], [0, 0, 0x80]);
        }
        assert!(s.take().is_none());
        for t in 0..=per_chunk {
            s.raw(900 + t, &[0; CHANNELS]);
        }
        assert_eq!(s.take().unwrap().first, 6 * per_chunk + 1, "the jump shows the loss");
    }
}
