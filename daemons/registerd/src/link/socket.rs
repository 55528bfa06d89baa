//! The link over a unix socket: the virtual coprocessor. Stop and wait with doorbells, see [`metrology_link::stream`].

use super::{Link, LinkError, Ready, Recovery};
use metrology_link::stream::{PAGE_TIMEOUT_MS, PageReader};
use metrology_link::{PAGE, Page};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// First and longest pause between attempts to connect. A try on this machine costs microseconds, so the longest one
/// is short: a restarted coprocessor is found within a window and a half.
const CONNECT_PAUSE: Duration = Duration::from_millis(20);
const CONNECT_PAUSE_MAX: Duration = Duration::from_millis(320);
/// Without a doorbell for so long a page is exchanged anyway: should one get lost, values are late by a window, not
/// for ever.
const POLL: Duration = Duration::from_millis(250);
/// Longest wait for a page. It begins at [`PAGE_TIMEOUT_MS`] and doubles with each miss, for a simulator that shares its
/// processor with everything else.
const ANSWER_MAX: Duration = Duration::from_millis(320);
/// Bytes read at once: a page and some doorbells.
const CHUNK: usize = 2048;

/// See the module.
pub struct SocketLink {
    path: PathBuf,
    stream: Option<UnixStream>,
    reader: PageReader,
    /// A doorbell came since the last exchange.
    rung: bool,
    last_exchange: Instant,
    answer: Duration,
    next_connect: Instant,
    pause: Duration,
}

impl SocketLink {
    /// Connects at the first [`Link::wait`].
    pub fn new(path: &Path) -> SocketLink {
        SocketLink {
            path: path.to_owned(),
            stream: None,
            reader: PageReader::new(),
            rung: false,
            last_exchange: Instant::now(),
            answer: Duration::from_millis(PAGE_TIMEOUT_MS),
            next_connect: Instant::now(),
            pause: CONNECT_PAUSE,
        }
    }

    fn connect(&mut self) {
        if self.stream.is_some() || Instant::now() < self.next_connect {
            return;
        }
        let connected = UnixStream::connect(&self.path).and_then(|s| s.set_nonblocking(true).map(|()| s));
        match connected {
            Ok(stream) => {
                self.stream = Some(stream);
                self.reader = PageReader::new();
                // The first exchange asks for the hello.
                self.rung = true;
            }
            Err(_) => {
                self.next_connect = Instant::now() + self.pause;
                self.pause = (self.pause * 2).min(CONNECT_PAUSE_MAX);
            }
        }
    }

    fn close(&mut self) {
        self.stream = None;
        self.rung = false;
        self.reader.reset();
        self.next_connect = Instant::now() + self.pause;
        self.pause = (self.pause * 2).min(CONNECT_PAUSE_MAX);
    }

    /// Reads what is there. Gives a complete page and leaves doorbells in `rung`. Closes at the end of the stream.
    fn read(&mut self) -> Option<Page> {
        let mut chunk = [0; CHUNK];
        loop {
            let Some(stream) = &mut self.stream else { return None };
            match stream.read(&mut chunk) {
                Ok(n) if n > 0 => {
                    let mut bytes = &chunk[..n];
                    let mut page = None;
                    while !bytes.is_empty() {
                        page = self.reader.push(&mut bytes).or(page);
                    }
                    self.rung |= self.reader.take_doorbells() > 0;
                    if page.is_some() {
                        return page;
                    }
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => return None,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => {
                    self.close();
                    return None;
                }
            }
        }
    }

    fn write(&mut self, page: &Page, until: Instant) -> Result<(), LinkError> {
        let mut rest = &page[..];
        while !rest.is_empty() {
            let Some(stream) = &mut self.stream else { return Err(self.down()) };
            match stream.write(rest) {
                Ok(n) if n > 0 => rest = &rest[n..],
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    if !self.poll(PollFlags::OUT, until) {
                        return Err(LinkError::Timeout);
                    }
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => self.close(),
            }
        }
        Ok(())
    }

    /// Sleeps until the stream is ready; false when the time has passed.
    fn poll(&self, flags: PollFlags, until: Instant) -> bool {
        let left = until.saturating_duration_since(Instant::now());
        let Some(stream) = &self.stream else { return false };
        let mut fds = [PollFd::new(stream, flags)];
        poll(&mut fds, Some(&timespec(left))).is_ok_and(|n| n > 0)
    }

    fn down(&self) -> LinkError {
        LinkError::Down(self.path.display().to_string())
    }
}

impl Link for SocketLink {
    fn wait(&mut self, wake: BorrowedFd<'_>, timeout: Duration) -> Ready {
        let began = Instant::now();
        loop {
            self.connect();
            if self.rung || (self.stream.is_some() && self.last_exchange.elapsed() >= POLL) {
                return Ready::Page;
            }
            let mut left = timeout.saturating_sub(began.elapsed());
            if left.is_zero() {
                return Ready::Timeout;
            }
            let (woken, readable) = match &self.stream {
                Some(stream) => {
                    left = left.min(POLL.saturating_sub(self.last_exchange.elapsed()));
                    let mut fds = [PollFd::from_borrowed_fd(wake, PollFlags::IN), PollFd::new(stream, PollFlags::IN)];
                    sleep(&mut fds, left);
                    (!fds[0].revents().is_empty(), !fds[1].revents().is_empty())
                }
                None => {
                    left = left.min(self.next_connect.saturating_duration_since(Instant::now()));
                    let mut fds = [PollFd::from_borrowed_fd(wake, PollFlags::IN)];
                    sleep(&mut fds, left);
                    (!fds[0].revents().is_empty(), false)
                }
            };
            if readable {
                // A page nobody asked for is a late one: it will be sent again.
                self.read();
            }
            if woken && !self.rung {
                return Ready::Woken;
            }
        }
    }

    fn transfer(&mut self, tx: &Page, rx: &mut Page) -> Result<(), LinkError> {
        // Doorbells rung until now are answered by this exchange; what else is there is late.
        while self.read().is_some() {}
        self.reader.reset();
        self.rung = false;
        self.last_exchange = Instant::now();
        let until = self.last_exchange + self.answer;
        self.write(tx, until)?;
        loop {
            if let Some(page) = self.read() {
                *rx = page;
                self.answer = Duration::from_millis(PAGE_TIMEOUT_MS);
                self.pause = CONNECT_PAUSE;
                return Ok(());
            }
            if self.stream.is_none() {
                return Err(self.down());
            }
            if !self.poll(PollFlags::IN, until) {
                self.answer = (self.answer * 2).min(ANSWER_MAX);
                return Err(LinkError::Timeout);
            }
        }
    }

    /// There is no reset line: for that the coprocessor is another process, with its own supervisor.
    fn recover(&mut self, how: Recovery) -> Result<(), LinkError> {
        match how {
            Recovery::Resync => {
                self.read();
                self.reader.reset();
            }
            Recovery::Reopen | Recovery::Reset => self.close(),
        }
        Ok(())
    }
}

/// An interrupted or failed poll looks like one that timed out: the caller looks again.
fn sleep(fds: &mut [PollFd<'_>], time: Duration) {
    // Rounded up, so that a rest of microseconds is not spun away.
    let time = time.max(Duration::from_millis(1));
    if poll(fds, Some(&timespec(time))).is_err() {
        fds.iter_mut().for_each(PollFd::clear_revents);
    }
}

fn timespec(time: Duration) -> Timespec {
    Timespec { tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX), tv_nsec: i64::from(time.subsec_nanos()) }
}

// The buffer of one read holds a whole answer.
const _: () = assert!(CHUNK >= PAGE);

#[cfg(test)]
mod tests {
    use super::*;
    use meter_kit::wake::Wake;
    use metrology_link::page::MAGIC;
    use metrology_link::stream::DOORBELL;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixListener;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn page(fill: u8) -> Page {
        let mut page = [fill; PAGE];
        page[..2].copy_from_slice(&MAGIC.to_le_bytes());
        page
    }

    fn until_ready(link: &mut SocketLink) {
        let wake = Wake::new().unwrap();
        let began = Instant::now();
        while link.wait(wake.as_fd(), Duration::from_millis(100)) != Ready::Page {
            assert!(began.elapsed() < PATIENCE);
        }
    }

    #[test]
    fn connects_late_exchanges_and_comes_back_after_a_hang_up() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("link");
        let mut link = SocketLink::new(&path);
        let wake = Wake::new().unwrap();
        assert_eq!(link.wait(wake.as_fd(), Duration::from_millis(10)), Ready::Timeout);
        wake.wake();
        assert_eq!(link.wait(wake.as_fd(), PATIENCE), Ready::Woken);
        assert!(matches!(link.transfer(&page(0), &mut [0; PAGE]), Err(LinkError::Down(_))));

        let listener = UnixListener::bind(&path).unwrap();
        let device = std::thread::spawn(move || {
            for answer in [3u8, 4] {
                let (mut stream, _) = listener.accept().unwrap();
                let mut got = [0; PAGE];
                stream.read_exact(&mut got).unwrap();
                assert_eq!(got, page(answer - 2));
                // Doorbells before and after the page, and the page in two pieces.
                let answer = page(answer);
                stream.write_all(&[DOORBELL, DOORBELL]).unwrap();
                stream.write_all(&answer[..100]).unwrap();
                stream.write_all(&answer[100..]).unwrap();
                stream.write_all(&[DOORBELL]).unwrap();
                // Hang up once the host has taken it all.
                let _ = stream.set_read_timeout(Some(Duration::from_millis(200)));
                let _ = stream.read(&mut [0; 1]);
            }
        });
        for (send, wanted) in [(1, 3), (2, 4)] {
            // The first try may meet the connection that is just being hung up.
            let began = Instant::now();
            let mut rx = [0; PAGE];
            loop {
                until_ready(&mut link);
                if link.transfer(&page(send), &mut rx).is_ok() {
                    break;
                }
                assert!(began.elapsed() < PATIENCE);
                link.recover(Recovery::Reopen).unwrap();
            }
            assert_eq!(rx, page(wanted));
            until_ready(&mut link);
            link.recover(Recovery::Reopen).unwrap();
        }
        device.join().unwrap();
    }

    #[test]
    fn a_page_that_does_not_end_is_given_up_and_does_not_spoil_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("link");
        let listener = UnixListener::bind(&path).unwrap();
        let mut link = SocketLink::new(&path);
        until_ready(&mut link);
        let (mut stream, _) = listener.accept().unwrap();
        let mut rx = [0; PAGE];
        stream.write_all(&[9; 300]).unwrap();
        std::thread::scope(|scope| {
            let device = scope.spawn(|| {
                let mut got = [0; PAGE];
                stream.read_exact(&mut got).unwrap();
                stream.write_all(&page(5)[..700]).unwrap();
                stream.read_exact(&mut got).unwrap();
                stream.write_all(&page(6)).unwrap();
            });
            assert!(matches!(link.transfer(&page(1), &mut rx), Err(LinkError::Timeout)));
            // Generous on a busy machine: the doubling gives the device its time.
            let began = Instant::now();
            link.answer = PATIENCE;
            link.transfer(&page(2), &mut rx).unwrap();
            assert!(began.elapsed() < PATIENCE);
            device.join().unwrap();
        });
        assert_eq!(rx, page(6));
    }
}
