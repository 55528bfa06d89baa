//! Capture files: every page with time and direction, in the classic pcap format, and pages as text.
//!
//! Link type 147 (`USER0`); each packet is a 4-byte head (direction, three zeros) and the page, so Wireshark lists
//! the file as it is. Pages are stored as they crossed, damaged ones too. The reader takes little-endian microsecond files with
//! packets of exactly this size, and refuses all others; it allocates nothing that the file asks for.

use std::format;
use std::io::{self, Read, Write};
use std::string::String;

use crate::codec::{Message, decode_page};
use crate::page::Header;
use crate::payload::{Command, Hello, Inputs, Ranged, ReportFlags, ReportRecord, StreamChunk};
use crate::{PAGE, Page};

/// pcap magic of a little-endian file with microseconds.
const MAGIC: u32 = 0xA1B2_C3D4;
/// LINKTYPE_USER0.
const LINK_TYPE: u32 = 147;
/// Direction byte, three zeros, page.
const PACKET: usize = 4 + PAGE;

/// Which way a page went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Direction {
    /// Coprocessor to host.
    Up = 0,
    /// Host to coprocessor.
    Down = 1,
}

/// One captured page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Microseconds since 1970 by the clock of whoever captured.
    pub time_us: u64,
    /// Which way it went.
    pub direction: Direction,
    /// The bytes.
    pub page: Page,
}

/// Why a capture file cannot be read on. What was read before stands.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The file cannot be read. The system's fault.
    #[error("cannot read the capture: {0}")]
    Io(#[from] io::Error),
    /// Not a little-endian microsecond pcap file of link type USER0. The caller's fault.
    #[error("not a capture of link pages: {0}")]
    Foreign(&'static str),
    /// The file ends inside a packet, as after a crash of the writer.
    #[error("the capture ends inside a packet")]
    Truncated,
}

/// Writes a capture.
#[derive(Debug)]
pub struct CaptureWriter<W: Write> {
    out: W,
}

impl<W: Write> CaptureWriter<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// What the writer gives.
    pub fn new(mut out: W) -> io::Result<CaptureWriter<W>> {
        out.write_all(&MAGIC.to_le_bytes())?;
        out.write_all(&2u16.to_le_bytes())?;
        out.write_all(&4u16.to_le_bytes())?;
        out.write_all(&[0; 8])?;
        out.write_all(&(PACKET as u32).to_le_bytes())?;
        out.write_all(&LINK_TYPE.to_le_bytes())?;
        Ok(CaptureWriter { out })
    }

    /// Appends one page.
    ///
    /// # Errors
    /// What the writer gives.
    pub fn write(&mut self, record: &Record) -> io::Result<()> {
        let mut packet = [0u8; 16 + PACKET];
        let seconds = (record.time_us / 1_000_000) as u32;
        let words = [seconds, (record.time_us % 1_000_000) as u32, PACKET as u32, PACKET as u32];
        for (slot, word) in packet.chunks_exact_mut(4).zip(words) {
            slot.copy_from_slice(&word.to_le_bytes());
        }
        packet[16] = record.direction as u8;
        packet[20..].copy_from_slice(&record.page);
        self.out.write_all(&packet)
    }

    /// Writes through what the writer holds back.
    ///
    /// # Errors
    /// What the writer gives.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Reads a capture.
#[derive(Debug)]
pub struct CaptureReader<R: Read> {
    input: R,
}

impl<R: Read> CaptureReader<R> {
    /// Checks the head of a file.
    ///
    /// # Errors
    /// [`CaptureError`].
    pub fn new(mut input: R) -> Result<CaptureReader<R>, CaptureError> {
        let mut head = [0; 24];
        if fill(&mut input, &mut head)? < head.len() {
            return Err(CaptureError::Foreign("no pcap head"));
        }
        if word(&head, 0) != MAGIC {
            return Err(CaptureError::Foreign("no little-endian microsecond pcap"));
        }
        if word(&head, 20) != LINK_TYPE {
            return Err(CaptureError::Foreign("link type is not USER0"));
        }
        Ok(CaptureReader { input })
    }

    /// The next page; `None` at the end.
    ///
    /// # Errors
    /// [`CaptureError`]; reading on makes no sense then.
    pub fn read(&mut self) -> Result<Option<Record>, CaptureError> {
        let mut packet = [0u8; 16 + PACKET];
        match fill(&mut self.input, &mut packet)? {
            0 => return Ok(None),
            n if n < packet.len() => return Err(CaptureError::Truncated),
            _ => {}
        }
        if word(&packet, 8) as usize != PACKET {
            return Err(CaptureError::Foreign("a packet is not a page"));
        }
        let direction = match packet[16] {
            0 => Direction::Up,
            1 => Direction::Down,
            _ => return Err(CaptureError::Foreign("unknown direction")),
        };
        let time_us = u64::from(word(&packet, 0)) * 1_000_000 + u64::from(word(&packet, 4));
        let mut page = [0; PAGE];
        page.copy_from_slice(&packet[20..]);
        Ok(Some(Record { time_us, direction, page }))
    }
}

impl<R: Read> Iterator for CaptureReader<R> {
    type Item = Result<Record, CaptureError>;
    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

/// Reads until `buffer` is full or the input ends, and tells how much it was.
fn fill(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut at = 0;
    while let Some(room) = buffer.get_mut(at..).filter(|room| !room.is_empty()) {
        match input.read(room) {
            Ok(0) => break,
            Ok(n) => at += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(at)
}

fn word(bytes: &[u8], at: usize) -> u32 {
    let field = bytes.get(at..).and_then(|b| b.first_chunk::<4>());
    field.map_or(0, |b| u32::from_le_bytes(*b))
}

/// One line about a page: header, class and what one looks for first.
pub fn summary(page: &Page) -> String {
    match decode_page(page) {
        Err(error) => format!("damaged: {error}"),
        Ok((header, message)) => format!("{} {}", head(&header), message_line(&message)),
    }
}

fn head(h: &Header) -> String {
    format!("boot {:08x} seq {:6} t {:12}", h.boot_id, h.seq, h.t_samples)
}

fn message_line(message: &Message) -> String {
    match message {
        Message::Idle => "idle".into(),
        Message::Hello(h) => hello_line(h),
        Message::Billing(b) => format!(
            "billing  window {} A+ {} A- {} mJ, P {} mW, f {} µHz, inputs {}, history {} events {}",
            b.snapshot.window,
            b.snapshot.counters.total.a_plus,
            b.snapshot.counters.total.a_minus,
            b.second.p_mw,
            b.second.f_uhz,
            inputs(b.snapshot.inputs),
            b.history_last,
            b.event_last
        ),
        Message::Event(r) => format!(
            "event    {} of {}..{} {} phase {} args {:?} utc {} µs",
            r.record.seq,
            r.first,
            r.last,
            r.record.code.name().unwrap_or("unknown"),
            r.record.phase,
            r.record.args,
            r.record.utc_us
        ),
        Message::History(r) => format!(
            "history  {} of {}..{} {:?} minute {} grid {} window {} A+ {} mJ",
            r.record.seq,
            r.first,
            r.last,
            r.record.kind,
            r.record.minute,
            r.record.grid.id,
            r.record.snapshot.window,
            r.record.snapshot.counters.total.a_plus
        ),
        Message::Heads(heads) => {
            format!("heads    {} stored", heads.iter().filter(|h| h.seq != 0).count())
        }
        Message::Stream(c) => chunk_line(c),
        Message::Reply(r) => format!("reply    {} {:?} detail {}", r.cmd_id, r.status, r.detail),
        Message::Report(r) => report_line(r),
        Message::Host(c, command) => format!(
            "host     saw {} events acked {} next {}, history next {}, reports acked {} next {}, permit {} ms{}",
            c.last_seq,
            c.event_ack,
            c.event_next,
            c.history_next,
            c.report_ack,
            c.report_next,
            c.permit_ms,
            command.map_or(String::new(), |(id, c)| format!(", command {id} {}", command_line(&c)))
        ),
    }
}

fn hello_line(h: &Hello) -> String {
    format!(
        "hello    device {} firmware {}.{}.{} {:?} {:?} {} Hz, boots {} ({:?}, down {} µs), history {}..{} events {}..{} reports {}..{}",
        hex(&h.device_id),
        h.firmware_version >> 16,
        h.firmware_version >> 8 & 0xff,
        h.firmware_version & 0xff,
        h.topology,
        h.method,
        h.rate_hz,
        h.boots,
        h.reset_cause,
        h.down_us,
        h.history_first,
        h.history_last,
        h.event_first,
        h.event_last,
        h.report_first,
        h.report_last
    )
}

fn report_line(r: &Ranged<ReportRecord>) -> String {
    let record = &r.record;
    let mut flags = String::new();
    for (bit, name) in [
        (ReportFlags::FLAGGED, " flagged"),
        (ReportFlags::INCOMPLETE, " incomplete"),
        (ReportFlags::CLOCK, " clock"),
        (ReportFlags::LAST, " last"),
    ] {
        if record.flags.has(bit) {
            flags.push_str(name);
        }
    }
    let body = if let Some(i) = record.interval() {
        let volts = |k: usize| f64::from(i.values[k]) / 1e6;
        format!("{} parts, U {:.2} {:.2} {:.2} V", i.parts, volts(0), volts(1), volts(2))
    } else if let Some(h) = record.harmonics() {
        format!("{} parts, channels {:07b}", h.parts, h.channels)
    } else if let Some(w) = record.wave() {
        format!("piece {} of event {} at {}, {} instants", w.piece, w.event, w.trigger, w.count)
    } else {
        format!("{} bytes", record.len)
    };
    format!(
        "report   {} of {}..{} {}{flags} {}..{} utc {} µs, {body}",
        record.seq,
        r.first,
        r.last,
        record.kind.name().unwrap_or("unknown"),
        record.begin,
        record.end,
        record.utc_us
    )
}

fn chunk_line(c: &StreamChunk) -> String {
    format!(
        "stream   {:?} items {} to {}, {} bytes",
        c.kind,
        c.first,
        c.first.saturating_add(u64::from(c.count)),
        c.len
    )
}

fn command_line(command: &Command) -> String {
    match command {
        Command::Image(b) => format!("Image {} bytes {}+{} of {}", b.id, b.offset, b.len, b.total),
        other => format!("{other:?}"),
    }
}

/// Names of the active inputs.
fn inputs(inputs: Inputs) -> String {
    const NAMES: [&str; 16] = [
        "t1",
        "t2",
        "t3",
        "alarm",
        "sync",
        "left",
        "right",
        "cover",
        "terminals",
        "magnet",
        "closed",
        "aps",
        "power-fail",
        "relay1",
        "relay2",
        "load",
    ];
    let active: std::vec::Vec<&str> =
        NAMES.iter().enumerate().filter(|(bit, _)| inputs.0 >> bit & 1 != 0).map(|(_, name)| *name).collect();
    if active.is_empty() { "-".into() } else { active.join("+") }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut s, b| {
        // Writing to a String cannot fail.
        let _ = write!(s, "{b:02x}");
        s
    })
}

/// Everything in a page, one field per line; items of streams and images as hexadecimal rows of 32 bytes.
pub fn details(page: &Page) -> String {
    let (header, message) = match decode_page(page) {
        Err(error) => return format!("damaged: {error}\n{}", rows(page)),
        Ok(decoded) => decoded,
    };
    let body = match &message {
        Message::Stream(c) => format!("{}\n{}", chunk_line(c), rows(c.bytes())),
        Message::Report(r) => {
            let record = &r.record;
            let (line, bytes) = (report_line(r), rows(record.bytes()));
            match (record.interval(), record.harmonics()) {
                (Some(interval), _) => format!("{line}\n{interval:#?}\n"),
                (_, Some(harmonics)) => format!("{line}\n{harmonics:#?}\n"),
                _ => format!("{line}\n{bytes}"),
            }
        }
        Message::Host(control, Some((id, Command::Image(b)))) => {
            format!("{control:#?}\ncommand {id} {}\n{}", command_line(&Command::Image(*b)), rows(b.bytes()))
        }
        other => format!("{other:#?}\n"),
    };
    format!("{}\n{body}", head(&header))
}

fn rows(bytes: &[u8]) -> String {
    bytes.chunks(32).enumerate().map(|(n, row)| format!("{:04x}  {}\n", n * 32, hex(row))).collect()
}
