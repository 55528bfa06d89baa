//! Headers between the link layer and the payload: extended link layer, authentication and fragmentation layer,
//! transport layer (EN 13757-4, EN 13757-7).

use crate::Error;
use crate::address::Address;
use crate::bytes::Cursor;

/// Bytes from `start` up to, not including, `end` of a telegram in clear.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last.
    pub end: u32,
}

impl Span {
    /// From indices.
    pub fn new(start: usize, end: usize) -> Self {
        let clamp = |n| u32::try_from(n).unwrap_or(u32::MAX);
        Self { start: clamp(start), end: clamp(end) }
    }

    /// As a range for slicing.
    pub fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }

    /// The bytes of `telegram`; none where it is shorter.
    pub fn of(self, telegram: &[u8]) -> &[u8] {
        telegram.get(self.range()).unwrap_or_default()
    }

    /// Nothing in it.
    pub fn is_empty(self) -> bool {
        self.start >= self.end
    }
}

/// Control information values with a header of their own.
pub mod ci {
    /// ELL I: communication control, access number.
    pub const ELL_1: u8 = 0x8C;
    /// ELL II: I, session number and payload CRC.
    pub const ELL_2: u8 = 0x8D;
    /// ELL III: I and a second address.
    pub const ELL_3: u8 = 0x8E;
    /// ELL IV: III, session number and payload CRC.
    pub const ELL_4: u8 = 0x8F;
    /// Extended link layer of variable length (EN 13757-4:2019).
    pub const ELL_VARIABLE: u8 = 0x86;
    /// Authentication and fragmentation layer.
    pub const AFL: u8 = 0x90;
    /// Values, long header.
    pub const RESPONSE_LONG: u8 = 0x72;
    /// Values, short header.
    pub const RESPONSE_SHORT: u8 = 0x7A;
    /// Values, no header.
    pub const RESPONSE_NONE: u8 = 0x78;
    /// Compact frame, no header.
    pub const COMPACT_NONE: u8 = 0x79;
    /// Compact frame, short header.
    pub const COMPACT_SHORT: u8 = 0x7B;
    /// Compact frame, long header; in older wired meters the fixed data structure.
    pub const COMPACT_LONG: u8 = 0x73;
    /// Format frame, no header.
    pub const FORMAT_NONE: u8 = 0x69;
    /// Format frame, short header.
    pub const FORMAT_SHORT: u8 = 0x6A;
    /// Format frame, long header.
    pub const FORMAT_LONG: u8 = 0x6B;
}

/// Extended link layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ell {
    /// Communication control field.
    pub communication: u8,
    /// Access number.
    pub access: u8,
    /// Second address (ELL III and IV).
    pub address: Option<Address>,
    /// Session number (ELL II and IV): bits 31-29 tell the encryption.
    pub session: Option<u32>,
    /// Where the payload CRC stands; what follows it is protected.
    pub crc: Option<Span>,
}

impl Ell {
    /// AES-128 in counter mode; `None` for an encryption field that has no meaning.
    pub fn encrypted(&self) -> Option<bool> {
        match self.session.unwrap_or(0) >> 29 {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    pub(crate) fn parse(ci: u8, cursor: &mut Cursor<'_>) -> Result<Self, Error> {
        if ci == ci::ELL_VARIABLE {
            // Length, then communication control and access number, then extensions that say nothing about values.
            let length = usize::from(cursor.u8()?);
            let fields = cursor.take(length)?;
            let [communication, access, ..] = fields else { return Err(Error::Truncated { at: cursor.at }) };
            return Ok(Self {
                communication: *communication,
                access: *access,
                address: None,
                session: None,
                crc: None,
            });
        }
        let [communication, access] = cursor.array()?;
        let address = matches!(ci, ci::ELL_3 | ci::ELL_4).then(|| Address::of_link(cursor)).transpose()?;
        let (mut session, mut crc) = (None, None);
        if matches!(ci, ci::ELL_2 | ci::ELL_4) {
            session = Some(cursor.u32()?);
            crc = Some(Span::new(cursor.at, cursor.at + 2));
            cursor.take(2)?;
        }
        Ok(Self { communication, access, address, session, crc })
    }
}

/// Bits of the fragmentation control field.
mod fcl {
    pub const MORE: u16 = 0x4000;
    pub const CONTROL: u16 = 0x2000;
    pub const LENGTH: u16 = 0x1000;
    pub const COUNTER: u16 = 0x0800;
    pub const MAC: u16 = 0x0400;
    pub const KEY: u16 = 0x0200;
}

/// Authentication and fragmentation layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Afl {
    /// Fragmentation control field as sent.
    pub control: u16,
    /// Message control field.
    pub message_control: Option<u8>,
    /// Key information field.
    pub key_information: Option<u16>,
    /// Message counter.
    pub counter: Option<u32>,
    /// Where the message authentication code stands.
    pub mac: Option<Span>,
    /// Length of the whole message.
    pub length: Option<u16>,
}

impl Afl {
    /// Number of this fragment, 1 for the first; 0 or 1 where there is only one.
    pub fn fragment(&self) -> u8 {
        self.control as u8
    }

    /// More fragments follow.
    pub fn more(&self) -> bool {
        self.control & fcl::MORE != 0
    }

    /// Bytes of the authentication code, by the type in the message control field (EN 13757-7, table 7).
    pub fn mac_length(message_control: u8) -> Option<usize> {
        match message_control & 0x0F {
            3 => Some(2),
            4 => Some(4),
            5 => Some(8),
            6 => Some(12),
            7 => Some(16),
            _ => None,
        }
    }

    /// `cursor` stands behind the CI. `inherited` is the message control of the first fragment, for the last one.
    pub(crate) fn parse(cursor: &mut Cursor<'_>, inherited: Option<u8>) -> Result<Self, Error> {
        let length = usize::from(cursor.u8()?);
        let end = cursor.at + length;
        if length > cursor.rest().len() {
            return Err(Error::Truncated { at: cursor.at });
        }
        let control = cursor.u16()?;
        let has = |bit| control & bit != 0;
        let message_control = has(fcl::CONTROL).then(|| cursor.u8()).transpose()?;
        let key_information = has(fcl::KEY).then(|| cursor.u16()).transpose()?;
        let counter = has(fcl::COUNTER).then(|| cursor.u32()).transpose()?;
        let mut mac = None;
        if has(fcl::MAC) {
            let kind = message_control.or(inherited).ok_or(Error::Value("AFL: code without message control"))?;
            let n = Self::mac_length(kind).ok_or(Error::Value("AFL: authentication type"))?;
            mac = Some(Span::new(cursor.at, cursor.at + n));
            cursor.take(n)?;
        }
        let length = has(fcl::LENGTH).then(|| cursor.u16()).transpose()?;
        if cursor.at != end {
            return Err(Error::Value("AFL: length"));
        }
        Ok(Self { control, message_control, key_information, counter, mac, length })
    }

    /// Writes CI, length and fields; `mac` may be zeros to be filled in later.
    pub fn emit(&self, mac: &[u8], out: &mut Vec<u8>) {
        out.extend([ci::AFL, 0]);
        let start = out.len();
        let mut control = self.control & (fcl::MORE | 0xFF);
        let mut flag = |present: bool, bit| control |= if present { bit } else { 0 };
        flag(self.message_control.is_some(), fcl::CONTROL);
        flag(self.key_information.is_some(), fcl::KEY);
        flag(self.counter.is_some(), fcl::COUNTER);
        flag(!mac.is_empty(), fcl::MAC);
        flag(self.length.is_some(), fcl::LENGTH);
        out.extend(control.to_le_bytes());
        out.extend(self.message_control);
        out.extend(self.key_information.iter().flat_map(|k| k.to_le_bytes()));
        out.extend(self.counter.iter().flat_map(|c| c.to_le_bytes()));
        out.extend(mac);
        out.extend(self.length.iter().flat_map(|l| l.to_le_bytes()));
        out[start - 1] = (out.len() - start) as u8;
    }
}

/// Length of the transport layer header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderKind {
    /// None: the link layer says all.
    None,
    /// Access number, status, configuration.
    Short,
    /// Address, access number, status, configuration.
    Long,
}

/// Transport layer header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tpl {
    /// Control information.
    pub ci: u8,
    /// Which header it has.
    pub kind: HeaderKind,
    /// The meter's own address (long header): overrides that of the link layer, which may be a radio adapter's.
    pub address: Option<Address>,
    /// Access number.
    pub access: u8,
    /// Status byte.
    pub status: Option<u8>,
    /// Configuration field.
    pub configuration: u16,
    /// Extension of the configuration field (modes 7 to 10 and 13).
    pub extension: u16,
    /// Message counter behind the configuration (modes 8 to 10 where they carry it).
    pub counter: Option<u32>,
    /// From CI to the end of the header.
    pub span: Span,
}

/// What header a control information value announces (EN 13757-7, table 2), `None` for those without values for us.
pub fn header_kind(ci: u8) -> Option<HeaderKind> {
    Some(match ci {
        // Responses, compact and format frames, errors, alarms, time, commands: none, short, long.
        0x78 | 0x79 | 0x69 | 0x70 | 0x71 | 0x50..=0x52 | 0x54 | 0x55 | 0x5C | 0x66 | 0x7C => HeaderKind::None,
        0x7A | 0x7B | 0x6A | 0x6E | 0x74 | 0x5A | 0x61 | 0x65 | 0x67 | 0x7D | 0x7F | 0x88 | 0x8A | 0xC1 => {
            HeaderKind::Short
        }
        0x72 | 0x73 | 0x6B | 0x6F | 0x75 | 0x5B | 0x5F | 0x60 | 0x64 | 0x68 | 0x6C | 0x6D | 0x7E => HeaderKind::Long,
        0x80 | 0x81 | 0x8B | 0xC0 | 0xC2 => HeaderKind::Long,
        _ => return None,
    })
}

impl Tpl {
    /// Number of the security mode.
    pub fn mode(&self) -> u8 {
        (self.configuration >> 8 & 0x1F) as u8
    }

    /// Encrypted blocks of 16 bytes (modes 5 and 7).
    pub fn blocks(&self) -> usize {
        usize::from(self.configuration >> 4 & 0x0F)
    }

    /// `cursor` stands behind the CI.
    pub(crate) fn parse(ci: u8, kind: HeaderKind, cursor: &mut Cursor<'_>, wired: bool) -> Result<Self, Error> {
        let start = cursor.at - 1;
        let mut tpl = Self {
            ci,
            kind,
            address: None,
            access: 0,
            status: None,
            configuration: 0,
            extension: 0,
            counter: None,
            span: Span::default(),
        };
        if kind == HeaderKind::Long {
            tpl.address = Some(Address::of_transport(cursor)?);
        }
        if kind != HeaderKind::None {
            let [access, status] = cursor.array()?;
            (tpl.access, tpl.status) = (access, Some(status));
            tpl.configuration = cursor.u16()?;
            match tpl.mode() {
                // In old wired meters the field is a signature and nothing follows; see `telegram`.
                7 | 13 if !(wired && cursor.rest().first() != Some(&0x10)) => {
                    tpl.extension = u16::from(cursor.u8()?);
                }
                10 if !wired || tpl.configuration & 0xFF == 0xFF => {
                    tpl.extension = cursor.u16()?;
                    tpl.counter = Some(cursor.u32()?);
                }
                _ => {}
            }
        }
        tpl.span = Span::new(start, cursor.at);
        Ok(tpl)
    }
}
