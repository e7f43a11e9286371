use std::collections::VecDeque;

use super::{state, wire::CallDelta};
use crate::{
    chat::{ChatEvent, FinishReason, ProviderError, ToolCall, json_bytes},
    provider::http::{CallIds, PartialCall, text_of, too_long, too_many},
};

// Models ask for a few tools at once.
const MAX_CALLS: usize = 256;

/// The tool calls of one answer, assembled from their pieces.
///
/// Servers mark the call of a piece by its index, by its id, by both, or, badly, by neither. A
/// piece continues the last call of its index, or the last call of all if it has no index. It
/// begins a new call if it has another id, unless it has the index of the call and no name: some
/// servers give each piece an id of its own. It also does if it has a name, and the call has one too,
/// and the call's arguments are whole and the piece has more, or the piece is in the same event as
/// another piece of that call and has another id, none, or another name.
///
/// Events show the pieces as they come, call by call in the order of the calls: from the first call that the
/// server has not given an id and a name on, calls are told when they are whole.
#[derive(Debug)]
pub(super) struct Calls {
    partial: Vec<PartialCall>,
    ids: CallIds,
    /// The number of calls that events have announced, which are the first ones.
    announced: usize,
    bytes: usize,
    max_bytes: usize,
    cut: bool,
}

impl Calls {
    pub(super) fn new(ids: CallIds, max_bytes: usize) -> Self {
        Self {
            partial: Vec::new(),
            ids,
            announced: 0,
            bytes: 0,
            max_bytes,
            cut: false,
        }
    }

    pub(super) fn are_none(&self) -> bool {
        self.partial.is_empty()
    }

    /// Returns true if a piece was refused, so that a call lacks it.
    pub(super) fn are_cut(&self) -> bool {
        self.cut
    }

    /// Takes one piece, of the event of this number. Appends the events that show the arguments, if `out` is
    /// given.
    ///
    /// # Errors
    ///
    /// If there is too much of it.
    pub(super) fn take(
        &mut self,
        delta: CallDelta,
        event: u64,
        out: Option<&mut VecDeque<ChatEvent>>,
    ) -> Result<(), ProviderError> {
        if delta.is_empty() {
            return Ok(());
        }
        let CallDelta {
            index,
            id,
            name,
            arguments,
            extra,
        } = delta;
        let of_extra = extra.as_ref().map_or(0, json_bytes);
        self.bytes += id.len() + name.len() + arguments.len() + of_extra;
        if self.bytes > self.max_bytes {
            self.cut = true;
            return Err(too_long(self.max_bytes));
        }
        let last = match index {
            Some(_) => self.partial.iter().rposition(|call| call.index == index),
            None => self.partial.len().checked_sub(1),
        };
        let goes_on = |call: &PartialCall| {
            let has_ids = !id.is_empty() && !call.id.is_empty();
            if has_ids && call.id != id {
                return index.is_some() && name.is_empty();
            }
            let named_again = !name.is_empty() && !call.name.is_empty();
            let whole = call.json.is_whole() && !arguments.trim_ascii().is_empty();
            let is_other = !has_ids || call.name != name;
            let beside = call.event == event && !call.json.is_open() && is_other;
            !(named_again && (whole || beside))
        };
        let at = match last.filter(|at| goes_on(&self.partial[*at])) {
            Some(at) => at,
            None if self.partial.len() == MAX_CALLS => {
                self.cut = true;
                return Err(too_many(MAX_CALLS));
            }
            None => {
                self.partial.push(PartialCall::new(index));
                self.partial.len() - 1
            }
        };
        let call = &mut self.partial[at];
        if call.id.is_empty() {
            call.id = id;
        }
        // Some servers repeat the name with every piece.
        if call.name.is_empty() {
            call.name = name;
        }
        call.json.pass(&arguments);
        call.arguments.extend_from_slice(&arguments);
        call.event = event;
        if extra.is_some() {
            call.extra = extra;
        }
        if let Some(out) = out {
            self.show(at, out);
        }
        Ok(())
    }

    /// Appends the events of the call that got a piece, and of those that waited for one before them.
    fn show(&mut self, at: usize, out: &mut VecDeque<ChatEvent>) {
        if let Some(call) = self.partial.get_mut(at).filter(|call| call.is_announced()) {
            out.extend(call.next_input().map(ChatEvent::from));
            return;
        }
        while let Some(call) = self.partial.get_mut(self.announced) {
            // Ids are given in the order of the calls, as at the end. An id that comes later would be another.
            if call.given.is_none() && !call.id.is_empty() {
                call.given = Some(self.ids.next(call.id.clone()));
            }
            let Some(input) = call.announcement() else {
                return;
            };
            out.push_back(input.into());
            self.announced += 1;
        }
    }

    /// Ends the turn. Returns the rest of the arguments and the event of the calls, if the turn is whole and has
    /// any, with what the server must be handed back, and the reason of the turn.
    pub(super) fn end(&mut self, reason: FinishReason) -> (Vec<ChatEvent>, FinishReason) {
        if self.partial.is_empty() {
            return (Vec::new(), reason);
        }
        if !reason.is_whole() {
            tracing::warn!(%reason, "the model's calls are dropped: its turn isn't whole");
            return (Vec::new(), reason);
        }
        let (mut events, mut states) = (Vec::new(), Vec::new());
        let calls: Vec<_> = self
            .partial
            .drain(..)
            .map(|mut call| {
                events.extend(call.last_input().map(ChatEvent::from));
                let id = match call.given {
                    Some(id) => id,
                    None => self.ids.next(call.id),
                };
                if let Some(extra) = call.extra {
                    states.push(state::call_event(id.clone(), &extra).into());
                }
                ToolCall::from_text(id, call.name, &text_of(&call.arguments))
            })
            .collect();
        events.push(ChatEvent::tool_calls(calls));
        events.append(&mut states);
        // Some servers send `stop` here.
        (events, FinishReason::ToolCalls)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json, value::RawValue};

    use super::*;
    use crate::provider::http::Oddities;

    fn delta(piece: &str) -> CallDelta {
        let piece: Box<RawValue> = serde_json::from_str(piece).unwrap();
        CallDelta::read(&piece, &mut Oddities::default()).unwrap()
    }

    fn ended(mut calls: Calls) -> Vec<ToolCall> {
        let (mut events, reason) = calls.end(FinishReason::Stop);
        match (events.pop(), reason) {
            (Some(ChatEvent::ToolCalls(asked)), FinishReason::ToolCalls) => asked.calls,
            (None, FinishReason::Stop) => vec![],
            other => panic!("{other:?}"),
        }
    }

    // Each event is a list of pieces.
    fn calls(events: &[Value]) -> Result<Vec<ToolCall>, ProviderError> {
        let mut calls = Calls::new(CallIds::after(&[]), 1000);
        for (number, event) in (1..).zip(events) {
            for piece in event.as_array().unwrap() {
                calls.take(delta(&piece.to_string()), number, None)?;
            }
        }
        Ok(ended(calls))
    }

    fn piece(index: Option<u32>, id: Option<&str>, arguments: &str) -> Value {
        json!([{"index": index, "id": id, "function": {"name": "t", "arguments": arguments}}])
    }

    fn arguments(events: &[Value]) -> Vec<Value> {
        let calls = calls(events).unwrap();
        calls.into_iter().map(|call| call.arguments).collect()
    }

    #[test]
    fn arguments_of_any_depth_are_read_and_deep_ones_stay_text() {
        for depth in [1, 63, 64, 65, 100, 124, 125, 126, 127, 128, 130, 400] {
            let lists = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
            // As the protocol has it, and as JSON.
            for wire in [format!("{lists:?}"), lists.clone()] {
                let piece = format!(r#"{{"function":{{"name":"t","arguments":{wire}}}}}"#);
                let mut calls = Calls::new(CallIds::after(&[]), 1000);
                calls.take(delta(&piece), 1, None).unwrap();
                let arguments = &ended(calls)[0].arguments;
                if depth <= ToolCall::MAX_DEPTH {
                    assert_eq!(arguments.to_string(), lists);
                } else {
                    assert_eq!(*arguments, json!(lists));
                }
            }
        }
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
    fn a_new_id_without_a_name_goes_on_with_the_call_of_its_index() {
        let more = |index: Option<u32>, id: &str, arguments: &str| json!([{"index": index, "id": id, "function": {"arguments": arguments}}]);
        let found = calls(&[
            piece(Some(0), Some("a"), "[1"),
            more(Some(0), "b", ",2"),
            piece(Some(1), Some("c"), "[3"),
            more(Some(0), "d", "]"),
            more(Some(1), "e", "]"),
        ])
        .unwrap();
        assert_eq!(
            found,
            [
                ToolCall::new("a", "t", json!([1, 2])),
                ToolCall::new("c", "t", json!([3])),
            ]
        );
    }

    #[test]
    fn a_repeated_id_is_another_call_where_index_name_or_arguments_say_so() {
        let call = |index: Option<u32>, name: &str, arguments: &str| json!({"index": index, "id": "a", "function": {"name": name, "arguments": arguments}});
        for pieces in [
            [call(Some(0), "t", "[1]"), call(Some(1), "t", "[2]")],
            [call(None, "t", "[1]"), call(None, "t", "[2]")],
        ] {
            let [one, two] = &pieces;
            for events in [vec![json!([one, two])], vec![json!([one]), json!([two])]] {
                let expected = [
                    ToolCall::new("a", "t", json!([1])),
                    ToolCall::new("call_2", "t", json!([2])),
                ];
                assert_eq!(calls(&events).unwrap(), expected, "{events:?}");
            }
        }
        let others = [json!([call(None, "t", ""), call(None, "u", "")])];
        let names: Vec<_> = calls(&others)
            .unwrap()
            .into_iter()
            .map(|it| it.name)
            .collect();
        assert_eq!(names, ["t", "u"]);
        // A server that repeats all but the arguments.
        let pieces = ["[1", ",2", "]", " ", ""].map(|it| json!([call(Some(0), "t", it)]));
        assert_eq!(arguments(&pieces), [json!([1, 2])]);
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

    #[test]
    fn calls_of_a_turn_that_is_not_whole_are_dropped() {
        for reason in ["length", "content_filter", "unknown", "bored"] {
            let mut calls = Calls::new(CallIds::after(&[]), 1000);
            calls
                .take(
                    delta(r#"{"function":{"name":"t","arguments":"{}"}}"#),
                    1,
                    None,
                )
                .unwrap();
            let reason = FinishReason::from(reason);
            assert_eq!(calls.end(reason.clone()), (vec![], reason));
        }
    }

    #[test]
    fn indexes_and_ids_of_other_types_are_read_as_far_as_they_can_be() {
        let piece = |index: Value, id: Value, arguments: &str| json!([{"index": index, "id": id, "function": {"name": "t", "arguments": arguments}}]);
        let found = calls(&[
            piece(json!("0"), json!(7), "[1"),
            piece(json!(1.0), json!(8), "[2"),
            piece(json!(0), json!([]), "]"),
            piece(json!("1"), json!(8), "]"),
        ])
        .unwrap();
        assert_eq!(
            found,
            [
                ToolCall::new("7", "t", json!([1])),
                ToolCall::new("8", "t", json!([2])),
            ]
        );
        for nothing in [json!([{}]), json!([{"index": 0, "function": []}])] {
            assert_eq!(calls(&[nothing]).unwrap(), []);
        }
    }

    #[test]
    fn a_character_of_the_arguments_may_be_split() {
        let mut calls = Calls::new(CallIds::after(&[]), 1000);
        for piece in [
            r#"{"id":"a","function":{"name":"t","arguments":"{\"a\":\"\ud83d"}}"#,
            r#"{"function":{"arguments":"\ude00\"}"}}"#,
        ] {
            calls.take(delta(piece), 1, None).unwrap();
        }
        assert_eq!(ended(calls)[0].arguments, json!({"a": "😀"}));
    }
}
