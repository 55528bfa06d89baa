//! The page: one fixed-size frame with magic, version, sequence, sample clock and CRC-32.
//!
//! [`View::new`] is the only way in for untrusted bytes. It checks magic, version, CRC, class and length, in this
//! order, and never panics. Bytes after the payload are not looked at (the CRC covers them; [`build`] writes zeros).

use crate::codec::{Reader, Wire, Writer};
use crate::{PAGE, Page};

/// First two bytes of each page, little endian: `4D 47`, "MG".
pub const MAGIC: u16 = 0x474D;
/// Version of the page format.
pub const VERSION: u8 = 1;
/// Bytes before the payload.
pub const HEADER: usize = 24;
/// Largest payload: the page less header and CRC.
pub const PAYLOAD: usize = PAGE - HEADER - 4;

/// CRC-32 (IEEE 802.3, reflected, as in Ethernet and zlib). Linux uses sixteen tables (16 KiB, eight times as fast);
/// on the coprocessor one table of 1 KiB is enough for some 10 pages a second.
#[cfg(not(target_os = "none"))]
static CRC: crc::Crc<u32, crc::Table<16>> = crc::Crc::<u32, crc::Table<16>>::new(&crc::CRC_32_ISO_HDLC);
#[cfg(target_os = "none")]
static CRC: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);

/// The CRC of pages, transactions and non-volatile records.
pub fn crc32(bytes: &[u8]) -> u32 {
    CRC.checksum(bytes)
}

/// Why bytes are not a page. In each case the receiver drops the page, counts it, and waits for the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// Not a page at all: the two ends are out of step, or nobody drives the line. Resynchronise.
    #[error("no page magic")]
    Magic,
    /// The other end speaks another version: incompatible firmware. Nothing is taken from it.
    #[error("page version {0} is not supported")]
    Version(u8),
    /// Damaged on the way. The transport's fault; the protocol repairs it.
    #[error("page CRC is wrong")]
    Crc,
    /// A class this end does not take. The sender's fault.
    #[error("page class {0:#04x} is not known here")]
    Class(u8),
    /// The payload is shorter or longer than its class says. The sender's fault.
    #[error("payload length is wrong")]
    Length,
    /// A field holds a value that has no meaning. The sender's fault.
    #[error("value of `{0}` has no meaning")]
    Value(&'static str),
    /// A configuration or calibration whose own CRC-32 is wrong: damaged before it became a page. The host's fault.
    #[error("CRC of the transaction is wrong")]
    Transaction,
}

/// What a page carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Class {
    /// Nothing. Repeats the sequence number of the page before.
    Idle = 0,
    /// `Hello`.
    Hello = 1,
    /// `Billing`.
    Billing = 2,
    /// `Ranged<EventRecord>`.
    Event = 3,
    /// `Ranged<HistoryRecord>`.
    History = 4,
    /// `Heads`.
    Heads = 5,
    /// `StreamChunk`.
    Stream = 6,
    /// `Reply`.
    Reply = 7,
    /// `Ranged<ReportRecord>`.
    Report = 8,
    /// Host to coprocessor: `HostControl` and at most one command.
    Host = 16,
}

impl Class {
    fn from_byte(byte: u8) -> Result<Class, PageError> {
        Ok(match byte {
            0 => Class::Idle,
            1 => Class::Hello,
            2 => Class::Billing,
            3 => Class::Event,
            4 => Class::History,
            5 => Class::Heads,
            6 => Class::Stream,
            7 => Class::Reply,
            8 => Class::Report,
            16 => Class::Host,
            other => return Err(PageError::Class(other)),
        })
    }
}

/// The fields before the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What the payload is.
    pub class: Class,
    /// Reserved, sent as 0 and not looked at.
    pub flags: u16,
    /// From the coprocessor: its boot. From the host: the boot it has a hello of, 0 = none.
    pub boot_id: u32,
    /// Grows by one per page and direction, wraps; idle pages repeat the last number.
    pub seq: u32,
    /// From the coprocessor: sample clock when the page was made. From the host: 0.
    pub t_samples: u64,
}

/// A checked page.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// Its header.
    pub header: Header,
    /// Its payload.
    pub payload: &'a [u8],
}

impl<'a> View<'a> {
    /// Checks a page.
    ///
    /// # Errors
    /// [`PageError::Magic`], `Version`, `Crc`, `Class` or `Length`.
    pub fn new(page: &'a Page) -> Result<View<'a>, PageError> {
        let (body, crc) = page.split_at(PAGE - 4);
        let mut r = Reader::new(body);
        if r.u16()? != MAGIC {
            return Err(PageError::Magic);
        }
        let version = r.u8()?;
        if version != VERSION {
            return Err(PageError::Version(version));
        }
        if Reader::new(crc).u32()? != crc32(body) {
            return Err(PageError::Crc);
        }
        let class = Class::from_byte(r.u8()?)?;
        let len = usize::from(r.u16()?);
        let header = Header { class, flags: r.u16()?, boot_id: r.u32()?, seq: r.u32()?, t_samples: r.u64()? };
        let payload = r.rest().get(..len).ok_or(PageError::Length)?;
        Ok(View { header, payload })
    }

    /// Decodes the payload as `T`, whatever the class says.
    ///
    /// # Errors
    /// [`PageError::Length`] or [`PageError::Value`].
    pub fn decode<T: Wire>(&self) -> Result<T, PageError> {
        crate::codec::decode(self.payload)
    }
}

/// Makes a page of `header` and one payload. The payload types all fit, so this cannot fail.
pub fn build<T: Wire>(page: &mut Page, header: &Header, payload: &T) {
    const { assert!(T::LEN <= PAYLOAD) };
    build_with(page, header, |w| payload.put(w));
}

/// Makes a page whose payload `fill` writes. What does not fit into [`PAYLOAD`] bytes is left out.
pub(crate) fn build_with(page: &mut Page, header: &Header, fill: impl FnOnce(&mut Writer<'_>)) {
    page.fill(0);
    let (body, crc) = page.split_at_mut(PAGE - 4);
    let (head, room) = body.split_at_mut(HEADER);
    let mut payload = Writer::new(room);
    fill(&mut payload);
    let len = payload.written() as u16;
    let mut w = Writer::new(head);
    w.u16(MAGIC);
    w.u8(VERSION);
    w.u8(header.class as u8);
    w.u16(len);
    w.u16(header.flags);
    w.u32(header.boot_id);
    w.u32(header.seq);
    w.u64(header.t_samples);
    crc.copy_from_slice(&crc32(body).to_le_bytes());
}
