//! Data information block: how a value is coded, and which of several values it is (EN 13757-3, 6.3).

use crate::Error;
use crate::bytes::Cursor;

/// What kind of value it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Function {
    /// Now, or at the time of its storage.
    #[default]
    Instantaneous,
    /// Highest.
    Maximum,
    /// Lowest.
    Minimum,
    /// During an error state.
    Error,
}

impl Function {
    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Instantaneous => "instantaneous",
            Self::Maximum => "maximum",
            Self::Minimum => "minimum",
            Self::Error => "error",
        }
    }

    /// Bits 5 and 4 of the DIF.
    pub fn from_bits(bits: u8) -> Self {
        [Self::Instantaneous, Self::Maximum, Self::Minimum, Self::Error][usize::from(bits & 3)]
    }
}

/// How the data bytes are coded: the low nibble of the DIF.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Coding {
    /// No data.
    #[default]
    None,
    /// Binary integer of 1, 2, 3, 4, 6 or 8 bytes.
    Integer(u8),
    /// IEEE 754, 32 bits.
    Real,
    /// Selection for readout: only in requests.
    Selection,
    /// Two digits per byte: 1, 2, 3, 4 or 6 bytes.
    Bcd(u8),
    /// Length byte first.
    Variable,
}

impl Coding {
    /// From the low nibble; `None` for the special functions.
    pub fn from_nibble(nibble: u8) -> Option<Self> {
        Some(match nibble & 0x0F {
            0x0 => Self::None,
            n @ 0x1..=0x4 => Self::Integer(n),
            0x5 => Self::Real,
            0x6 => Self::Integer(6),
            0x7 => Self::Integer(8),
            0x8 => Self::Selection,
            n @ 0x9..=0xC => Self::Bcd(n - 8),
            0xD => Self::Variable,
            0xE => Self::Bcd(6),
            _ => return None,
        })
    }

    /// The low nibble; `None` for a size that there is no code for.
    pub fn nibble(self) -> Option<u8> {
        Some(match self {
            Self::None => 0,
            Self::Integer(n @ 1..=4) => n,
            Self::Integer(6) => 6,
            Self::Integer(8) => 7,
            Self::Real => 5,
            Self::Selection => 8,
            Self::Bcd(n @ 1..=4) => n + 8,
            Self::Bcd(6) => 0xE,
            Self::Variable => 0xD,
            Self::Integer(_) | Self::Bcd(_) => return None,
        })
    }

    /// Bytes of data, `None` for those with their own length.
    pub fn size(self) -> Option<usize> {
        match self {
            Self::None | Self::Selection => Some(0),
            Self::Integer(n) | Self::Bcd(n) => Some(usize::from(n)),
            Self::Real => Some(4),
            Self::Variable => None,
        }
    }
}

/// DIF and DIFEs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dib {
    /// Coding of the data.
    pub coding: Coding,
    /// Function field.
    pub function: Function,
    /// Storage number: 0 is the present, others are historic or billing values. Up to 41 bits.
    pub storage: u64,
    /// Tariff.
    pub tariff: u32,
    /// Subunit of the device.
    pub subunit: u16,
}

/// Most DIFEs (and VIFEs) of a record.
pub const MAX_EXTENSIONS: usize = 10;

impl Dib {
    /// `dif` was read from `cursor`, which stands at the DIFEs, if there are any.
    pub(crate) fn parse(dif: u8, cursor: &mut Cursor<'_>) -> Result<Self, Error> {
        let coding = Coding::from_nibble(dif).ok_or(Error::Value("DIF"))?;
        let mut dib = Self {
            coding,
            function: Function::from_bits(dif >> 4),
            storage: u64::from(dif >> 6 & 1),
            tariff: 0,
            subunit: 0,
        };
        let (mut more, mut n) = (dif & 0x80 != 0, 0);
        while more {
            if n == MAX_EXTENSIONS {
                return Err(Error::Value("number of DIFEs"));
            }
            let dife = cursor.u8()?;
            dib.storage |= u64::from(dife & 0x0F) << (1 + 4 * n);
            dib.tariff |= u32::from(dife >> 4 & 3) << (2 * n);
            dib.subunit |= u16::from(dife >> 6 & 1) << n;
            (more, n) = (dife & 0x80 != 0, n + 1);
        }
        Ok(dib)
    }

    /// Writes DIF and the DIFEs needed.
    ///
    /// # Errors
    /// [`Error::Value`]: a number that ten DIFEs do not hold, or a size that has no code.
    pub fn emit(&self, out: &mut Vec<u8>) -> Result<(), Error> {
        let nibble = self.coding.nibble().ok_or(Error::Value("size of the data"))?;
        let (mut storage, mut tariff, mut subunit) = (self.storage >> 1, self.tariff, self.subunit);
        let more = |s: u64, t: u32, u: u16| if s != 0 || t != 0 || u != 0 { 0x80 } else { 0 };
        let extension = more(storage, tariff, subunit);
        out.push(nibble | (self.function as u8) << 4 | ((self.storage & 1) as u8) << 6 | extension);
        for n in 0.. {
            if more(storage, tariff, subunit) == 0 {
                break;
            }
            if n == MAX_EXTENSIONS {
                return Err(Error::Value("number of DIFEs"));
            }
            let dife = (storage & 0x0F) as u8 | ((tariff & 3) as u8) << 4 | ((subunit & 1) as u8) << 6;
            (storage, tariff, subunit) = (storage >> 4, tariff >> 2, subunit >> 1);
            out.push(dife | more(storage, tariff, subunit));
        }
        Ok(())
    }
}
