//! The JSON of an event.
//!
//! Nearly all events are text and thinking, so these are written without the code that keeps
//! unknown fields.

use std::fmt;

use bytes::{BufMut, BytesMut};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, DeserializeOwned, MapAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::{Map, Value};

use super::{ChatEvent, Unknown, text_record::TextKind};

// All events but text, thinking and unknown ones serialise as the tag, then the struct.
macro_rules! types {
    ($($Variant:ident($Struct:ident) = $kind:literal,)+) => {
        impl ChatEvent {
            /// Returns the `type` on the wire.
            pub fn kind(&self) -> &str {
                match self {
                    $(Self::$Variant(_) => $kind,)+
                    Self::Unknown(unknown) => &unknown.kind,
                }
            }
        }

        $(
            impl From<super::$Struct> for ChatEvent {
                fn from(event: super::$Struct) -> Self {
                    Self::$Variant(event.into())
                }
            }
        )+

        impl Serialize for ChatEvent {
            fn serialize<S>(&self, serializer: S) -> Result<S::Ok, S::Error>
            where
                S: Serializer,
            {
                #[derive(Serialize)]
                #[serde(tag = "type")]
                enum Tagged<'a> {
                    $(#[serde(rename = $kind)] $Variant(&'a super::$Struct),)+
                    #[serde(untagged)]
                    Unknown(&'a Unknown),
                }
                match self {
                    $(Self::$Variant(event) => Tagged::$Variant(event),)+
                    Self::Unknown(event) => Tagged::Unknown(event),
                }
                .serialize(serializer)
            }
        }

        fn read<'de, D>(kind: &str, fields: D) -> Result<ChatEvent, D::Error>
        where
            D: Deserializer<'de>,
        {
            Ok(match kind {
                $($kind => {
                    let mut event = super::$Struct::deserialize(fields)?;
                    // A second `type` would come out again beside the first.
                    event.extra.remove("type");
                    ChatEvent::$Variant(event.into())
                })+
                _ => {
                    let mut extra = Map::deserialize(fields)?;
                    extra.remove("type");
                    ChatEvent::Unknown(Unknown {
                        kind: kind.to_owned(),
                        extra,
                    })
                }
            })
        }
    };
}

types! {
    SessionInfo(SessionInfo) = "session_info",
    Text(Text) = "text",
    Thinking(Thinking) = "thinking",
    Source(Citation) = "source",
    Media(Media) = "media",
    ToolInput(ToolInput) = "tool_input",
    ToolCalls(ToolCalls) = "tool_calls",
    ToolResult(ToolResult) = "tool_result",
    ToolError(ToolError) = "tool_error",
    ToolProgress(ToolProgress) = "tool_progress",
    InputRequest(InputRequest) = "input_request",
    InputResolved(InputResolved) = "input_resolved",
    Turn(TurnEnd) = "turn",
    ProviderState(ProviderStateEvent) = "provider_state",
    IsomorphicHandoff(IsomorphicHandoff) = "isomorphic_handoff",
    ConversationState(ConversationStateEvent) = "conversation_state",
    Restarted(Restarted) = "restarted",
    Custom(Custom) = "custom",
    Complete(Complete) = "complete",
    Aborted(Aborted) = "aborted",
    Error(ErrorEvent) = "error",
}

impl ChatEvent {
    /// Appends the JSON of the event to `out`. It contains no raw line break, so it is one line of
    /// NDJSON and one `data:` line of SSE.
    pub fn write_json(&self, out: &mut BytesMut) {
        match self {
            Self::Text(text) if text.extra.is_empty() => {
                write_content(out, TextKind::Text, &text.content);
            }
            Self::Thinking(thinking) if thinking.extra.is_empty() => {
                write_content(out, TextKind::Thinking, &thinking.content);
            }
            other => write_value(out, other),
        }
    }

    /// Returns the JSON of the event.
    pub fn to_json(&self) -> BytesMut {
        let mut out = BytesMut::with_capacity(128);
        self.write_json(&mut out);
        out
    }
}

fn write_content(out: &mut BytesMut, kind: TextKind, content: &str) {
    let head = kind.head();
    out.reserve(head.len() + content.len() + 3);
    out.extend_from_slice(head);
    write_value(out, content);
    out.put_u8(b'}');
}

fn write_value<T>(out: &mut BytesMut, value: &T)
where
    T: Serialize + ?Sized,
{
    serde_json::to_writer(out.writer(), value)
        .expect("the keys are strings and a BytesMut takes every byte");
}

impl<'de> Deserialize<'de> for ChatEvent {
    fn deserialize<D>(deserializer: D) -> Result<Self, D::Error>
    where
        D: Deserializer<'de>,
    {
        deserializer.deserialize_map(EventVisitor)
    }
}

struct EventVisitor;

impl<'de> Visitor<'de> for EventVisitor {
    type Value = ChatEvent;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event: an object with a `type`")
    }

    fn visit_map<A>(self, mut map: A) -> Result<ChatEvent, A::Error>
    where
        A: MapAccess<'de>,
    {
        let Some(first) = map.next_key::<String>()? else {
            return Err(de::Error::missing_field("type"));
        };
        if first == "type" {
            let kind: String = map.next_value()?;
            return read(&kind, MapAccessDeserializer::new(map));
        }
        let mut fields = Map::new();
        fields.insert(first, map.next_value()?);
        while let Some((key, value)) = map.next_entry()? {
            fields.insert(key, value);
        }
        match fields.remove("type") {
            Some(Value::String(kind)) => {
                read(&kind, Value::Object(fields)).map_err(de::Error::custom)
            }
            Some(_) => Err(de::Error::custom("`type` is not a string")),
            None => Err(de::Error::missing_field("type")),
        }
    }
}

const _: () = {
    const fn owned<T: DeserializeOwned>() {}
    owned::<ChatEvent>();
    // Of 72 bytes, but for what a map is bigger where a dependency wants members in their order
    // (the feature `preserve_order` of serde_json).
    assert!(
        size_of::<ChatEvent>() <= 48 + size_of::<Map<String, Value>>(),
        "events are moved from layer to layer"
    );
};

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        chat::{
            Aborted, Capabilities, Complete, ConversationState, ErrorEvent, FinishReason,
            InputAction, InputOutcome, InputRequest, InputResolved, IsomorphicHandoff, Message,
            SessionInfo, Text, ToolAuthority, ToolCall, ToolCalls, ToolProgress, ToolResult, Usage,
        },
        log::ErrorCode,
    };

    fn rows() -> Vec<(ChatEvent, &'static str)> {
        let mut state = ConversationState::new([Message::user("Hi")]);
        state.assistant_content = "Let me look.".into();
        state.tool_calls = vec![ToolCall::new("1", "map", json!({}))];
        let mut marked = ToolCalls::new([]);
        marked.repeatable.push("1".into());
        marked.not_run.push("2".into());
        state.server_tool_results = vec![ToolResult::new("0", "now", "noon")];
        vec![
            (
                SessionInfo::new(Capabilities::new().tools(["now"]))
                    .persona("Ada")
                    .into(),
                r#"{"type":"session_info","capabilities":{"thinking":true,"streaming":true,"tools":["now"]},"persona":"Ada"}"#,
            ),
            (
                ChatEvent::session_info(Capabilities::new().thinking(false)),
                r#"{"type":"session_info","capabilities":{"thinking":false,"streaming":true,"tools":[]},"persona":null}"#,
            ),
            (ChatEvent::text("Hel"), r#"{"type":"text","content":"Hel"}"#),
            (
                ChatEvent::thinking("Hm"),
                r#"{"type":"thinking","content":"Hm"}"#,
            ),
            (
                ChatEvent::tool_calls([ToolCall::new("1", "add", json!({"a": 1}))]),
                r#"{"type":"tool_calls","calls":[{"id":"1","name":"add","arguments":{"a":1}}]}"#,
            ),
            (
                marked.into(),
                r#"{"type":"tool_calls","calls":[],"repeatable":["1"],"notRun":["2"]}"#,
            ),
            (
                ChatEvent::tool_result("1", "add", "2"),
                r#"{"type":"tool_result","id":"1","name":"add","content":"2"}"#,
            ),
            (
                ChatEvent::tool_error("1", "add", "no"),
                r#"{"type":"tool_error","id":"1","name":"add","message":"no"}"#,
            ),
            (
                IsomorphicHandoff::new("1", "map", json!({"x": 1}))
                    .server_output(json!([2]))
                    .authority(ToolAuthority::Server)
                    .uses_handoff(true)
                    .into(),
                r#"{"type":"isomorphic_handoff","callId":"1","toolName":"map","params":{"x":1},"serverOutput":[2],"authority":"server","usesHandoff":true}"#,
            ),
            (
                ChatEvent::conversation_state(state),
                r#"{"type":"conversation_state","conversationState":{"messages":[{"role":"user","content":"Hi"}],"assistantContent":"Let me look.","toolCalls":[{"id":"1","name":"map","arguments":{}}],"serverToolResults":[{"id":"0","name":"now","content":"noon"}]}}"#,
            ),
            (
                ChatEvent::restarted("the server died"),
                r#"{"type":"restarted","reason":"the server died"}"#,
            ),
            (
                ChatEvent::custom("mood", json!(7)),
                r#"{"type":"custom","name":"mood","data":7}"#,
            ),
            (
                ChatEvent::complete(),
                r#"{"type":"complete","finishReason":"stop"}"#,
            ),
            (
                Complete::new()
                    .text("Hello")
                    .usage(Usage::new(3, 4))
                    .finish_reason(FinishReason::Length)
                    .into(),
                r#"{"type":"complete","text":"Hello","usage":{"inputTokens":3,"outputTokens":4},"finishReason":"length"}"#,
            ),
            (ChatEvent::aborted(), r#"{"type":"aborted"}"#),
            (
                Aborted::new().reason("enough").into(),
                r#"{"type":"aborted","reason":"enough"}"#,
            ),
            (
                ErrorEvent::new(ErrorCode::Limit, "too long")
                    .recoverable(true)
                    .into(),
                r#"{"type":"error","message":"too long","recoverable":true,"code":"limit"}"#,
            ),
        ]
    }

    fn rows_of_running_tools() -> Vec<(ChatEvent, &'static str)> {
        vec![
            (
                ToolProgress::new("1", "add")
                    .message("adding")
                    .progress(1.0, Some(2.0))
                    .into(),
                r#"{"type":"tool_progress","id":"1","name":"add","message":"adding","progress":1.0,"total":2.0}"#,
            ),
            (
                ToolProgress::new("1", "add").into(),
                r#"{"type":"tool_progress","id":"1","name":"add"}"#,
            ),
            (
                ToolProgress::new("1", "add").repeatable(true).into(),
                r#"{"type":"tool_progress","id":"1","name":"add","repeatable":true}"#,
            ),
            (
                InputRequest::approval("a.1".parse().unwrap(), "Pay?")
                    .tool_call("1", "pay", json!({"sum": 7}))
                    .timeout(std::time::Duration::from_secs(60))
                    .into(),
                r#"{"type":"input_request","inputId":"a.1","kind":"approval","message":"Pay?","callId":"1","toolName":"pay","params":{"sum":7},"timeoutMs":60000}"#,
            ),
            (
                InputRequest::question("q".parse().unwrap(), "When?")
                    .schema(json!({"type": "string"}))
                    .into(),
                r#"{"type":"input_request","inputId":"q","kind":"question","message":"When?","schema":{"type":"string"}}"#,
            ),
            (
                InputRequest::approval("a".parse().unwrap(), "Pay?")
                    .before_call(true)
                    .into(),
                r#"{"type":"input_request","inputId":"a","kind":"approval","message":"Pay?","beforeCall":true}"#,
            ),
            (
                InputResolved::new("q".parse().unwrap(), InputAction::Accept).into(),
                r#"{"type":"input_resolved","inputId":"q","action":"accept"}"#,
            ),
            (
                InputResolved::new("q".parse().unwrap(), InputOutcome::Timeout).into(),
                r#"{"type":"input_resolved","inputId":"q","action":"timeout"}"#,
            ),
        ]
    }

    #[test]
    fn every_event_has_exactly_the_json_of_the_protocol() {
        for (event, wire) in rows().into_iter().chain(rows_of_running_tools()) {
            assert_eq!(event.to_json(), wire);
            assert_eq!(serde_json::to_string(&event).unwrap(), wire);
            assert_eq!(serde_json::from_str::<ChatEvent>(wire).unwrap(), event);
            assert!(wire.starts_with(&format!(r#"{{"type":"{}""#, event.kind())));
        }
    }

    #[test]
    fn unknown_fields_of_every_event_come_out_again() {
        for (_, wire) in rows().into_iter().chain(rows_of_running_tools()) {
            let mut more: Map<String, Value> = serde_json::from_str(wire).unwrap();
            more.insert("later".into(), json!({"version": [2, null]}));
            let event: ChatEvent = serde_json::from_value(Value::Object(more.clone())).unwrap();
            let written: Map<String, Value> = serde_json::from_slice(&event.to_json()).unwrap();
            assert_eq!(written, more);
        }
    }

    #[test]
    fn an_event_of_an_unknown_type_is_kept_whole() {
        let wire = r#"{"type":"telepathy","from":"afar","strength":0.5}"#;
        let event: ChatEvent = serde_json::from_str(wire).unwrap();
        assert!(matches!(&event, ChatEvent::Unknown(unknown) if unknown.kind == "telepathy"));
        assert_eq!(event.kind(), "telepathy");
        assert!(!event.is_terminal());
        assert_eq!(event.to_json(), wire);
    }

    #[test]
    fn the_type_may_stand_anywhere_but_must_be_there_once() {
        let read = |text| serde_json::from_str::<ChatEvent>(text);
        assert_eq!(
            read(r#"{"content":"Hel","type":"text"}"#).unwrap(),
            ChatEvent::text("Hel")
        );
        assert!(read(r#"{"content":"Hel"}"#).is_err());
        assert!(read("{}").is_err());
        assert!(read(r#"{"type":7}"#).is_err());
        assert!(read(r#""text""#).is_err());
        for twice in [
            r#"{"type":"text","content":"Hel","type":"complete"}"#,
            r#"{"type":"later","type":"complete"}"#,
        ] {
            let written = read(twice).unwrap().to_json();
            assert_eq!(
                std::str::from_utf8(&written)
                    .unwrap()
                    .matches("type")
                    .count(),
                1
            );
        }
    }

    #[test]
    fn a_known_type_of_the_wrong_shape_is_refused() {
        for wrong in [
            r#"{"type":"text"}"#,
            r#"{"type":"text","content":7}"#,
            r#"{"type":"error","message":"no","code":"shrug"}"#,
            r#"{"type":"input_request","inputId":"a/b","kind":"approval","message":"Pay?"}"#,
        ] {
            assert!(serde_json::from_str::<ChatEvent>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_event_is_one_line_with_any_content() {
        let awkward = "a\nb\r\nc\u{2028}d\u{85}\"\\\u{0}\u{7f}é😀";
        let mut with_extra = Text::new(awkward);
        with_extra.extra.insert("a\nb".into(), json!(awkward));
        for event in [
            ChatEvent::text(awkward),
            ChatEvent::thinking(awkward),
            with_extra.into(),
            ChatEvent::tool_result(awkward, awkward, awkward),
        ] {
            let json = event.to_json();
            assert!(!json.contains(&b'\n') && !json.contains(&b'\r'));
            assert_eq!(serde_json::from_slice::<ChatEvent>(&json).unwrap(), event);
        }
    }

    #[test]
    fn only_the_three_endings_are_terminal() {
        for (event, _) in rows().into_iter().chain(rows_of_running_tools()) {
            let ends = matches!(event.kind(), "complete" | "aborted" | "error");
            assert_eq!(event.is_terminal(), ends, "{}", event.kind());
        }
    }
}
