//! OBIS codes (IEC 62056-6-1): six value groups A to F.

use core::fmt;
use core::str::FromStr;

/// An OBIS code. Ordered by its groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Obis(pub [u8; 6]);

impl Obis {
    /// A code of the electricity meter's own channel: `1.1.c.d.e.255`.
    pub const fn electricity(c: u8, d: u8, e: u8) -> Obis {
        Obis([1, 1, c, d, e, 255])
    }
}

/// `A.B.C.D.E.F` with dots, as DLMS people write it.
impl fmt::Display for Obis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a}.{b}.{c}.{d}.{e}.{g}")
    }
}

/// The text is no OBIS code. The caller's fault; nothing is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an OBIS code: expected C.D.E, A.B.C.D.E.F or A-B:C.D.E*F with groups 0 to 255")]
pub struct ParseObisError;

/// Reads `C.D.E` (then A.B = 1.1, F = 255), `A.B.C.D.E.F` and `A-B:C.D.E[*F]`.
impl FromStr for Obis {
    type Err = ParseObisError;

    fn from_str(text: &str) -> Result<Obis, ParseObisError> {
        let (prefix, rest) = match text.split_once(':') {
            Some((ab, rest)) => (Some(ab.split_once('-').ok_or(ParseObisError)?), rest),
            None => (None, text),
        };
        let (rest, last) = match rest.split_once('*') {
            Some((rest, f)) => (rest, Some(group(f)?)),
            None => (rest, None),
        };
        let mut groups = [0u8; 6];
        let mut n = 0;
        for part in rest.split('.') {
            *groups.get_mut(n).ok_or(ParseObisError)? = group(part)?;
            n += 1;
        }
        match (n, prefix, last) {
            (3, None, None) => Ok(Obis([1, 1, groups[0], groups[1], groups[2], 255])),
            (3, Some((a, b)), f) => Ok(Obis([group(a)?, group(b)?, groups[0], groups[1], groups[2], f.unwrap_or(255)])),
            (6, None, None) => Ok(Obis(groups)),
            _ => Err(ParseObisError),
        }
    }
}

fn group(text: &str) -> Result<u8, ParseObisError> {
    let digits = !text.is_empty() && text.len() <= 3 && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().ok_or(ParseObisError)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn reads_the_three_ways_people_write_codes() {
        for text in ["1.8.0", "1.1.1.8.0.255", "1-1:1.8.0", "1-1:1.8.0*255"] {
            assert_eq!(text.parse(), Ok(Obis::electricity(1, 8, 0)), "{text}");
        }
        assert_eq!("0.1.96.8.0.255".parse(), Ok(Obis([0, 1, 96, 8, 0, 255])));
        assert_eq!(Obis::electricity(1, 8, 0).to_string(), "1.1.1.8.0.255");
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_reads_back(groups: [u8; 6]) {
            proptest::prop_assert_eq!(Obis(groups).to_string().parse(), Ok(Obis(groups)));
        }

        /// Any text is safe to try.
        #[test]
        fn any_text_is_a_code_or_is_refused(text in "[0-9.:*-]{0,20}") {
            let _ = text.parse::<Obis>();
        }
    }

    #[test]
    fn refuses_what_is_no_code() {
        for text in
            ["", "1.8", "1.8.0.1", "1.8.256", "1.8.-1", "1.8.+1", "1-1.8.0", "1.8.0*255", "1.1.1.8.0.255.0", "a.b.c"]
        {
            assert_eq!(text.parse::<Obis>(), Err(ParseObisError), "{text}");
        }
    }
}
