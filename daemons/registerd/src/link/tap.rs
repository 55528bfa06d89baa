//! A capture of what crosses the link: for a technician's eyes, and for tests. Read it with `metergate link dump`.
//!
//! The pages are written as they went and came, damaged ones too. A file that cannot be written or is full ends the
//! capture with one line in the journal; metering never waits for it.

use super::{Link, LinkError, Ready, Recovery};
use metrology_link::Page;
use metrology_link::capture::{CaptureWriter, Direction, Record};
use std::fs::File;
use std::io::{self, BufWriter};
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::time::{Duration, Instant};

/// Pages of a capture at most: about a day at ten exchanges a second, 1.8 GB.
const PAGES_MAX: u64 = 1_728_000;

/// A transport that also writes down what it carries.
pub struct Tap<L> {
    link: L,
    /// `None` after the capture has ended.
    out: Option<CaptureWriter<BufWriter<File>>>,
    pages: u64,
    began: Instant,
}

impl<L: Link> Tap<L> {
    /// Begins a new capture in `file`. Its times count from now.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn new(link: L, file: &Path) -> io::Result<Tap<L>> {
        let out = CaptureWriter::new(BufWriter::new(File::create(file)?))?;
        Ok(Tap { link, out: Some(out), pages: 0, began: Instant::now() })
    }

    fn write(&mut self, direction: Direction, page: &Page) {
        let Some(out) = &mut self.out else { return };
        let time_us = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        let result = out.write(&Record { time_us, direction, page: *page });
        self.pages += 1;
        if let Err(error) = result {
            log::warn!("capture ended: {error}");
            self.out = None;
        } else if self.pages >= PAGES_MAX {
            log::warn!("capture ended: {PAGES_MAX} pages");
            self.out = None;
        }
    }
}

impl<L: Link> Link for Tap<L> {
    fn wait(&mut self, wake: BorrowedFd<'_>, timeout: Duration) -> Ready {
        self.link.wait(wake, timeout)
    }

    fn transfer(&mut self, tx: &Page, rx: &mut Page) -> Result<(), LinkError> {
        let result = self.link.transfer(tx, rx);
        self.write(Direction::Down, tx);
        if result.is_ok() {
            self.write(Direction::Up, rx);
        }
        result
    }

    fn recover(&mut self, how: Recovery) -> Result<(), LinkError> {
        self.link.recover(how)
    }

    fn armed_for(&self) -> Option<Duration> {
        self.link.armed_for()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metrology_link::PAGE;
    use metrology_link::capture::CaptureReader;

    /// Answers with its question turned round; the second exchange fails.
    struct Mirror(u32);

    impl Link for Mirror {
        fn wait(&mut self, _: BorrowedFd<'_>, _: Duration) -> Ready {
            Ready::Page
        }
        fn transfer(&mut self, tx: &Page, rx: &mut Page) -> Result<(), LinkError> {
            self.0 += 1;
            if self.0 == 2 {
                return Err(LinkError::Timeout);
            }
            *rx = *tx;
            rx.reverse();
            Ok(())
        }
        fn recover(&mut self, _: Recovery) -> Result<(), LinkError> {
            Ok(())
        }
    }

    #[test]
    fn what_crossed_stands_in_the_file_and_what_did_not_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("link.pcap");
        let mut tap = Tap::new(Mirror(0), &file).unwrap();
        let (mut tx, mut rx) = ([0; PAGE], [0; PAGE]);
        tx[0] = 7;
        assert!(tap.transfer(&tx, &mut rx).is_ok());
        assert!(tap.transfer(&tx, &mut rx).is_err());
        drop(tap);
        let pages: Vec<Record> = CaptureReader::new(File::open(&file).unwrap()).unwrap().map(Result::unwrap).collect();
        let directions: Vec<Direction> = pages.iter().map(|r| r.direction).collect();
        assert_eq!(directions, [Direction::Down, Direction::Up, Direction::Down]);
        assert_eq!((pages[0].page[0], pages[1].page[PAGE - 1]), (7, 7));
    }
}
