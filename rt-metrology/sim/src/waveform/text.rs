//! Text of unknown age: UTF-8 where it is valid, else Windows code page 1251.

/// Windows-1251, bytes 0x80 to 0xBF; 0xC0 to 0xFF are the Cyrillic letters А to я in order.
const CP1251: [char; 64] = [
    'Ђ', 'Ѓ', '‚', 'ѓ', '„', '…', '†', '‡', '€', '‰', 'Љ', '‹', 'Њ', 'Ќ', 'Ћ', 'Џ', 'ђ', '‘', '’', '“', '”', '•', '–',
    '—', '\u{98}', '™', 'љ', '›', 'њ', 'ќ', 'ћ', 'џ', '\u{a0}', 'Ў', 'ў', 'Ј', '¤', 'Ґ', '¦', '§', 'Ё', '©', 'Є', '«',
    '¬', '\u{ad}', '®', 'Ї', '°', '±', 'І', 'і', 'ґ', 'µ', '¶', '·', 'ё', '№', 'є', '»', 'ј', 'Ѕ', 'ѕ', 'ї',
];

/// Decodes, never fails.
pub(super) fn decode(bytes: &[u8]) -> String {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        return text.to_owned();
    }
    bytes
        .iter()
        .map(|&b| match b {
            0..0x80 => char::from(b),
            0x80..0xC0 => CP1251[usize::from(b - 0x80)],
            _ => char::from_u32(u32::from('А') + u32::from(b - 0xC0)).unwrap_or('?'),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cyrillic_of_both_kinds() {
        assert_eq!(decode("Ua_1СШ №5 ё".as_bytes()), "Ua_1СШ №5 ё");
        assert_eq!(decode(b"\xD3\xF1\xF2\xE0\xE2\xEA\xE0 \xB95 \xB8\xFF"), "Уставка №5 ёя");
        assert_eq!(decode(b"\xEF\xBB\xBFabc"), "abc");
    }
}
