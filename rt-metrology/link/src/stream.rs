//! Pages over a byte stream (unix socket, UART), where the frame that SPI's select line gives is missing.
//!
//! Stop and wait: the host writes one page, the coprocessor answers with the page it has armed. Between exchanges the
//! coprocessor may send one [`DOORBELL`] byte each time its data-ready level rises. Before an exchange the host drains
//! what is readable (looking only for doorbells) and calls [`PageReader::reset`]; a page that is not complete within
//! [`PAGE_TIMEOUT_MS`] is given up the same way. That is the whole resynchronisation; within one run of bytes, the reader also
//! finds the next page behind garbage by itself.

use crate::page::{MAGIC, View};
use crate::{PAGE, Page, PageError};

/// "A page is armed": sent once each time data-ready rises. Differs from the first byte of the magic.
pub const DOORBELL: u8 = 0xD7;
/// A page takes 0.8 ms at 10 Mbit/s and 90 ms at 115 200 bit/s: for a UART use at least 1 Mbit/s. 20 ms cover that
/// (10.3 ms) and a busy scheduler.
pub const PAGE_TIMEOUT_MS: u64 = 20;

/// Collects bytes into pages.
#[derive(Clone, Debug)]
pub struct PageReader {
    buffer: Page,
    fill: usize,
    doorbells: u64,
    skipped: u64,
}

impl Default for PageReader {
    fn default() -> PageReader {
        PageReader::new()
    }
}

impl PageReader {
    /// An empty reader.
    pub fn new() -> PageReader {
        PageReader { buffer: [0; PAGE], fill: 0, doorbells: 0, skipped: 0 }
    }

    /// Takes bytes from the front of `bytes` (which is moved past them) until a page is complete. The page may be damaged: its receiver
    /// checks and counts it. Bytes before the magic are skipped.
    pub fn push(&mut self, bytes: &mut &[u8]) -> Option<Page> {
        while let Some((byte, rest)) = bytes.split_first() {
            *bytes = rest;
            if self.fill == 0 && *byte == DOORBELL {
                self.doorbells = self.doorbells.saturating_add(1);
                continue;
            }
            if let Some(slot) = self.buffer.get_mut(self.fill) {
                *slot = *byte;
                self.fill += 1;
            }
            if self.fill <= 2 && !starts_like_a_page(self.buffer.get(..self.fill).unwrap_or(&[])) {
                self.drop_front(1);
            }
            if self.fill == PAGE {
                return Some(self.complete());
            }
        }
        None
    }

    /// Forgets a partial page.
    pub fn reset(&mut self) {
        self.skipped = self.skipped.saturating_add(self.fill as u64);
        self.fill = 0;
    }

    /// Whether a page has begun and is not complete.
    pub fn is_partial(&self) -> bool {
        self.fill != 0
    }

    /// Doorbells since the last call.
    pub fn take_doorbells(&mut self) -> u64 {
        core::mem::take(&mut self.doorbells)
    }

    /// Bytes thrown away since the start, for they belonged to no page.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Gives the page away. Behind a false start, what looks like the beginning of a page stays.
    fn complete(&mut self) -> Page {
        let page = self.buffer;
        if matches!(View::new(&page), Err(PageError::Crc | PageError::Version(_))) {
            self.drop_front(1);
        } else {
            self.fill = 0;
        }
        page
    }

    /// Drops `n` bytes and all further ones up to the next that may begin a page.
    fn drop_front(&mut self, n: usize) {
        let [low, high] = MAGIC.to_le_bytes();
        let rest = self.buffer.get(n..self.fill).unwrap_or(&[]);
        let next = rest
            .iter()
            .enumerate()
            .position(|(at, byte)| *byte == low && rest.get(at + 1).is_none_or(|b| *b == high))
            .unwrap_or(rest.len());
        self.skipped = self.skipped.saturating_add((n + next) as u64);
        self.buffer.copy_within(n + next..self.fill, 0);
        self.fill -= n + next;
    }
}

fn starts_like_a_page(bytes: &[u8]) -> bool {
    MAGIC.to_le_bytes().starts_with(bytes)
}
