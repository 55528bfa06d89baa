//! From bytes of a frame to values: link layer, headers, security, records; and fragments back to one message.
//!
//! The order is that of EN 13757-7: what authenticates is checked first, then the message counter, then the payload is
//! decrypted, then its check bytes. A telegram is refused as a whole or taken as a whole.

use std::collections::BTreeMap;

use crate::bytes::{Cursor, crc16};
use crate::compact::{self, FormatStore};
use crate::frame::{Format, WiredFrame, wireless};
use crate::header::{Afl, Ell, HeaderKind, Span, Tpl, ci, header_kind};
use crate::record::{self, Records};
use crate::security::{self, CounterStore, Key, Purpose};
use crate::{Address, Error, Mode, fixed, status};

/// How it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Over the wire.
    Wired {
        /// Control field.
        control: u8,
        /// Primary address.
        address: u8,
    },
    /// By radio.
    Wireless {
        /// Control field.
        control: u8,
        /// Address of the sender: the meter's or its radio adapter's.
        address: Address,
        /// How the bytes were delivered.
        format: Format,
    },
}

/// What was proved about a telegram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Nothing, beyond the checks of the link layer.
    Nothing,
    /// The payload was stored in clear under a header that declares encryption; the caller vouches for it.
    StoredPlain,
    /// The payload CRC is right: of damage and of the key, not of the sender.
    PayloadCrc,
    /// The payload begins with the check bytes 2F 2F: of the key, hardly of damage.
    CheckBytes,
    /// The message authentication code is right: sent by who has the key.
    Authentic,
    /// Code and check bytes are right.
    AuthenticAndCheckBytes,
}

/// How a telegram was protected, and what that proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Security {
    /// Declared mode, `None` for telegrams in clear.
    pub mode: Option<Mode>,
    /// What was proved.
    pub proof: Proof,
}

impl Security {
    /// One short phrase: the mode and what was proved.
    pub fn words(&self) -> String {
        let Some(mode) = self.mode else { return "none".to_owned() };
        let mode = match mode {
            Mode::Tpl(mode) => format!("mode {mode}"),
            other => other.to_string(),
        };
        let proof = match self.proof {
            Proof::Nothing => "nothing proved",
            Proof::StoredPlain => "stored in clear",
            Proof::PayloadCrc => "payload CRC right",
            Proof::CheckBytes => "check bytes right",
            Proof::Authentic => "authenticated",
            Proof::AuthenticAndCheckBytes => "authenticated, check bytes right",
        };
        format!("{mode}, {proof}")
    }
}

/// What the payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// Values as records (also those of compact frames and of the fixed structure).
    Records,
    /// A format frame was learnt.
    Format(u16),
    /// The meter reports an error: see [`status::application_error`].
    ApplicationError(u8),
    /// Alarm byte, the manufacturer's.
    Alarm(u8),
    /// A manufacturer's own payload under a CI of its own: only a driver can read it.
    Manufacturer,
    /// Something without values: commands, network management, other application protocols.
    Other,
}

/// A telegram in clear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telegram {
    /// All bytes, decrypted, without link layer CRCs. All spans point here.
    pub bytes: Vec<u8>,
    /// Link layer.
    pub link: Link,
    /// The meter's own address; wired telegrams without a long header have none.
    pub address: Option<Address>,
    /// Extended link layer.
    pub ell: Option<Ell>,
    /// Authentication and fragmentation layer.
    pub afl: Option<Afl>,
    /// Transport layer.
    pub tpl: Option<Tpl>,
    /// Protection.
    pub security: Security,
    /// Control information of the payload.
    pub ci: u8,
    /// Where the payload stands.
    pub payload: Span,
    /// What it is.
    pub body: Body,
    /// Its records.
    pub records: Records,
}

impl Telegram {
    /// Access number of the transport layer, or else of the extended link layer.
    pub fn access(&self) -> Option<u8> {
        self.tpl.filter(|tpl| tpl.status.is_some()).map(|tpl| tpl.access).or(self.ell.map(|ell| ell.access))
    }

    /// Status byte.
    pub fn status(&self) -> Option<u8> {
        self.tpl.and_then(|tpl| tpl.status)
    }
}

/// Decodes telegrams. What it needs to know beyond one telegram belongs to the caller.
#[derive(Default)]
pub struct Decoder<'a> {
    /// The meter's key.
    pub key: Option<Key>,
    /// The payload is stored in clear under a header that declares encryption. Never set it for telegrams off the air.
    pub plain: bool,
    /// Refuse telegrams in clear: for meters that are known to protect theirs.
    pub protected: bool,
    /// Formats of compact frames.
    pub formats: Option<&'a mut dyn FormatStore>,
    /// Highest message counters. Without them a repeated telegram is not noticed.
    pub counters: Option<&'a mut dyn CounterStore>,
}

impl Decoder<'_> {
    /// Decodes one telegram, wired or wireless, with or without link layer CRCs.
    ///
    /// # Errors
    /// [`Error`] says why nothing of it is used.
    pub fn decode(&mut self, bytes: &[u8]) -> Result<Telegram, Error> {
        if let [0x68, a, b, 0x68, ..] = bytes {
            match WiredFrame::parse(bytes) {
                Ok((WiredFrame::Long { control, address, ci: _, data }, _)) => {
                    let clear = bytes[..7 + data.len()].to_vec();
                    return self.network(clear, 6, Link::Wired { control, address });
                }
                // A wireless frame may begin like this by chance.
                Err(error) if a == b => {
                    return match self.wireless(bytes) {
                        Ok(telegram) if matches!(telegram.body, Body::Records) => Ok(telegram),
                        _ => Err(error.into()),
                    };
                }
                _ => {}
            }
        }
        if let Some(0x10 | 0xE5) = bytes.first()
            && let Ok((_, length)) = WiredFrame::parse(bytes)
            && length == bytes.len()
        {
            return Err(Error::Frame("a wired frame without data"));
        }
        self.wireless(bytes)
    }

    fn wireless(&mut self, bytes: &[u8]) -> Result<Telegram, Error> {
        let (stripped, format) = wireless::detect(bytes)?;
        let mut cursor = Cursor::new(&stripped, 1);
        let control = cursor.u8()?;
        let address = Address::of_link(&mut cursor)?;
        let at = cursor.at;
        self.network(stripped.into_owned(), at, Link::Wireless { control, address, format })
    }

    /// `at` is the first CI.
    pub(crate) fn network(&mut self, mut bytes: Vec<u8>, mut at: usize, link: Link) -> Result<Telegram, Error> {
        let (mut ell, mut afl) = (None, None);
        let mut sender = match link {
            Link::Wireless { address, .. } => Some(address),
            Link::Wired { .. } => None,
        };
        let mut security = Security { mode: None, proof: Proof::Nothing };
        loop {
            let mut cursor = Cursor::new(&bytes, at);
            let ci = cursor.u8()?;
            match ci {
                ci::ELL_1..=ci::ELL_4 | ci::ELL_VARIABLE if ell.is_none() => {
                    let layer = Ell::parse(ci, &mut cursor)?;
                    at = cursor.at;
                    sender = layer.address.or(sender);
                    if layer.crc.is_some() {
                        security = self.open_ell(&layer, sender, &mut bytes, at)?;
                    }
                    ell = Some(layer);
                }
                ci::AFL if afl.is_none() => {
                    let layer = Afl::parse(&mut cursor, None)?;
                    if layer.more() || layer.fragment() > 1 {
                        return Err(Error::Fragment(layer.fragment()));
                    }
                    at = cursor.at;
                    afl = Some(layer);
                }
                _ => break,
            }
        }
        let mut telegram = Telegram {
            ci: *bytes.get(at).ok_or(Error::Truncated { at })?,
            payload: Span::new(at + 1, bytes.len()),
            bytes,
            link,
            address: sender,
            ell,
            afl,
            tpl: None,
            security,
            body: Body::Other,
            records: Records::default(),
        };
        self.transport(&mut telegram, at)?;
        telegram.address = telegram.address.map(|address| version_first(address, &telegram));
        if self.protected && telegram.security.mode.is_none() && telegram.body != Body::Manufacturer {
            return Err(Error::InClear);
        }
        Ok(telegram)
    }

    /// Payload CRC, and counter mode in front of it.
    fn open_ell(&self, ell: &Ell, sender: Option<Address>, bytes: &mut [u8], at: usize) -> Result<Security, Error> {
        let fits = |bytes: &[u8]| {
            let crc = u16::from_le_bytes([bytes[at - 2], bytes[at - 1]]);
            crc16(&bytes[at..]) == crc
        };
        let encrypted = ell.encrypted().ok_or(Error::Value("ELL: encryption field"))?;
        if !encrypted {
            return if fits(bytes) {
                Ok(Security { mode: None, proof: Proof::Nothing })
            } else {
                Err(Error::Crc("ELL payload"))
            };
        }
        let mode = Mode::EllCtr;
        if self.plain {
            return if fits(bytes) {
                Ok(Security { mode: Some(mode), proof: Proof::StoredPlain })
            } else {
                Err(Error::NotPlain(mode))
            };
        }
        let key = self.key.ok_or(Error::NoKey(mode))?;
        let sender = sender.ok_or(Error::Value("ELL without an address"))?;
        let iv = security::ell_iv(&sender, ell.communication, ell.session.unwrap_or(0));
        security::ctr(&key, &iv, &mut bytes[at - 2..]);
        if fits(bytes) {
            Ok(Security { mode: Some(mode), proof: Proof::PayloadCrc })
        } else {
            Err(Error::WrongKey(mode))
        }
    }

    /// Everything behind ELL and AFL; `at` is the CI.
    fn transport(&mut self, telegram: &mut Telegram, at: usize) -> Result<(), Error> {
        let wired = matches!(telegram.link, Link::Wired { .. });
        let ci = telegram.ci;
        if wired && matches!(ci, 0x73 | 0x77) {
            return self.fixed(telegram);
        }
        if (0xA0..=0xB7).contains(&ci) {
            telegram.body = Body::Manufacturer;
            return Ok(());
        }
        let kind = header_kind(ci).ok_or(Error::Ci(ci))?;
        let mut cursor = Cursor::new(&telegram.bytes, at + 1);
        let tpl = Tpl::parse(ci, kind, &mut cursor, wired)?;
        telegram.payload = Span::new(cursor.at, telegram.bytes.len());
        telegram.address = tpl.address.or(telegram.address);
        telegram.tpl = Some(tpl);
        if kind != HeaderKind::None {
            self.open_tpl(telegram, &tpl, wired)?;
        }
        self.body(telegram)
    }

    fn fixed(&mut self, telegram: &mut Telegram) -> Result<(), Error> {
        let fixed = fixed::parse(&telegram.bytes, telegram.payload)?;
        telegram.address = Some(Address {
            manufacturer: crate::Manufacturer(0),
            id: fixed.id,
            version: 0,
            device_type: fixed.device_type,
        });
        telegram.body = Body::Records;
        telegram.tpl = Some(Tpl {
            ci: telegram.ci,
            kind: HeaderKind::Long,
            address: None,
            access: fixed.access,
            // The two lowest bits say how the counters are meant.
            status: Some(fixed.status & 0xFC),
            configuration: 0,
            extension: 0,
            counter: None,
            span: Span::new(6, 15),
        });
        telegram.records = fixed.records;
        Ok(())
    }

    /// Authentication, message counter, decryption, check bytes.
    fn open_tpl(&mut self, telegram: &mut Telegram, tpl: &Tpl, wired: bool) -> Result<(), Error> {
        let mode = Mode::Tpl(tpl.mode());
        let start = telegram.payload.start as usize;
        let length = telegram.bytes.len() - start;
        let protected = match tpl.mode() {
            0 => false,
            5 | 7 => tpl.blocks() > 0 || telegram.afl.is_some_and(|afl| afl.mac.is_some()),
            2 | 3 | 4 | 6 | 8..=10 | 13 => true,
            // Numbers without a meaning, as from meters older than the field.
            _ => false,
        };
        if wired && protected && self.legacy_signature(telegram, tpl, length) {
            return Ok(());
        }
        if !protected {
            if telegram.afl.is_some_and(|afl| afl.mac.is_some())
                && let (Some(key), false) = (self.key, self.plain)
            {
                self.authenticate(telegram, &key, tpl)?;
                telegram.security = Security { mode: Some(mode), proof: Proof::Authentic };
            }
            return Ok(());
        }
        if self.plain {
            let whole = tpl.blocks() * 16 <= length;
            if matches!(tpl.mode(), 5 | 7) && tpl.blocks() > 0 && !(whole && check_bytes(&telegram.bytes[start..])) {
                return Err(Error::NotPlain(mode));
            }
            telegram.security = Security { mode: Some(mode), proof: Proof::StoredPlain };
            return Ok(());
        }
        if matches!(tpl.mode(), 3 | 6 | 8 | 9 | 13) {
            return Err(Error::Security(mode));
        }
        let key = self.key.ok_or(Error::NoKey(mode))?;
        let address = telegram.address.ok_or(Error::Value("encrypted, without an address"))?;
        let mut proof = Proof::CheckBytes;
        let mut counter = None;
        if telegram.afl.is_some_and(|afl| afl.mac.is_some()) {
            counter = self.authenticate(telegram, &key, tpl)?;
            proof = Proof::AuthenticAndCheckBytes;
        }
        let encrypted = (tpl.blocks() * 16).min(if tpl.blocks() == 15 { length / 16 * 16 } else { usize::MAX });
        if encrypted > length {
            return Err(Error::Truncated { at: telegram.bytes.len() });
        }
        match tpl.mode() {
            2 => {
                let whole = length / 8 * 8;
                security::des_decrypt(&key, &[0; 8], &mut telegram.bytes[start..start + whole]);
            }
            4 => {
                let whole = if encrypted == 0 { length / 16 * 16 } else { encrypted };
                security::cbc_decrypt(&key, &[0; 16], &mut telegram.bytes[start..start + whole]);
            }
            5 => {
                let iv = security::mode5_iv(&address, tpl.access);
                security::cbc_decrypt(&key, &iv, &mut telegram.bytes[start..start + encrypted]);
            }
            7 => {
                let used = counter.or(telegram.afl.and_then(|afl| afl.counter)).or(tpl.counter);
                let used = used.ok_or(Error::Value("mode 7 without a message counter"))?;
                let purpose = if down(tpl.ci) { Purpose::EncryptDown } else { Purpose::Encrypt };
                let key = security::derive(&key, purpose, used, address.id);
                security::cbc_decrypt(&key, &[0; 16], &mut telegram.bytes[start..start + encrypted]);
            }
            _ => {
                let used = self.open_ccm(telegram, &key, tpl, &address)?;
                self.accept(&address, Some(used))?;
                telegram.security = Security { mode: Some(mode), proof: Proof::Authentic };
                return Ok(());
            }
        }
        if encrypted == 0 && matches!(tpl.mode(), 5 | 7) {
            proof = Proof::Authentic;
        } else if !check_bytes(&telegram.bytes[start..]) {
            return Err(Error::WrongKey(mode));
        }
        self.accept(&address, counter)?;
        telegram.security = Security { mode: Some(mode), proof };
        Ok(())
    }

    /// In wired meters of the first editions the configuration field was a signature that meant nothing. Taken for one
    /// when no key opens the payload and all of it reads as records; a ciphertext does not.
    fn legacy_signature(&self, telegram: &Telegram, tpl: &Tpl, length: usize) -> bool {
        if matches!(tpl.mode(), 5 | 7) && check_bytes(&telegram.bytes[telegram.payload.range()]) {
            return false;
        }
        if self.key.is_some() && tpl.mode() == 5 && tpl.blocks() * 16 <= length {
            return false;
        }
        let records = record::parse(&telegram.bytes, telegram.payload);
        records.rest.is_none() && !records.list.is_empty()
    }

    /// The AFL's code over everything from the CI of the transport layer; then the counter.
    fn authenticate(&self, telegram: &Telegram, key: &Key, tpl: &Tpl) -> Result<Option<u32>, Error> {
        let (Some(afl), Some(address)) = (telegram.afl, telegram.address) else { return Err(Error::Mac) };
        let counter = afl.counter.or(tpl.counter).ok_or(Error::Value("AFL: code without a message counter"))?;
        let control = afl.message_control.ok_or(Error::Value("AFL: code without message control"))?;
        let purpose = if down(tpl.ci) { Purpose::AuthenticateDown } else { Purpose::Authenticate };
        let key = security::derive(key, purpose, counter, address.id);
        let length = afl.length.map(u16::to_le_bytes);
        let message = &telegram.bytes[tpl.span.start as usize..];
        let counter_bytes = if afl.counter.is_some() { counter.to_le_bytes().to_vec() } else { vec![] };
        let code =
            security::cmac(&key, &[&[control], &counter_bytes, length.as_ref().map_or(&[], |l| &l[..]), message]);
        let sent = afl.mac.map(|span| span.of(&telegram.bytes)).unwrap_or_default();
        if sent.is_empty() || !security::equal(&code[..sent.len().min(16)], sent) {
            return Err(Error::Mac);
        }
        if let Some(last) = self.counters.as_ref().and_then(|store| store.last(&address))
            && counter <= last
        {
            return Err(Error::Replay { counter, last });
        }
        Ok(Some(counter))
    }

    /// Mode 10: tag at the end, of the size that the configuration extension tells.
    fn open_ccm(&self, telegram: &mut Telegram, key: &Key, tpl: &Tpl, address: &Address) -> Result<u32, Error> {
        let mode = Mode::Tpl(10);
        let counter = tpl.counter.ok_or(Error::Value("mode 10 without a message counter"))?;
        let size = match tpl.extension >> 8 & 0x0F {
            0 => 4,
            1 => 8,
            2 => 12,
            3 => 16,
            _ => return Err(Error::Value("mode 10: size of the tag")),
        };
        let purpose = if down(tpl.ci) { Purpose::EncryptDown } else { Purpose::Encrypt };
        let key = match tpl.extension >> 4 & 3 {
            0 => *key,
            1 => security::derive(key, purpose, counter, address.id),
            _ => return Err(Error::Security(mode)),
        };
        let start = telegram.payload.start as usize;
        let end =
            telegram.bytes.len().checked_sub(size).filter(|end| *end >= start).ok_or(Error::Truncated { at: start })?;
        let (head, tag) = telegram.bytes.split_at_mut(end);
        let (header, data) = head.split_at_mut(start);
        // The counter is in the nonce and not in what else is authenticated.
        let header = &header[tpl.span.start as usize..start - 4];
        if !security::ccm_decrypt(&key, &security::mode10_nonce(address, counter), header, data, tag) {
            return Err(Error::Mac);
        }
        telegram.payload.end = end as u32;
        if let Some(last) = self.counters.as_ref().and_then(|store| store.last(address))
            && counter <= last
        {
            return Err(Error::Replay { counter, last });
        }
        Ok(counter)
    }

    fn accept(&mut self, meter: &Address, counter: Option<u32>) -> Result<(), Error> {
        if let (Some(store), Some(counter)) = (self.counters.as_mut(), counter) {
            store.accept(meter, counter);
        }
        Ok(())
    }

    /// What the payload in clear says.
    fn body(&mut self, telegram: &mut Telegram) -> Result<(), Error> {
        let first = telegram.bytes.get(telegram.payload.start as usize).copied();
        match telegram.ci {
            ci::COMPACT_NONE | ci::COMPACT_SHORT | ci::COMPACT_LONG => {
                let nothing = compact::Formats::default();
                let store: &dyn FormatStore = match &self.formats {
                    Some(store) => &**store,
                    None => &nothing,
                };
                // Encrypted frames have their check bytes in front.
                let mut span = telegram.payload;
                while span.of(&telegram.bytes).first() == Some(&0x2F) && telegram.security.mode.is_some() {
                    span.start += 1;
                }
                telegram.records = compact::expand(&telegram.bytes, span, store)?;
                telegram.body = Body::Records;
            }
            ci::FORMAT_NONE | ci::FORMAT_SHORT | ci::FORMAT_LONG => {
                let payload = telegram.payload.of(&telegram.bytes);
                let start = payload.iter().position(|b| *b != 0x2F).unwrap_or(0);
                let (signature, format) = compact::format_frame(&payload[start..])?;
                if let Some(store) = &mut self.formats {
                    store.learn(signature, format);
                }
                telegram.body = Body::Format(signature);
            }
            0x6E..=0x70 => telegram.body = Body::ApplicationError(first.unwrap_or(0)),
            0x71 | 0x74 | 0x75 => telegram.body = Body::Alarm(first.unwrap_or(0)),
            ci::RESPONSE_LONG | ci::RESPONSE_SHORT | ci::RESPONSE_NONE | 0x66..=0x68 | 0x50 | 0x51 | 0x5A | 0x5B => {
                telegram.records = record::parse(&telegram.bytes, telegram.payload);
                telegram.body = Body::Records;
                if let (Some(store), Some((signature, format))) =
                    (&mut self.formats, compact::format_of(&telegram.bytes, &telegram.records))
                {
                    store.learn(signature, &format);
                }
            }
            _ => telegram.body = Body::Other,
        }
        Ok(())
    }
}

/// Meters of this manufacturer send version and type in front of the identification number when they use a payload of
/// their own: under a manufacturer's CI, or under a mode number without a meaning.
const VERSION_FIRST: &str = "HYD";

fn version_first(address: Address, telegram: &Telegram) -> Address {
    let own = telegram.body == Body::Manufacturer
        || telegram.tpl.is_some_and(|tpl| tpl.mode() >= 16 && tpl.kind == HeaderKind::Short);
    if !own || Some(address.manufacturer.plain()) != crate::Manufacturer::parse(VERSION_FIRST) {
        return address;
    }
    let [_, _, version, device_type, id @ ..] = address.link_bytes();
    Address { id, version, device_type, ..address }
}

/// Control information of messages from the gateway to the meter.
fn down(ci: u8) -> bool {
    matches!(ci, 0x50..=0x5F | 0x60 | 0x61 | 0x64 | 0x65 | 0x6C | 0x6D | 0x7C..=0x7F | 0x80 | 0xC0)
        && !matches!(ci, 0x7E | 0x7F)
}

fn check_bytes(payload: &[u8]) -> bool {
    payload.starts_with(&[0x2F, 0x2F])
}

/// Words for [`Body::ApplicationError`].
pub fn application_error(code: u8) -> Error {
    Error::Application(status::application_error(code))
}

/// Puts fragments (AFL with "more fragments") together.
#[derive(Debug, Default)]
pub struct Reassembler {
    parts: BTreeMap<Address, Partial>,
}

#[derive(Debug)]
struct Partial {
    /// Link layer and ELL of the first fragment.
    head: Vec<u8>,
    first: Afl,
    next: u8,
    body: Vec<u8>,
}

/// Meters whose messages are incomplete at one time; the oldest address goes first.
const MAX_PARTIAL: usize = 64;
/// Longest message: sixteen bits of length.
const MAX_MESSAGE: usize = 0xFFFF;

impl Reassembler {
    /// Takes a frame; `Some` is the whole message as if sent in one frame (its L is 0 where 255 does not do).
    /// Frames that are no fragments come back as they are.
    ///
    /// # Errors
    /// [`Error::FragmentOrder`]: a fragment was lost; wait for the message to be sent again.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let (stripped, _) = wireless::detect(bytes)?;
        let mut cursor = Cursor::new(&stripped, 2);
        let sender = Address::of_link(&mut cursor)?;
        let mut ci = cursor.u8()?;
        if matches!(ci, ci::ELL_1 | ci::ELL_3 | ci::ELL_VARIABLE) {
            Ell::parse(ci, &mut cursor)?;
            ci = cursor.u8()?;
        }
        if ci != ci::AFL {
            return Ok(Some(stripped.into_owned()));
        }
        let head = cursor.at - 1;
        let inherited = self.parts.get(&sender).and_then(|p| p.first.message_control);
        let afl = Afl::parse(&mut cursor, inherited)?;
        let body = cursor.rest();
        match afl.fragment() {
            0 | 1 if !afl.more() => return Ok(Some(stripped.to_vec())),
            0 | 1 => {
                while self.parts.len() >= MAX_PARTIAL {
                    self.parts.pop_first();
                }
                let partial = Partial { head: stripped[..head].to_vec(), first: afl, next: 2, body: body.to_vec() };
                self.parts.insert(sender, partial);
                return Ok(None);
            }
            _ => {}
        }
        let number = afl.fragment();
        let Some(partial) = self.parts.get_mut(&sender).filter(|p| p.next == number) else {
            self.parts.remove(&sender);
            return Err(Error::FragmentOrder(number));
        };
        partial.body.extend(body);
        partial.next = partial.next.wrapping_add(1);
        if partial.body.len() > MAX_MESSAGE {
            self.parts.remove(&sender);
            return Err(Error::FragmentOrder(number));
        }
        if afl.more() {
            return Ok(None);
        }
        let Some(partial) = self.parts.remove(&sender) else { return Ok(None) };
        let mut whole = partial.head;
        let mac = afl.mac.or(partial.first.mac);
        let mac = mac.map(|span| span.of(&stripped).to_vec()).unwrap_or_default();
        let first = partial.first;
        let joined = Afl {
            control: 1,
            message_control: first.message_control,
            key_information: first.key_information.or(afl.key_information),
            counter: first.counter.or(afl.counter),
            mac: None,
            length: first.length.or(afl.length),
        };
        joined.emit(&mac, &mut whole);
        whole.extend(partial.body);
        whole[0] = u8::try_from(whole.len() - 1).unwrap_or(0);
        Ok(Some(whole))
    }
}

impl Decoder<'_> {
    /// Decodes what [`Reassembler::push`] gave back, which may be longer than a frame.
    ///
    /// # Errors
    /// As [`Decoder::decode`].
    pub fn decode_message(&mut self, bytes: Vec<u8>) -> Result<Telegram, Error> {
        let mut cursor = Cursor::new(&bytes, 1);
        let control = cursor.u8()?;
        let address = Address::of_link(&mut cursor)?;
        let at = cursor.at;
        self.network(bytes, at, Link::Wireless { control, address, format: Format::Stripped })
    }
}
