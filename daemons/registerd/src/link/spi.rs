//! The link over SPI with GPIO lines. As thin as possible: what is decided is decided in [`super::pump`].
//!
//! Linux is the master. Data-ready is a level: while it is high a page is armed, so nothing is lost when an edge is. The
//! edges wake the thread, and their kernel time stamps tell how long a page had to wait. Around each transfer of 1024 bytes the handshake line is high, for boards whose
//! coprocessor wants to know before its select line falls.

use super::{Link, LinkError, Ready, Recovery};
use crate::config::LinkConfig;
use embedded_hal::spi::SpiDevice;
use linux_embedded_hal::SpidevDevice;
use linux_embedded_hal::gpio_cdev::{
    Chip, EventRequestFlags, EventType, LineEventHandle, LineHandle, LineRequestFlags,
};
use linux_embedded_hal::spidev::{SpiModeFlags, SpidevOptions};
use metrology_link::Page;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::time::{ClockId, clock_gettime};
use std::os::fd::BorrowedFd;
use std::time::Duration;

/// How long the reset line is held: 100 times the 100 µs that the longest of the boards' reset circuits needs.
const RESET_HOLD: Duration = Duration::from_millis(10);

/// The lines beside the SPI bus.
pub trait Lines {
    /// Level of data-ready.
    ///
    /// # Errors
    /// The line cannot be read.
    fn data_ready(&mut self) -> Result<bool, LinkError>;

    /// Sleeps until data-ready changes, `wake` is readable or the time has passed; true when woken.
    fn sleep(&mut self, wake: BorrowedFd<'_>, time: Duration) -> bool;

    /// Takes the kernel's time stamp (CLOCK_MONOTONIC, ns) of the last rising edge of data-ready, if one was seen.
    fn take_edge_ns(&mut self) -> Option<u64> {
        None
    }

    /// Sets the handshake line; boards without it do nothing.
    ///
    /// # Errors
    /// The line cannot be driven.
    fn handshake(&mut self, high: bool) -> Result<(), LinkError>;

    /// Pulls the reset line for a moment; boards without it do nothing.
    ///
    /// # Errors
    /// The line cannot be driven.
    fn reset(&mut self) -> Result<(), LinkError>;
}

/// See the module.
pub struct SpiLink<D, L> {
    spi: D,
    lines: L,
    armed_for: Option<Duration>,
}

impl SpiLink<SpidevDevice, GpioLines> {
    /// Opens device and lines.
    ///
    /// # Errors
    /// A device is missing, in use, or refuses the settings.
    pub fn open(config: &LinkConfig) -> Result<SpiLink<SpidevDevice, GpioLines>, LinkError> {
        let error = |e: &dyn std::fmt::Display| device(&config.spidev.display().to_string(), e);
        let mut spi = SpidevDevice::open(&config.spidev).map_err(|e| error(&e))?;
        let options =
            SpidevOptions::new().bits_per_word(8).max_speed_hz(config.speed_hz).mode(SpiModeFlags::SPI_MODE_0).build();
        spi.configure(&options).map_err(|e| error(&e))?;
        Ok(SpiLink::new(spi, GpioLines::open(config)?))
    }
}

impl<D, L> SpiLink<D, L> {
    /// From parts, for tests and other boards.
    pub fn new(spi: D, lines: L) -> SpiLink<D, L> {
        SpiLink { spi, lines, armed_for: None }
    }
}

impl<D: SpiDevice, L: Lines> Link for SpiLink<D, L> {
    fn wait(&mut self, wake: BorrowedFd<'_>, timeout: Duration) -> Ready {
        // A line that cannot be read counts as low: the silence that follows recovers it.
        if self.lines.data_ready().unwrap_or(false) {
            return Ready::Page;
        }
        let woken = self.lines.sleep(wake, timeout);
        match self.lines.data_ready() {
            Ok(true) => Ready::Page,
            _ if woken => Ready::Woken,
            _ => Ready::Timeout,
        }
    }

    fn transfer(&mut self, tx: &Page, rx: &mut Page) -> Result<(), LinkError> {
        self.armed_for = self.lines.take_edge_ns().map(|edge| {
            let now = clock_gettime(ClockId::Monotonic);
            let now_ns = (now.tv_sec as u64).saturating_mul(1_000_000_000).saturating_add(now.tv_nsec as u64);
            Duration::from_nanos(now_ns.saturating_sub(edge))
        });
        self.lines.handshake(true)?;
        let done = self.spi.transfer(rx, tx).map_err(|e| device("spi", &format!("{e:?}")));
        self.lines.handshake(false)?;
        done
    }

    fn recover(&mut self, how: Recovery) -> Result<(), LinkError> {
        match how {
            // Each transfer is framed by the select line: nothing is half received, and the kernel holds no state.
            Recovery::Resync | Recovery::Reopen => Ok(()),
            Recovery::Reset => self.lines.reset(),
        }
    }

    fn armed_for(&self) -> Option<Duration> {
        self.armed_for
    }
}

/// Lines of a GPIO chip.
pub struct GpioLines {
    data_ready: LineEventHandle,
    edge_ns: Option<u64>,
    handshake: Option<LineHandle>,
    reset: Option<LineHandle>,
}

impl GpioLines {
    fn open(config: &LinkConfig) -> Result<GpioLines, LinkError> {
        let name = config.gpiochip.display().to_string();
        let mut chip = Chip::new(&config.gpiochip).map_err(|e| device(&name, &e))?;
        let mut output = |line: Option<u32>, level: u8, what: &str| {
            line.map(|n| {
                chip.get_line(n)
                    .and_then(|l| l.request(LineRequestFlags::OUTPUT, level, "metergate"))
                    .map_err(|e| device(&format!("{name} line {n} ({what})"), &e))
            })
            .transpose()
        };
        let handshake = output(config.handshake, 0, "handshake")?;
        let reset = output(config.reset, 1, "reset")?;
        let data_ready = chip
            .get_line(config.data_ready)
            .and_then(|l| l.events(LineRequestFlags::INPUT, EventRequestFlags::BOTH_EDGES, "metergate"))
            .map_err(|e| device(&format!("{name} line {} (data-ready)", config.data_ready), &e))?;
        Ok(GpioLines { data_ready, edge_ns: None, handshake, reset })
    }
}

impl Lines for GpioLines {
    fn data_ready(&mut self) -> Result<bool, LinkError> {
        self.data_ready.get_value().map(|v| v != 0).map_err(|e| device("data-ready", &e))
    }

    fn sleep(&mut self, wake: BorrowedFd<'_>, time: Duration) -> bool {
        let timeout = Timespec { tv_sec: time.as_secs() as i64, tv_nsec: i64::from(time.subsec_nanos()) };
        let (woken, edge) = {
            let mut fds = [PollFd::from_borrowed_fd(wake, PollFlags::IN), PollFd::new(&self.data_ready, PollFlags::IN)];
            let ready = poll(&mut fds, Some(&timeout)).is_ok_and(|n| n > 0);
            (ready && !fds[0].revents().is_empty(), ready && fds[1].revents().contains(PollFlags::IN))
        };
        if edge {
            // Takes one edge off the kernel's queue. The level decides; the stamp of a rising edge is for the figures.
            self.edge_ns = match self.data_ready.get_event() {
                Ok(event) if event.event_type() == EventType::RisingEdge => Some(event.timestamp()),
                _ => None,
            };
        }
        woken
    }

    fn take_edge_ns(&mut self) -> Option<u64> {
        self.edge_ns.take()
    }

    fn handshake(&mut self, high: bool) -> Result<(), LinkError> {
        drive(self.handshake.as_ref(), high, "handshake")
    }

    fn reset(&mut self) -> Result<(), LinkError> {
        drive(self.reset.as_ref(), false, "reset")?;
        std::thread::sleep(RESET_HOLD);
        drive(self.reset.as_ref(), true, "reset")
    }
}

fn drive(line: Option<&LineHandle>, high: bool, what: &str) -> Result<(), LinkError> {
    line.map_or(Ok(()), |l| l.set_value(u8::from(high))).map_err(|e| device(what, &e))
}

fn device(what: &str, reason: &dyn std::fmt::Display) -> LinkError {
    LinkError::Device { what: what.into(), reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use embedded_hal::spi::{ErrorKind, ErrorType, Operation};
    use meter_kit::wake::Wake;
    use metrology_link::PAGE;
    use std::cell::RefCell;
    use std::os::fd::AsFd;
    use std::rc::Rc;

    /// What happened on the board, in order.
    #[derive(Debug, PartialEq)]
    enum Seen {
        Handshake(bool),
        Transfer(u8, usize),
        Reset,
    }

    #[derive(Clone, Default)]
    struct Board {
        seen: Rc<RefCell<Vec<Seen>>>,
        ready: Rc<RefCell<bool>>,
        edge_ns: Option<u64>,
        broken: bool,
    }

    impl ErrorType for Board {
        type Error = ErrorKind;
    }

    impl SpiDevice for Board {
        fn transaction(&mut self, operations: &mut [Operation<'_, u8>]) -> Result<(), ErrorKind> {
            for operation in operations {
                let Operation::Transfer(read, write) = operation else { return Err(ErrorKind::Other) };
                self.seen.borrow_mut().push(Seen::Transfer(write[0], write.len()));
                read.fill(9);
            }
            if self.broken { Err(ErrorKind::Overrun) } else { Ok(()) }
        }
    }

    impl Lines for Board {
        fn data_ready(&mut self) -> Result<bool, LinkError> {
            Ok(*self.ready.borrow())
        }
        fn sleep(&mut self, _: BorrowedFd<'_>, _: Duration) -> bool {
            true
        }
        fn take_edge_ns(&mut self) -> Option<u64> {
            self.edge_ns.take()
        }
        fn handshake(&mut self, high: bool) -> Result<(), LinkError> {
            self.seen.borrow_mut().push(Seen::Handshake(high));
            Ok(())
        }
        fn reset(&mut self) -> Result<(), LinkError> {
            self.seen.borrow_mut().push(Seen::Reset);
            Ok(())
        }
    }

    #[test]
    fn one_page_is_one_transfer_between_two_handshakes() {
        let board = Board::default();
        let mut link = SpiLink::new(board.clone(), board.clone());
        let mut rx = [0; PAGE];
        link.transfer(&[3; PAGE], &mut rx).unwrap();
        assert_eq!(rx, [9; PAGE]);
        assert_eq!(*board.seen.borrow(), [Seen::Handshake(true), Seen::Transfer(3, PAGE), Seen::Handshake(false)]);
    }

    #[test]
    fn the_handshake_falls_after_a_failed_transfer_too() {
        let board = Board { broken: true, ..Board::default() };
        let mut link = SpiLink::new(board.clone(), board.clone());
        assert!(matches!(link.transfer(&[3; PAGE], &mut [0; PAGE]), Err(LinkError::Device { .. })));
        assert_eq!(board.seen.borrow().last(), Some(&Seen::Handshake(false)));
    }

    #[test]
    fn the_level_counts_not_the_edge() {
        let board = Board::default();
        let mut link = SpiLink::new(board.clone(), board.clone());
        let wake = Wake::new().unwrap();
        assert_eq!(link.wait(wake.as_fd(), Duration::ZERO), Ready::Woken);
        *board.ready.borrow_mut() = true;
        for _ in 0..2 {
            assert_eq!(link.wait(wake.as_fd(), Duration::ZERO), Ready::Page);
        }
    }

    #[test]
    fn the_stamp_of_the_edge_tells_how_long_the_page_waited() {
        let now = clock_gettime(ClockId::Monotonic);
        let edge_ns = now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64 - 5_000_000;
        let board = Board { edge_ns: Some(edge_ns), ..Board::default() };
        let mut link = SpiLink::new(board.clone(), board);
        link.transfer(&[3; PAGE], &mut [0; PAGE]).unwrap();
        let armed = link.armed_for().unwrap();
        assert!((Duration::from_millis(5)..Duration::from_secs(60)).contains(&armed), "{armed:?}");
        // One edge is one page's.
        link.transfer(&[3; PAGE], &mut [0; PAGE]).unwrap();
        assert_eq!(link.armed_for(), None);
    }

    #[test]
    fn only_the_last_step_pulls_the_reset_line() {
        let board = Board::default();
        let mut link = SpiLink::new(board.clone(), board.clone());
        link.recover(Recovery::Resync).unwrap();
        link.recover(Recovery::Reopen).unwrap();
        assert_eq!(*board.seen.borrow(), []);
        link.recover(Recovery::Reset).unwrap();
        assert_eq!(*board.seen.borrow(), [Seen::Reset]);
    }
}
