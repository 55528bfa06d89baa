//! Byte layouts of the payloads: little endian, no padding, no alignment; the tables stand in the crate's README.
//!
//! Total functions: any bytes decode to a value or to a [`PageError`], any value encodes. [`Reader`] cannot run past
//! its end, [`Writer`] stops at its end. Lengths are exact: a payload that is longer or shorter than its type is refused, so a
//! change of layout needs another page version.

mod link;
mod report;
mod values;

pub use crate::page::PageError;
pub use link::{Message, decode_page};
pub(crate) use link::{decode_host, put_host};

/// A payload with its layout.
pub trait Wire: Sized {
    /// Largest encoded size, bytes.
    const LEN: usize;
    /// Appends the value.
    fn put(&self, w: &mut Writer<'_>);
    /// Takes one value off the front.
    ///
    /// # Errors
    /// [`PageError::Length`] when the bytes end early, [`PageError::Value`] when a field has no meaning.
    fn take(r: &mut Reader<'_>) -> Result<Self, PageError>;
}

/// Writes `value` to the front of `out` and gives its length; 0 when `out` is too short (then `out` is scratch).
pub fn encode<T: Wire>(value: &T, out: &mut [u8]) -> usize {
    let mut w = Writer::new(out);
    value.put(&mut w);
    if w.overflow { 0 } else { w.at }
}

/// Reads a value that fills all of `bytes`.
///
/// # Errors
/// [`PageError::Length`] when `bytes` is too short or too long, [`PageError::Value`] when a field has no meaning.
pub fn decode<T: Wire>(bytes: &[u8]) -> Result<T, PageError> {
    let mut r = Reader::new(bytes);
    let value = T::take(&mut r)?;
    if r.rest().is_empty() { Ok(value) } else { Err(PageError::Length) }
}

/// Takes little-endian values off the front of bytes, and stops at their end.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the front of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes }
    }

    /// What has not been taken yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next `N` bytes.
    ///
    /// # Errors
    /// [`PageError::Length`] when fewer are left; nothing is taken then.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], PageError> {
        let (front, rest) = self.rest.split_first_chunk::<N>().ok_or(PageError::Length)?;
        self.rest = rest;
        Ok(*front)
    }

    /// The next `n` bytes.
    ///
    /// # Errors
    /// [`PageError::Length`] when fewer are left; nothing is taken then.
    pub fn bytes(&mut self, n: usize) -> Result<&'a [u8], PageError> {
        let (front, rest) = self.rest.split_at_checked(n).ok_or(PageError::Length)?;
        self.rest = rest;
        Ok(front)
    }

    /// Takes `bool` as 0 or 1; everything else has no meaning.
    ///
    /// # Errors
    /// [`PageError::Length`] or [`PageError::Value`].
    pub fn bool(&mut self, field: &'static str) -> Result<bool, PageError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(PageError::Value(field)),
        }
    }
}

/// Appends little-endian values to bytes, and stops at their end.
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut [u8],
    at: usize,
    overflow: bool,
}

impl<'a> Writer<'a> {
    /// Starts at the front of `out`.
    pub fn new(out: &'a mut [u8]) -> Writer<'a> {
        Writer { out, at: 0, overflow: false }
    }

    /// Bytes written so far.
    pub fn written(&self) -> usize {
        self.at
    }

    /// Whether something did not fit and was left out.
    pub fn overflowed(&self) -> bool {
        self.overflow
    }

    /// Appends bytes; after the first piece that does not fit, nothing is written any more.
    pub fn bytes(&mut self, bytes: &[u8]) {
        match self.out.get_mut(self.at..).and_then(|room| room.get_mut(..bytes.len())) {
            Some(room) if !self.overflow => {
                room.copy_from_slice(bytes);
                self.at += bytes.len();
            }
            _ => self.overflow = true,
        }
    }

    /// The bytes written so far.
    pub(crate) fn so_far(&self) -> &[u8] {
        self.out.get(..self.at).unwrap_or(&[])
    }

    /// `bool` as 0 or 1.
    pub fn bool(&mut self, value: bool) {
        self.u8(u8::from(value));
    }
}

macro_rules! integers {
    ($($t:ident),*) => {
        impl Reader<'_> {
            $(
                /// Takes one integer.
                ///
                /// # Errors
                /// [`PageError::Length`] when the bytes end.
                pub fn $t(&mut self) -> Result<$t, PageError> {
                    Ok($t::from_le_bytes(self.array()?))
                }
            )*
        }
        impl Writer<'_> {
            $(
                /// Appends one integer.
                pub fn $t(&mut self, value: $t) {
                    self.bytes(&value.to_le_bytes());
                }
            )*
        }
        $(
            impl Wire for $t {
                const LEN: usize = size_of::<$t>();
                fn put(&self, w: &mut Writer<'_>) {
                    w.$t(*self);
                }
                fn take(r: &mut Reader<'_>) -> Result<$t, PageError> {
                    r.$t()
                }
            }
        )*
    };
}
integers!(u8, u16, u32, u64, i32, i64);

impl<T: Wire + Copy + Default, const N: usize> Wire for [T; N] {
    const LEN: usize = N * T::LEN;
    fn put(&self, w: &mut Writer<'_>) {
        for item in self {
            item.put(w);
        }
    }
    fn take(r: &mut Reader<'_>) -> Result<Self, PageError> {
        let mut items = [T::default(); N];
        for item in &mut items {
            *item = T::take(r)?;
        }
        Ok(items)
    }
}

/// Wire enums: the byte is the discriminant, an unknown byte has no meaning.
macro_rules! wire_enum {
    ($type:ident, $field:literal, $($variant:ident),* $(,)?) => {
        impl $crate::codec::Wire for $type {
            const LEN: usize = 1;
            fn put(&self, w: &mut $crate::codec::Writer<'_>) {
                w.u8(*self as u8);
            }
            fn take(r: &mut $crate::codec::Reader<'_>) -> Result<Self, $crate::PageError> {
                let byte = r.u8()?;
                $(if byte == $type::$variant as u8 {
                    return Ok($type::$variant);
                })*
                Err($crate::PageError::Value($field))
            }
        }
    };
}

/// Wire structs whose layout is the listed fields in order, with their types.
macro_rules! wire_struct {
    ($type:ident { $($field:ident : $t:ty),* $(,)? }) => {
        impl $crate::codec::Wire for $type {
            const LEN: usize = 0 $(+ <$t as $crate::codec::Wire>::LEN)*;
            fn put(&self, w: &mut $crate::codec::Writer<'_>) {
                $($crate::codec::Wire::put(&self.$field, w);)*
            }
            fn take(r: &mut $crate::codec::Reader<'_>) -> Result<Self, $crate::PageError> {
                Ok($type { $($field: <$t as $crate::codec::Wire>::take(r)?),* })
            }
        }
    };
}
pub(crate) use {wire_enum, wire_struct};

impl Wire for bool {
    const LEN: usize = 1;
    fn put(&self, w: &mut Writer<'_>) {
        w.bool(*self);
    }
    fn take(r: &mut Reader<'_>) -> Result<bool, PageError> {
        r.bool("bool")
    }
}
