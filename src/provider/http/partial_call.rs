use serde_json::Value;

use super::wtf8::text_of;
use crate::chat::{JsonDepth, ToolInput};

/// The fraction of the arguments so far that the next piece has at least.
const FRACTION: usize = 32;
/// The size from which a piece is shown whatever was shown before, in bytes.
const FULL: usize = 128;

/// A call of which pieces may follow.
#[derive(Debug, Default)]
pub(crate) struct PartialCall {
    pub(crate) index: Option<i64>,
    /// The server's id, once it has come.
    pub(crate) id: String,
    /// The id in events, once it is given.
    pub(crate) given: Option<String>,
    pub(crate) name: String,
    /// WTF-8.
    pub(crate) arguments: Vec<u8>,
    pub(crate) json: JsonDepth,
    pub(crate) extra: Option<Value>,
    /// The number of the event of the last piece.
    pub(crate) event: u64,
    shown: ShownArguments,
}

/// The arguments that events hold already.
#[derive(Debug, Default)]
struct ShownArguments {
    is_begun: bool,
    is_whole: bool,
    bytes: usize,
}

impl PartialCall {
    pub(crate) fn new(index: Option<i64>) -> Self {
        Self {
            index,
            ..Self::default()
        }
    }

    /// Returns true if an event has announced the call.
    pub(crate) fn is_announced(&self) -> bool {
        self.shown.is_begun
    }

    /// Returns the event that announces the call, with the arguments so far. `None` while its id or its name
    /// is unknown.
    pub(crate) fn announcement(&mut self) -> Option<ToolInput> {
        if self.name.is_empty() {
            return None;
        }
        let id = self.given.clone()?;
        self.shown.is_begun = true;
        let name = self.name.clone();
        Some(ToolInput::new(id, self.piece(false)).name(name))
    }

    /// Returns the event with the arguments that none has. `None` if it isn't due: the longer the arguments,
    /// the longer is each piece, so that a log doesn't grow with the number of the server's pieces.
    pub(crate) fn next_input(&mut self) -> Option<ToolInput> {
        let due = (self.shown.bytes / FRACTION).clamp(1, FULL);
        let becomes_whole = self.json.is_whole() && !self.shown.is_whole;
        if becomes_whole || self.arguments.len() - self.shown.bytes >= due {
            self.input(false)
        } else {
            None
        }
    }

    /// Returns the event with the arguments that none has, at the end of the call.
    pub(crate) fn last_input(&mut self) -> Option<ToolInput> {
        self.input(true)
    }

    fn input(&mut self, is_last: bool) -> Option<ToolInput> {
        let id = self.given.clone().filter(|_| self.shown.is_begun)?;
        let piece = self.piece(is_last);
        (!piece.is_empty()).then(|| ToolInput::new(id, piece))
    }

    /// Returns the text of the arguments that no event has. Unless it is the last, the first half of a
    /// character waits for the second.
    fn piece(&mut self, is_last: bool) -> String {
        let rest = &self.arguments[self.shown.bytes..];
        let is_half = !is_last && matches!(rest, [.., 0xed, 0xa0..=0xaf, _]);
        let piece = &rest[..rest.len() - if is_half { 3 } else { 0 }];
        self.shown.bytes += piece.len();
        self.shown.is_whole |= self.json.is_whole();
        text_of(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(id: &str) -> PartialCall {
        PartialCall {
            given: Some(id.into()),
            name: "t".into(),
            ..PartialCall::default()
        }
    }

    fn push(call: &mut PartialCall, piece: &[u8]) -> Option<String> {
        call.json.pass(piece);
        call.arguments.extend_from_slice(piece);
        call.next_input().map(|input| input.delta)
    }

    #[test]
    fn the_number_of_pieces_is_bounded_by_the_bytes_and_not_by_the_servers_pieces() {
        for (bytes, most) in [(60, 60), (10_000, 400), (1_000_000, 400 + 1_000_000 / FULL)] {
            let mut call = call("a");
            assert_eq!(call.announcement().unwrap().name.as_deref(), Some("t"));
            let mut shown = push(&mut call, b"\"").unwrap();
            let mut pieces = 1;
            for _ in 0..bytes {
                if let Some(piece) = push(&mut call, b"x") {
                    pieces += 1;
                    shown.push_str(&piece);
                }
            }
            assert!(pieces <= most + 1, "{bytes}: {pieces}");
            assert!(pieces > most / 4, "{bytes}: {pieces}");
            shown.extend(call.last_input().map(|input| input.delta));
            assert_eq!(shown.into_bytes(), call.arguments);
            assert_eq!(call.last_input(), None);
        }
    }

    #[test]
    fn the_piece_with_which_the_arguments_are_whole_does_not_wait() {
        let mut call = call("a");
        call.announcement().unwrap();
        let long = format!("{{\"a\":\"{}", "x".repeat(10_000));
        assert_eq!(push(&mut call, long.as_bytes()), Some(long));
        assert_eq!(push(&mut call, b"\""), None);
        assert_eq!(push(&mut call, b"}").as_deref(), Some("\"}"));
        // Further space does.
        assert_eq!(push(&mut call, b" "), None);
        assert_eq!(call.last_input().unwrap().delta, " ");
    }

    #[test]
    fn half_a_character_waits_for_the_other_half() {
        let mut call = call("a");
        call.announcement().unwrap();
        assert_eq!(push(&mut call, b"\"a\xed\xa0\xbd").as_deref(), Some("\"a"));
        assert_eq!(push(&mut call, b"\xed\xb8\x80").as_deref(), Some("😀"));
        assert_eq!(push(&mut call, b"\xed\xa0\xbd"), None);
        assert_eq!(call.last_input().unwrap().delta, "\u{fffd}");
    }

    #[test]
    fn a_call_without_id_or_name_is_not_announced() {
        let mut nameless = call("a");
        nameless.name.clear();
        assert_eq!(nameless.announcement(), None);
        let mut unknown = PartialCall::new(Some(0));
        unknown.name = "t".into();
        assert_eq!(unknown.announcement(), None);
        assert_eq!(push(&mut unknown, b"{"), None);
        assert_eq!(unknown.last_input(), None);
        unknown.given = Some("b".into());
        let input = unknown.announcement().unwrap();
        assert_eq!((&*input.id, &*input.delta), ("b", "{"));
    }
}
