//! Telegrams to send: the other direction of [`crate::telegram`], for transmitter, slave and test benches.

use crate::bytes::crc16;
use crate::frame::{WiredFrame, wired::control};
use crate::header::{Afl, Span, ci};
use crate::security::{self, Key, Purpose};
use crate::{Address, Error};

/// How a wireless telegram is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// Not at all.
    None,
    /// Mode 5: AES-CBC, start from address and access number.
    Mode5(Key),
    /// Mode 7: derived keys, AES-CBC, authentication code of 8 bytes in an AFL.
    Mode7 {
        /// The meter's key.
        key: Key,
        /// Message counter: never twice the same.
        counter: u32,
    },
    /// Mode 10: derived key, AES-CCM with a tag of 8 bytes.
    Mode10 {
        /// The meter's key.
        key: Key,
        /// Message counter: never twice the same.
        counter: u32,
    },
    /// Extended link layer, AES in counter mode.
    EllCtr {
        /// The meter's key.
        key: Key,
        /// Session number without the encryption bits: never twice the same with this key.
        session: u32,
    },
}

/// A wireless telegram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wireless<'a> {
    /// Control field, 44 for a spontaneous telegram.
    pub control: u8,
    /// Sender.
    pub address: Address,
    /// The meter's own address where the sender is a radio adapter: makes the header long.
    pub meter: Option<Address>,
    /// Access number.
    pub access: u8,
    /// Status byte.
    pub status: u8,
    /// Communication control field of the ELL; `None` for a telegram without ELL.
    pub communication: Option<u8>,
    /// Protection.
    pub protection: Protection,
    /// Records.
    pub payload: &'a [u8],
}

impl Wireless<'_> {
    /// The frame: L and L bytes, without link layer CRCs (see [`crate::frame::wireless::emit`]).
    ///
    /// # Errors
    /// [`Error::Value`]: longer than a frame may be.
    pub fn emit(&self) -> Result<Vec<u8>, Error> {
        let mut out = vec![0, self.control];
        out.extend(self.address.link_bytes());
        let communication = self.communication.unwrap_or(0);
        if let Protection::EllCtr { key, session } = &self.protection {
            let session = session & 0x1FFF_FFFF | 1 << 29;
            out.extend([ci::ELL_2, communication, self.access]);
            out.extend(session.to_le_bytes());
            let crc = out.len();
            out.extend([0, 0, ci::RESPONSE_NONE]);
            out.extend(self.payload);
            let sum = crc16(&out[crc + 2..]);
            out[crc..crc + 2].copy_from_slice(&sum.to_le_bytes());
            security::ctr(key, &security::ell_iv(&self.address, communication, session), &mut out[crc..]);
            return finish(out);
        }
        let mut payload = vec![];
        if matches!(self.protection, Protection::Mode5(_) | Protection::Mode7 { .. }) {
            payload.extend([0x2F, 0x2F]);
        }
        payload.extend(self.payload);
        let meter = self.meter.unwrap_or(self.address);
        if let Some(communication) = self.communication {
            out.extend([ci::ELL_1, communication, self.access]);
        }
        match &self.protection {
            Protection::Mode5(key) => {
                let blocks = pad(&mut payload)?;
                self.header(&mut out, u16::from(blocks) << 4 | 5 << 8);
                security::cbc_encrypt(key, &security::mode5_iv(&meter, self.access), &mut payload);
                out.extend(payload);
            }
            Protection::Mode7 { key, counter } => {
                let blocks = pad(&mut payload)?;
                security::cbc_encrypt(
                    &security::derive(key, Purpose::Encrypt, *counter, meter.id),
                    &[0; 16],
                    &mut payload,
                );
                let mut message = vec![];
                self.header(&mut message, u16::from(blocks) << 4 | 7 << 8);
                // Key derivation 1, key 0.
                message.push(0x10);
                message.extend(payload);
                let control = 0x25;
                let mac = security::cmac(
                    &security::derive(key, Purpose::Authenticate, *counter, meter.id),
                    &[&[control], &counter.to_le_bytes(), &message],
                );
                let afl = Afl {
                    control: 0,
                    message_control: Some(control),
                    key_information: None,
                    counter: Some(*counter),
                    mac: Some(Span::default()),
                    length: None,
                };
                afl.emit(&mac[..8], &mut out);
                out.extend(message);
            }
            Protection::Mode10 { key, counter } => {
                let start = out.len();
                self.header(&mut out, 0x2AFF);
                out.extend([0x10, 0x01]);
                let end = out.len();
                out.extend(counter.to_le_bytes());
                let derived = security::derive(key, Purpose::Encrypt, *counter, meter.id);
                let nonce = security::mode10_nonce(&meter, *counter);
                let tag = security::ccm_encrypt(&derived, &nonce, &out[start..end], &mut payload);
                out.extend(payload);
                out.extend(tag.ok_or(Error::Value("length of a message"))?);
            }
            Protection::None | Protection::EllCtr { .. } => {
                self.header(&mut out, 0);
                out.extend(payload);
            }
        }
        finish(out)
    }

    fn header(&self, out: &mut Vec<u8>, configuration: u16) {
        match &self.meter {
            Some(meter) => {
                out.push(ci::RESPONSE_LONG);
                out.extend(meter.transport_bytes());
            }
            None => out.push(ci::RESPONSE_SHORT),
        }
        out.extend([self.access, self.status]);
        out.extend(configuration.to_le_bytes());
    }
}

/// Fills up to whole blocks; how many there are.
fn pad(payload: &mut Vec<u8>) -> Result<u8, Error> {
    payload.resize(payload.len().next_multiple_of(16), 0x2F);
    u8::try_from(payload.len() / 16).ok().filter(|n| *n <= 15).ok_or(Error::Value("length of an encrypted payload"))
}

fn finish(mut frame: Vec<u8>) -> Result<Vec<u8>, Error> {
    frame[0] = u8::try_from(frame.len() - 1).map_err(|_| Error::Value("length of a frame"))?;
    Ok(frame)
}

/// A wired answer with a long header (CI 72).
///
/// # Errors
/// [`Error::Value`]: too many records for one frame.
pub fn wired(primary: u8, meter: &Address, access: u8, status: u8, records: &[u8]) -> Result<Vec<u8>, Error> {
    let mut data = meter.transport_bytes().to_vec();
    data.extend([access, status, 0, 0]);
    data.extend(records);
    let mut out = vec![];
    WiredFrame::Long { control: control::RSP_UD, address: primary, ci: ci::RESPONSE_LONG, data: &data }
        .emit(&mut out)?;
    Ok(out)
}

/// A compact frame's payload for these full-frame records: signature, CRC, values. Its CI is 79 without a header.
pub fn compact(records: &[u8]) -> Option<Vec<u8>> {
    let parsed = crate::record::parse(records, Span::new(0, records.len()));
    let (signature, _) = crate::compact::format_of(records, &parsed)?;
    let mut out = signature.to_le_bytes().to_vec();
    out.extend(crc16(records).to_le_bytes());
    let mut last = Span::default();
    for record in &parsed.list {
        if record.head != last {
            out.extend(record.data.of(records));
        }
        last = record.head;
    }
    Some(out)
}
