//! Text of servers, which split a character in two and send each half as an event of its own.

use std::borrow::Cow;

/// The pieces of one text, as WTF-8. The first half of a character is held until the second comes.
#[derive(Debug, Default)]
pub(crate) struct TextPieces {
    held: Vec<u8>,
}

impl TextPieces {
    /// Takes the next piece. Returns the text that is whole; it may be empty.
    pub(crate) fn push(&mut self, piece: &[u8]) -> String {
        let piece = if self.held.is_empty() {
            Cow::Borrowed(piece)
        } else {
            let mut held = std::mem::take(&mut self.held);
            held.extend_from_slice(piece);
            Cow::Owned(held)
        };
        let held = matches!(*piece, [.., 0xed, 0xa0..=0xaf, _]);
        let whole = &piece[..piece.len() - if held { 3 } else { 0 }];
        self.held.extend_from_slice(&piece[whole.len()..]);
        text_of(whole)
    }

    /// Returns true if nothing is held.
    #[cfg(feature = "openai-responses-upstream")]
    pub(crate) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Returns what is held: nothing, or U+FFFD for half a character.
    pub(crate) fn rest(&mut self) -> String {
        text_of(&std::mem::take(&mut self.held))
    }
}

/// Returns WTF-8 as text. Two halves that follow each other are one character, any other half is
/// U+FFFD.
pub(crate) fn text_of(mut bytes: &[u8]) -> String {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return text.to_owned();
    }
    let mut text = String::with_capacity(bytes.len());
    while let Err(error) = std::str::from_utf8(bytes) {
        let (valid, rest) = bytes.split_at(error.valid_up_to());
        text.push_str(&String::from_utf8_lossy(valid));
        let (character, length) = match *rest {
            [0xed, a @ 0xa0..=0xaf, b, 0xed, c @ 0xb0..=0xbf, d, ..] => {
                let high = u32::from(a & 0x0f) << 6 | u32::from(b & 0x3f);
                let low = u32::from(c & 0x0f) << 6 | u32::from(d & 0x3f);
                (char::from_u32(0x10000 + (high << 10 | low)), 6)
            }
            [0xed, 0xa0..=0xbf, _, ..] => (None, 3),
            _ => (None, 1),
        };
        text.push(character.unwrap_or(char::REPLACEMENT_CHARACTER));
        bytes = &rest[length..];
    }
    text.push_str(&String::from_utf8_lossy(bytes));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const HIGH: &[u8] = b"\xed\xa0\xbd";
    const LOW: &[u8] = b"\xed\xb8\x80";

    fn pieces(pieces: &[&[u8]]) -> (Vec<String>, String) {
        let mut text = TextPieces::default();
        let whole = pieces.iter().map(|piece| text.push(piece)).collect();
        (whole, text.rest())
    }

    #[test]
    fn two_halves_of_a_character_are_joined() {
        let whole = [b"a", HIGH, LOW, b"b"].concat();
        assert_eq!(text_of(&whole), "a😀b");
        let (found, rest) = pieces(&[b"a\xed\xa0\xbd", b"", b"\xed\xb8\x80b"]);
        assert_eq!((found.concat(), rest), ("a😀b".into(), String::new()));
    }

    #[test]
    fn half_a_character_alone_is_replaced() {
        for (bytes, text) in [
            (HIGH.to_vec(), "\u{fffd}"),
            (LOW.to_vec(), "\u{fffd}"),
            ([LOW, HIGH].concat(), "\u{fffd}\u{fffd}"),
            ([HIGH, HIGH, LOW].concat(), "\u{fffd}😀"),
            ([HIGH, "é".as_bytes()].concat(), "\u{fffd}é"),
        ] {
            assert_eq!(text_of(&bytes), text);
            let (found, rest) = pieces(&[&bytes]);
            assert_eq!(found.concat() + &rest, text);
        }
    }
}
