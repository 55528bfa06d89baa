//! The way to the coprocessor: two transports behind one seam, and the common rules of using them.

use metrology_link::Page;
use std::os::fd::BorrowedFd;
use std::time::Duration;

pub mod pump;
pub mod socket;
pub mod spi;
pub mod tap;

/// Why [`Link::wait`] returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    /// A page is armed, or may be: exchange pages.
    Page,
    /// Somebody woke the thread.
    Woken,
    /// The time passed.
    Timeout,
}

/// How hard a recovery is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// Drop what is half received.
    Resync,
    /// Close and open the device or the connection.
    Reopen,
    /// Pull the coprocessor's reset line.
    Reset,
}

/// Why a page was not exchanged. In each case the pump tries again and, in time, recovers harder.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// No complete page came in time: a lost page, or a silent coprocessor.
    #[error("no page in time")]
    Timeout,
    /// Nobody is there (yet).
    #[error("{0}: not connected")]
    Down(String),
    /// The device failed.
    #[error("{what}: {reason}")]
    Device {
        /// Which device or line.
        what: String,
        /// The system's words.
        reason: String,
    },
}

/// A transport. Blocking, but never longer than it is told.
pub trait Link {
    /// Sleeps until a page is armed, `wake` is readable or the time has passed. A link that is down sleeps as well (and
    /// tries to come up): the time bounds that too.
    fn wait(&mut self, wake: BorrowedFd<'_>, timeout: Duration) -> Ready;

    /// Exchanges one page for one. `rx` is only meaningful after `Ok`, and even then unchecked.
    ///
    /// # Errors
    /// See [`LinkError`].
    fn transfer(&mut self, tx: &Page, rx: &mut Page) -> Result<(), LinkError>;

    /// Recovers. What a transport cannot do it does as well as it can.
    ///
    /// # Errors
    /// The device refuses.
    fn recover(&mut self, how: Recovery) -> Result<(), LinkError>;

    /// How long the page of the last exchange had been armed before the exchange began, by the kernel's time stamp of the
    /// data-ready edge; `None` where nobody stamps edges, or the edge was not seen.
    fn armed_for(&self) -> Option<Duration> {
        None
    }
}

impl<L: Link + ?Sized> Link for Box<L> {
    fn armed_for(&self) -> Option<Duration> {
        (**self).armed_for()
    }
    fn wait(&mut self, wake: BorrowedFd<'_>, timeout: Duration) -> Ready {
        (**self).wait(wake, timeout)
    }
    fn transfer(&mut self, tx: &Page, rx: &mut Page) -> Result<(), LinkError> {
        (**self).transfer(tx, rx)
    }
    fn recover(&mut self, how: Recovery) -> Result<(), LinkError> {
        (**self).recover(how)
    }
}
