use super::wire::{Arguments, CallDelta};
use crate::{
    chat::{ProviderError, ToolCall},
    provider::http::{CallIds, too_long},
};

// Models ask for a few tools at once.
const MAX_CALLS: usize = 256;

/// The tool calls of one answer, assembled from their pieces.
///
/// Servers mark the call of a piece by its index, by its id, by both, or, badly, by neither. A
/// piece continues the last call of its index, or the last call of all if it has no index. It
/// begins a new call if it has another id, or if it repeats a name and either the call's arguments
/// are whole and the piece has more, or the piece is in the same event as another piece of that
/// call.
#[derive(Debug)]
pub(super) struct Calls {
    partial: Vec<PartialCall>,
    ids: CallIds,
    bytes: usize,
    max_bytes: usize,
}

#[derive(Debug, Default)]
struct PartialCall {
    index: Option<i64>,
    id: String,
    name: String,
    arguments: String,
    json: JsonDepth,
    // The number of the event of the last piece.
    event: u64,
}

impl Calls {
    pub(super) fn new(ids: CallIds, max_bytes: usize) -> Self {
        Self {
            partial: Vec::new(),
            ids,
            bytes: 0,
            max_bytes,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.partial.is_empty()
    }

    /// Takes one piece, of the event of this number.
    pub(super) fn take(&mut self, delta: CallDelta, event: u64) -> Result<(), ProviderError> {
        let id = delta.id.unwrap_or_default();
        let function = delta.function.unwrap_or_default();
        let name = function.name.unwrap_or_default();
        let arguments = match function.arguments {
            Some(Arguments::Text(text)) => text,
            Some(Arguments::Value(value)) if !value.is_null() => value.to_string(),
            Some(Arguments::Value(_)) | None => String::new(),
        };
        self.bytes += id.len() + name.len() + arguments.len();
        if self.bytes > self.max_bytes {
            return Err(too_long());
        }
        let last = match delta.index {
            Some(_) => self
                .partial
                .iter()
                .rposition(|call| call.index == delta.index),
            None => self.partial.len().checked_sub(1),
        };
        let goes_on = |call: &PartialCall| {
            if !id.is_empty() && !call.id.is_empty() {
                return call.id == id;
            }
            let named_again = !name.is_empty() && !call.name.is_empty();
            let whole = call.json.is_whole() && !arguments.is_empty();
            let beside = call.event == event && !call.json.is_open();
            !(named_again && (whole || beside))
        };
        let at = match last.filter(|at| goes_on(&self.partial[*at])) {
            Some(at) => at,
            None if self.partial.len() == MAX_CALLS => return Err(too_long()),
            None => {
                self.partial.push(PartialCall {
                    index: delta.index,
                    ..PartialCall::default()
                });
                self.partial.len() - 1
            }
        };
        let call = &mut self.partial[at];
        if !id.is_empty() {
            call.id = id;
        }
        // Some servers repeat the name with every piece.
        if call.name.is_empty() {
            call.name = name;
        }
        call.json.pass(&arguments);
        call.arguments.push_str(&arguments);
        call.event = event;
        Ok(())
    }

    /// Returns all calls, each whole.
    pub(super) fn finish(&mut self) -> Vec<ToolCall> {
        self.partial
            .drain(..)
            .map(|call| ToolCall::from_text(self.ids.next(call.id), call.name, &call.arguments))
            .collect()
    }
}

/// The depth of a JSON text after its last character. It tells whether an object is whole without
/// parsing it again.
#[derive(Debug, Default)]
struct JsonDepth {
    depth: u32,
    in_string: bool,
    escaped: bool,
    started: bool,
}

impl JsonDepth {
    fn pass(&mut self, text: &str) {
        for byte in text.bytes() {
            if self.in_string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => {
                    self.depth = self.depth.saturating_add(1);
                    self.started = true;
                }
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
    }

    fn is_whole(&self) -> bool {
        self.started && !self.is_open()
    }

    fn is_open(&self) -> bool {
        self.depth > 0 || self.in_string
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    // Each event is a list of pieces.
    fn calls(events: &[Value]) -> Result<Vec<ToolCall>, ProviderError> {
        let mut calls = Calls::new(CallIds::after(&[]), 1000);
        for (number, event) in (1..).zip(events) {
            for piece in event.as_array().unwrap() {
                calls.take(serde_json::from_value(piece.clone()).unwrap(), number)?;
            }
        }
        Ok(calls.finish())
    }

    fn piece(index: Option<u32>, id: Option<&str>, arguments: &str) -> Value {
        json!([{"index": index, "id": id, "function": {"name": "t", "arguments": arguments}}])
    }

    fn arguments(events: &[Value]) -> Vec<Value> {
        let calls = calls(events).unwrap();
        calls.into_iter().map(|call| call.arguments).collect()
    }

    #[test]
    fn pieces_of_several_calls_are_told_apart_by_index() {
        let found = calls(&[
            piece(Some(0), Some("a"), "[1"),
            piece(Some(1), Some("b"), "[2"),
            piece(Some(0), None, ",3]"),
            piece(Some(1), Some(""), ",4]"),
        ])
        .unwrap();
        assert_eq!(
            found,
            [
                ToolCall::new("a", "t", json!([1, 3])),
                ToolCall::new("b", "t", json!([2, 4])),
            ]
        );
    }

    #[test]
    fn indexes_may_have_gaps_and_begin_anywhere() {
        let events = [
            piece(Some(3), Some("a"), "[1"),
            piece(Some(7), Some("b"), "[2"),
            piece(Some(3), None, "]"),
            piece(Some(7), None, "]"),
        ];
        assert_eq!(arguments(&events), [json!([1]), json!([2])]);
    }

    #[test]
    fn pieces_without_a_useful_index_are_told_apart_by_id() {
        for index in [None, Some(0)] {
            let events = [
                piece(index, Some("a"), "[1"),
                piece(index, Some("a"), "]"),
                piece(index, Some("b"), "[2"),
                piece(index, None, "]"),
            ];
            assert_eq!(arguments(&events), [json!([1]), json!([2])]);
        }
    }

    #[test]
    fn whole_calls_without_index_and_id_are_told_apart_by_their_events_and_arguments() {
        for index in [None, Some(0)] {
            let call = |arguments: &str| {
                let function = json!({"name": "t", "arguments": arguments});
                json!({"index": index, "function": function})
            };
            // In one event, or in one each.
            let together = [json!([call("{}"), call(r#"{"a":"}"}"#)])];
            let apart = [json!([call("{}")]), json!([call(r#"{"a":"}"}"#)])];
            for events in [&together[..], &apart[..]] {
                assert_eq!(arguments(events), [json!({}), json!({"a": "}"})]);
            }
            // A repeated name is no new call while the arguments continue, or after they have ended.
            let repeated = [r#"{"a":"}""#, "}", ""].map(|text| json!([call(text)]));
            assert_eq!(arguments(&repeated), [json!({"a": "}"})]);
        }
    }

    #[test]
    fn pieces_of_one_call_may_come_in_one_event() {
        for index in [None, Some(0)] {
            let pieces = json!([
                {"index": index, "id": "a", "function": {"name": "t"}},
                {"index": index, "function": {"arguments": "{\"a\":"}},
                {"index": index, "function": {"name": "t", "arguments": "1}"}},
                {"index": index, "function": {"arguments": ""}},
            ]);
            let found = calls(&[pieces]).unwrap();
            assert_eq!(found, [ToolCall::new("a", "t", json!({"a": 1}))]);
        }
    }

    #[test]
    fn arguments_may_be_an_object_instead_of_its_text() {
        let function = |arguments| json!([{"function": {"name": "t", "arguments": arguments}}]);
        let events = [function(json!({"a": 1})), function(json!({"a": 2}))];
        assert_eq!(arguments(&events), [json!({"a": 1}), json!({"a": 2})]);
        assert_eq!(arguments(&[function(json!(null))]), [json!({})]);
    }

    #[test]
    fn a_call_without_id_gets_one() {
        let found = calls(&[piece(Some(0), None, "")]).unwrap();
        assert_eq!(found, [ToolCall::new("call_1", "t", json!({}))]);
    }

    #[test]
    fn calls_without_end_are_stopped() {
        let long: Vec<_> = vec![piece(Some(0), Some("a"), &"x".repeat(90)); 12];
        assert!(calls(&long[..10]).is_ok());
        assert!(calls(&long).is_err());
        let many: Vec<_> = (0..257).map(|index| piece(Some(index), None, "")).collect();
        assert!(calls(&many[..256]).is_ok());
        assert!(calls(&many).is_err());
    }
}
