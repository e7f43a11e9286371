use proptest::{collection::vec, prelude::*};
use serde_json::json;
use unbroken::{
    chat::{
        Capabilities, ChatEvent, Citation, Complete, Content, ConversationState, Custom,
        ErrorEvent, FinishReason, InputAction, InputRequest, InputResolved, IsomorphicHandoff,
        Media, Message, Part, ProviderState, ProviderStateEvent, SessionInfo, StateOf, TextSpan,
        ToolCall, ToolInput, TurnEnd, Usage,
    },
    log::{Chunk, ChunkBuilder, Epoch, ErrorCode, Lsn},
};

/// Generates full logs: `session_info`, any events, and one of the endings.
pub(crate) fn log() -> impl Strategy<Value = Vec<ChatEvent>> {
    (first(), vec(event(), 0..24), ending()).prop_map(|(first, mut events, ending)| {
        events.insert(0, first);
        events.push(ending);
        events
    })
}

fn first() -> impl Strategy<Value = ChatEvent> {
    any::<bool>().prop_map(|noted| {
        let mut info = SessionInfo::new(Capabilities::new());
        if noted {
            let notes = json!({
                "messageId": "message-1",
                "calls": ["a", "b"],
                "parts": [
                    {"type": "step-start"},
                    {"type": "text", "text": "Before."},
                    {"type": "tool-now", "toolCallId": "a", "state": "output-available",
                        "input": {}, "output": "noon"},
                ],
            });
            info.extra.insert("aiSdk".into(), notes);
            let messages = json!([{"id": "u1", "role": "user", "content": "Hi"}]);
            info.extra
                .insert("agUi".into(), json!({"messages": messages}));
            info.capabilities.client_tools = vec!["map".to_owned()];
        }
        info.into()
    })
}

fn event() -> impl Strategy<Value = ChatEvent> {
    let id = "[a-d]";
    // Few ids, so that questions are also resolved.
    let input = "p{22}|q{22}|r{22}";
    prop_oneof![
        8 => "\\PC{0,8}".prop_map(ChatEvent::text),
        2 => "[\"\\\\\n\u{0}\u{2028}a]{1,4}".prop_map(ChatEvent::text),
        4 => "\\PC{0,8}".prop_map(ChatEvent::thinking),
        3 => vec(id, 1..3).prop_map(|ids| {
            ChatEvent::tool_calls(ids.iter().map(|id| ToolCall::new(id, "now", json!({"in": id}))))
        }),
        3 => (id, "\\PC{0,8}").prop_map(|(id, output)| ChatEvent::tool_result(id, "now", output)),
        1 => id.prop_map(|id| ChatEvent::tool_result(id, "now", r#"{"hour": 12}"#)),
        1 => (id, shown()).prop_map(|(id, shown)| ChatEvent::tool_result(id, "now", shown)),
        1 => id.prop_map(|id| ChatEvent::tool_error(id, "now", "no clock")),
        1 => id.prop_map(|id| ChatEvent::isomorphic_handoff(id, "map", json!({"zoom": 3}))),
        1 => id.prop_map(|id| IsomorphicHandoff::new(id, "map", json!({}))
            .server_output(json!([1]))
            .uses_handoff(true)
            .into()),
        1 => Just(ChatEvent::conversation_state(ConversationState::new([Message::user("Hi")]))),
        2 => "\\PC{0,8}".prop_map(|data| ChatEvent::custom("mood", json!({"is": data}))),
        1 => id.prop_map(|id| {
            let mut custom = Custom::new("progress", json!(0.5));
            custom.extra.insert("id".into(), id.into());
            custom.into()
        }),
        3 => (input, id).prop_map(|(input, call)| {
            InputRequest::approval(input.parse().unwrap(), "May I?")
                .tool_call(call, "now", json!({}))
                .into()
        }),
        1 => input.prop_map(|input| {
            InputRequest::question(input.parse().unwrap(), "Which?").into()
        }),
        2 => input.prop_map(|input| {
            InputResolved::new(input.parse().unwrap(), InputAction::Accept).into()
        }),
        1 => input.prop_map(|input| {
            InputResolved::new(input.parse().unwrap(), InputAction::Decline).into()
        }),
        5 => content(),
        1 => Just(ChatEvent::restarted("again")),
        1 => Just(serde_json::from_value(json!({"type": "from_the_future", "x": 1})).unwrap()),
    ]
}

/// Generates a result with media.
fn shown() -> impl Strategy<Value = Content> {
    let part = prop_oneof![
        "\\PC{1,4}".prop_map(|text| Part::Text { text }),
        "\\PC{0,8}".prop_map(|name| Media::new("image/png", &name).name(name).into()),
        Just(Media::link("image/*", "https://example.com/a").into()),
        Just(Media::new("application/pdf", "pdf").name("a.pdf").into()),
    ];
    vec(part, 1..4).prop_map(Content::from)
}

/// Generates what belongs to a turn beside its text and calls.
fn content() -> impl Strategy<Value = ChatEvent> {
    let id = "[a-d]";
    let state = |of: StateOf, data: &str| {
        let state = ProviderState::new("vendor", json!({"signature": data}));
        ChatEvent::from(ProviderStateEvent::new(of, state))
    };
    prop_oneof![
        2 => "[a-c]".prop_map(|id| {
            let link = Citation::link(&id, "https://example.com/\"a\"").title("A page");
            link.quote("cited").at(TextSpan::new(0, 3)).into()
        }),
        1 => "[a-c]".prop_map(|id| Citation::document(id).into()),
        2 => "\\PC{0,8}".prop_map(|name| Media::new("image/png", &name).name(name).into()),
        1 => Just(Media::link("audio/mp3", "https://example.com/a.mp3").into()),
        2 => (id, "\\PC{0,8}").prop_map(|(id, delta)| {
            ToolInput::new(id, delta).name("now").into()
        }),
        2 => (id, "\\PC{0,8}").prop_map(|(id, delta)| ToolInput::new(id, delta).into()),
        2 => Just(TurnEnd::new(FinishReason::Stop).into()),
        2 => (0_u64..9).prop_map(|tokens| {
            let end = TurnEnd::new(FinishReason::ToolCalls).usage(Usage::new(tokens, 1));
            end.model(format!("model-{tokens}")).into()
        }),
        3 => "\\PC{0,8}".prop_map(move |data| state(StateOf::Turn, &data)),
        1 => ("[abd]", "\\PC{0,8}").prop_map(move |(id, data)| state(StateOf::Call(id), &data)),
        1 => Just(state(StateOf::Stream, "cursor")),
    ]
}

fn ending() -> impl Strategy<Value = ChatEvent> {
    prop_oneof![
        Just(ChatEvent::complete()),
        Just(
            Complete::new()
                .text("whole")
                .usage(Usage::new(1, 2))
                .finish_reason(FinishReason::ToolCalls)
                .into()
        ),
        Just(Complete::new().finish_reason(FinishReason::Length).into()),
        Just(ChatEvent::aborted()),
        Just(
            unbroken::chat::Aborted::new()
                .reason("enough")
                .usage(Usage::new(3, 4))
                .into()
        ),
        Just(
            ErrorEvent::new(ErrorCode::Provider, "The \"model\" failed.")
                .recoverable(true)
                .into()
        ),
        Just(ChatEvent::error(ErrorCode::Internal, "no")),
    ]
}

/// Returns the events as records, in chunks that end where `cuts` is true.
pub(crate) fn chunks(events: &[ChatEvent], cuts: &[bool]) -> Vec<Chunk> {
    let epoch = Epoch {
        counter: 1,
        bits: 7,
    };
    let (mut chunks, mut batch, mut first) = (Vec::new(), ChunkBuilder::new(), Lsn::new(1));
    for (at, event) in events.iter().enumerate() {
        batch.push(&event.to_json());
        let last = at + 1 == events.len();
        if last || cuts.get(at % cuts.len().max(1)).copied().unwrap_or(false) {
            let chunk = batch.take(first, epoch).expect("it has a record");
            first = chunk.last().next();
            chunks.push(chunk);
        }
    }
    chunks
}
