//! The encodings of a file.

use std::borrow::Cow;

const BYTE_ORDER_MARK: char = '\u{feff}';

/// Decodes a file as kubectl does: as UTF-16 if it begins with that byte-order mark, otherwise as UTF-8. Bytes that are
/// invalid become the replacement character.
pub(super) fn decode(bytes: &[u8]) -> Cow<'_, str> {
    let text = match bytes {
        [0xff, 0xfe, rest @ ..] => Cow::Owned(utf16(rest, u16::from_le_bytes)),
        [0xfe, 0xff, rest @ ..] => Cow::Owned(utf16(rest, u16::from_be_bytes)),
        _ => String::from_utf8_lossy(bytes),
    };
    if text.contains('\r') {
        Cow::Owned(text.replace("\r\n", "\n"))
    } else {
        text
    }
}

/// Returns the text without a byte-order mark at its beginning.
pub(super) fn without_mark(text: &str) -> &str {
    text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text)
}

/// Decodes UTF-16. A byte without a partner at the end becomes the replacement character.
fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let units = pairs.iter().map(|pair| unit(*pair));
    let decoded = char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER));
    decoded
        .chain((!rest.is_empty()).then_some(char::REPLACEMENT_CHARACTER))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utf_16_is_decoded_in_both_byte_orders() {
        let units: Vec<u16> = "\u{feff}kind: Ünïcode 🚀\n".encode_utf16().collect();
        let little: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        let big: Vec<u8> = units.iter().flat_map(|unit| unit.to_be_bytes()).collect();
        assert_eq!(decode(&little), "kind: Ünïcode 🚀\n");
        assert_eq!(decode(&big), "kind: Ünïcode 🚀\n");
        assert_eq!(decode(&[0xff, 0xfe, b'a', 0, b'b']), "a\u{fffd}");
        assert_eq!(
            decode(&[0xff, 0xfe, 0, 0xd8]),
            "\u{fffd}",
            "half of a surrogate pair"
        );
    }

    #[test]
    fn invalid_utf_8_is_replaced_and_line_ends_of_windows_become_newlines() {
        assert_eq!(decode(b"a: \xff\r\nb\r"), "a: \u{fffd}\nb\r");
    }
}
