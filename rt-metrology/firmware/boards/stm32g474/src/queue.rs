//! Samples on their way from the interrupt to the engine, with the gaps between them.

use metrology_dsp::CHANNELS;

/// Samples that may wait: closing a window takes up to 55 of them at 32 kS/s.
pub const DEPTH: usize = 64;

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item {
    /// A sample, and the timer's tick at its data-ready edge.
    Sample([i32; CHANNELS], u32),
    /// So many samples are missing here.
    Lost(u32),
}

#[derive(Clone, Copy)]
struct Entry {
    counts: [i32; CHANNELS],
    ticks: u32,
    /// Missing before it.
    lost: u32,
}

/// The queue. What does not fit is lost, and where it is missing is known.
pub struct Queue {
    entries: [Entry; DEPTH],
    first: usize,
    waiting: usize,
    /// Missing after the last entry.
    lost: u32,
}

impl Queue {
    /// Empty.
    pub const fn new() -> Queue {
        let none = Entry { counts: [0; CHANNELS], ticks: 0, lost: 0 };
        Queue { entries: [none; DEPTH], first: 0, waiting: 0, lost: 0 }
    }

    /// A sample has come.
    pub fn push(&mut self, counts: &[i32; CHANNELS], ticks: u32) {
        if self.waiting == DEPTH {
            return self.lose(1);
        }
        let lost = core::mem::take(&mut self.lost);
        self.entries[(self.first + self.waiting) % DEPTH] = Entry { counts: *counts, ticks, lost };
        self.waiting += 1;
    }

    /// `n` samples have not come, or not whole.
    pub fn lose(&mut self, n: u32) {
        self.lost = self.lost.saturating_add(n);
    }

    /// Takes what comes next, in the order of time.
    pub fn pop(&mut self) -> Option<Item> {
        if self.waiting == 0 {
            return (self.lost > 0).then(|| Item::Lost(core::mem::take(&mut self.lost)));
        }
        let entry = &mut self.entries[self.first];
        if entry.lost > 0 {
            return Some(Item::Lost(core::mem::take(&mut entry.lost)));
        }
        let item = Item::Sample(entry.counts, entry.ticks);
        self.first = (self.first + 1) % DEPTH;
        self.waiting -= 1;
        Some(item)
    }

    /// Samples that wait.
    pub fn waiting(&self) -> usize {
        self.waiting
    }
}

impl Default for Queue {
    fn default() -> Queue {
        Queue::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(k: u32) -> [i32; CHANNELS] {
        [k as i32; CHANNELS]
    }

    #[test]
    fn samples_keep_their_order_and_gaps_their_place() {
        let mut queue = Queue::new();
        queue.lose(2);
        queue.push(&sample(1), 10);
        queue.lose(1);
        queue.lose(3);
        queue.push(&sample(2), 20);
        queue.lose(1);
        let all =
            [Item::Lost(2), Item::Sample(sample(1), 10), Item::Lost(4), Item::Sample(sample(2), 20), Item::Lost(1)];
        assert_eq!(all.map(Some), core::array::from_fn(|_| queue.pop()));
        assert_eq!(queue.pop(), None);
    }

    #[test]
    fn time_is_kept_whatever_overflows() {
        // Three samples come while one is taken: taken and told as lost are all that came.
        let (mut queue, mut taken, mut lost) = (Queue::new(), 0, 0);
        for k in 0..3000 {
            queue.push(&sample(k), k);
            if k % 3 == 0 {
                match queue.pop() {
                    Some(Item::Sample(counts, ticks)) => {
                        assert_eq!(counts, sample(taken + lost));
                        assert_eq!(ticks, taken + lost);
                        taken += 1;
                    }
                    Some(Item::Lost(n)) => lost += n,
                    None => {}
                }
            }
        }
        assert_eq!(queue.waiting(), DEPTH);
        while let Some(item) = queue.pop() {
            match item {
                Item::Sample(..) => taken += 1,
                Item::Lost(n) => lost += n,
            }
        }
        assert_eq!(taken + lost, 3000);
        assert!(lost > 1000);
    }
}
