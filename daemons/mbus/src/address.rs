//! Who sends: manufacturer, identification number, version and device type (EN 13757-7, 7.5).

use std::fmt;

use crate::Error;
use crate::bytes::{Cursor, to_hex};

/// The three letters of a manufacturer, five bits each.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Manufacturer(pub u16);

impl Manufacturer {
    /// From three capital letters.
    pub fn parse(letters: &str) -> Option<Self> {
        let bytes: [u8; 3] = letters.as_bytes().try_into().ok()?;
        let mut code = 0;
        for b in bytes {
            code = code << 5 | u16::from(b.is_ascii_uppercase().then_some(b - 64)?);
        }
        Some(Self(code))
    }

    /// Without bit 15, which marks addresses that are not unique worldwide.
    #[must_use]
    pub fn plain(self) -> Self {
        Self(self.0 & 0x7FFF)
    }

    /// The letters. Bit 15 ("the address is not unique worldwide") is not part of them.
    pub fn letters(self) -> [char; 3] {
        [10, 5, 0].map(|shift| char::from((self.0 >> shift & 0x1F) as u8 + 64))
    }
}

impl fmt::Display for Manufacturer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.letters().iter().try_for_each(|c| write!(f, "{c}"))
    }
}

impl fmt::Debug for Manufacturer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An address of eight bytes. The identification number is kept as sent: some meters send hex digits that are not BCD.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    /// Manufacturer.
    pub manufacturer: Manufacturer,
    /// Identification number, least significant byte first.
    pub id: [u8; 4],
    /// Version (generation) of the device.
    pub version: u8,
    /// Device type.
    pub device_type: u8,
}

impl Address {
    /// Link layer and ELL order: M, id, version, type.
    pub(crate) fn of_link(cursor: &mut Cursor<'_>) -> Result<Self, Error> {
        let manufacturer = Manufacturer(cursor.u16()?);
        let [i0, i1, i2, i3, version, device_type] = cursor.array()?;
        Ok(Self { manufacturer, id: [i0, i1, i2, i3], version, device_type })
    }

    /// Transport layer order: id, M, version, type.
    pub(crate) fn of_transport(cursor: &mut Cursor<'_>) -> Result<Self, Error> {
        let id = cursor.array()?;
        let manufacturer = Manufacturer(cursor.u16()?);
        let [version, device_type] = cursor.array()?;
        Ok(Self { manufacturer, id, version, device_type })
    }

    /// Eight bytes in link layer order.
    pub fn link_bytes(&self) -> [u8; 8] {
        let [m0, m1] = self.manufacturer.0.to_le_bytes();
        let [i0, i1, i2, i3] = self.id;
        [m0, m1, i0, i1, i2, i3, self.version, self.device_type]
    }

    /// Eight bytes in transport layer order.
    pub fn transport_bytes(&self) -> [u8; 8] {
        let [m0, m1] = self.manufacturer.0.to_le_bytes();
        let [i0, i1, i2, i3] = self.id;
        [i0, i1, i2, i3, m0, m1, self.version, self.device_type]
    }

    /// The identification number, eight digits as printed on the meter; those that are not decimal in lower case.
    pub fn id_text(&self) -> String {
        let [a, b, c, d] = self.id;
        to_hex(&[d, c, b, a]).to_ascii_lowercase()
    }
}

/// What a device type measures, in words (EN 13757-7, table 13).
pub fn device_type_words(code: u8) -> &'static str {
    match code {
        0x00 => "other",
        0x01 => "oil",
        0x02 => "electricity",
        0x03 => "gas",
        0x04 => "heat",
        0x05 => "steam",
        0x06 => "warm water",
        0x07 => "water",
        0x08 => "heat cost allocation",
        0x09 => "compressed air",
        0x0A => "cooling load volume at outlet",
        0x0B => "cooling load volume at inlet",
        0x0C => "heat volume at inlet",
        0x0D => "heat/cooling load",
        0x0E => "bus/system component",
        0x0F => "unknown",
        0x10 => "irrigation water",
        0x11 => "water data logger",
        0x12 => "gas data logger",
        0x13 => "gas converter",
        0x14 => "calorific value",
        0x15 => "hot water",
        0x16 => "cold water",
        0x17 => "hot and cold water",
        0x18 => "pressure",
        0x19 => "a/d converter",
        0x1A => "smoke detector",
        0x1B => "room sensor",
        0x1C => "gas detector",
        0x1D => "carbon monoxide alarm",
        0x1E => "heat alarm",
        0x1F => "sensor",
        0x20 => "breaker",
        0x21 => "valve",
        0x22..=0x24 => "switching device",
        0x25 => "customer unit",
        0x26..=0x27 => "customer unit",
        0x28 => "waste water",
        0x29 => "garbage",
        0x2A => "carbon dioxide",
        0x2B => "environmental meter",
        0x30 => "service tool",
        0x31 => "communication controller",
        0x32 => "unidirectional repeater",
        0x33 => "bidirectional repeater",
        0x36 => "radio converter (system side)",
        0x37 => "radio converter (meter side)",
        0x38..=0x3D => "wired adapter",
        _ => "reserved",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_there_and_back() {
        let kam = Manufacturer(0x2C2D);
        assert_eq!(kam.to_string(), "KAM");
        assert_eq!(Manufacturer::parse("KAM"), Some(kam));
        assert_eq!(Manufacturer::parse("kam"), None);
        assert_eq!(Manufacturer::parse("KAMS"), None);
    }
}
