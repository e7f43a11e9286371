use serde_json::{Value, json};

use super::UiMessageFold;
use crate::{
    chat::{
        Aborted, ChatEvent, Citation, Complete, ErrorEvent, FinishReason, InputId, InputRequest,
        Media, ProviderState, ProviderStateEvent, StateOf, TextSpan, ToolCall, ToolInput, TurnEnd,
        Usage,
    },
    dialect::ai_sdk::chunk::{ChunkSink, DeltaKind, UiChunk, delta},
    log::ErrorCode,
};

#[derive(Default)]
struct Chunks(Vec<Value>);

impl ChunkSink for Chunks {
    fn chunk(&mut self, chunk: &UiChunk<'_>) {
        self.0.push(serde_json::to_value(chunk).unwrap());
    }

    fn delta(&mut self, kind: DeltaKind, id: &str, json: &[u8]) {
        let mut out = bytes::BytesMut::new();
        delta(kind, id, json, &mut out);
        self.0.push(serde_json::from_slice(&out).unwrap());
    }
}

/// Returns the chunks after the start of the first step.
fn chunks(events: &[ChatEvent]) -> Vec<Value> {
    let (mut fold, mut chunks) = (UiMessageFold::new(), Chunks::default());
    for event in events {
        fold.push_event(event, &mut chunks);
    }
    chunks.0.split_off(2)
}

fn types(events: &[ChatEvent]) -> String {
    let types = chunks(events).into_iter();
    let types: Vec<_> = types
        .map(|chunk| chunk["type"].as_str().unwrap().to_owned())
        .collect();
    types.join(" ")
}

fn call(id: &str) -> ToolCall {
    ToolCall::new(id, "now", json!({}))
}

fn state(data: i32) -> ProviderState {
    ProviderState::new("vendor", json!({"signature": data}))
}

fn metadata(data: i32) -> Value {
    json!({"unbroken": {"providerState":
        {"provider": "vendor", "data": {"signature": data}}}})
}

#[test]
fn a_text_goes_on_around_its_sources() {
    let cited = Citation::link("s1", "https://example.com")
        .title("A page")
        .quote("cited")
        .at(TextSpan::new(0, 3));
    assert_eq!(
        chunks(&[
            ChatEvent::text("Hel"),
            cited.into(),
            Citation::document("s2").into(),
            ChatEvent::text("lo"),
        ]),
        [
            json!({"type": "text-start", "id": "t1"}),
            json!({"type": "text-delta", "id": "t1", "delta": "Hel"}),
            json!({"type": "source-url", "sourceId": "s1", "url": "https://example.com",
                "title": "A page",
                "providerMetadata": {"unbroken": {"quote": "cited", "at": {"start": 0, "end": 3}}}}),
            json!({"type": "source-document", "sourceId": "s2", "title": "s2",
                "mediaType": "application/octet-stream"}),
            json!({"type": "text-delta", "id": "t1", "delta": "lo"}),
        ]
    );
}

#[test]
fn a_file_stands_between_the_texts_around_it() {
    let picture = Media::new("image/png", [0]).name("cat.png");
    let events = [ChatEvent::text("a"), picture.into(), ChatEvent::text("b")];
    assert_eq!(
        chunks(&events)[2..5],
        [
            json!({"type": "text-end", "id": "t1"}),
            json!({"type": "file", "mediaType": "image/png", "url": "data:image/png;base64,AA==",
                "providerMetadata": {"unbroken": {"name": "cat.png"}}}),
            json!({"type": "text-start", "id": "t2"}),
        ]
    );
}

#[test]
fn arguments_are_streamed_before_their_call() {
    assert_eq!(
        chunks(&[
            ToolInput::new("c1", "{").name("now").into(),
            ToolInput::new("c1", "}").into(),
            ToolInput::new("nameless", "{").into(),
            ChatEvent::tool_calls([call("c1"), call("c2")]),
            ToolInput::new("c1", "late").name("now").into(),
        ]),
        [
            json!({"type": "tool-input-start", "toolCallId": "c1", "toolName": "now"}),
            json!({"type": "tool-input-delta", "toolCallId": "c1", "inputTextDelta": "{"}),
            json!({"type": "tool-input-delta", "toolCallId": "c1", "inputTextDelta": "}"}),
            json!({"type": "tool-input-available", "toolCallId": "c1", "toolName": "now",
                "input": {}}),
            json!({"type": "tool-input-available", "toolCallId": "c2", "toolName": "now",
                "input": {}}),
        ]
    );
}

#[test]
fn a_call_that_never_comes_fails_by_the_end_of_its_turn() {
    let announced = || -> ChatEvent { ToolInput::new("c1", "{").name("now").into() };
    let error = "tool-input-start tool-input-delta tool-input-error";
    for (end, more) in [
        (TurnEnd::default().into(), ""),
        (ChatEvent::complete(), " finish-step finish"),
        (ChatEvent::aborted(), " finish-step abort finish"),
    ] {
        assert_eq!(types(&[announced(), end]), format!("{error}{more}"));
    }
    let failed = chunks(&[announced(), TurnEnd::default().into()]).pop();
    assert_eq!(
        failed.unwrap()["providerMetadata"],
        json!({"unbroken": {"incomplete": true}})
    );
}

#[test]
fn a_turn_ends_its_step_and_an_outcome_belongs_to_it() {
    assert_eq!(
        types(&[
            ChatEvent::text("a"),
            ChatEvent::tool_calls([call("c1")]),
            TurnEnd::default().into(),
            ChatEvent::tool_result("c1", "now", "noon"),
            ToolInput::new("c2", "").name("now").into(),
            ChatEvent::tool_calls([call("c2")]),
            TurnEnd::default().into(),
            ChatEvent::thinking("b"),
            TurnEnd::default().into(),
            ChatEvent::complete(),
        ]),
        "text-start text-delta text-end tool-input-available tool-output-available \
         finish-step start-step tool-input-start tool-input-available \
         finish-step start-step reasoning-start reasoning-delta reasoning-end \
         finish-step finish"
    );
}

#[test]
fn an_open_approval_keeps_its_step() {
    let approval = InputRequest::approval(InputId::random(), "May I?");
    let types = types(&[
        ChatEvent::tool_calls([call("c1"), call("c2")]),
        TurnEnd::default().into(),
        approval.tool_call("c1", "now", json!({})).into(),
        ChatEvent::text("a"),
    ]);
    assert!(!types.contains("start-step"), "{types}");
}

#[test]
fn provider_state_is_metadata_of_its_reasoning_or_call() {
    let of = |of: StateOf, data: i32| ChatEvent::from(ProviderStateEvent::new(of, state(data)));
    let of_call = |id: &str| StateOf::Call(id.into());
    let mut own = call("c2");
    own.provider_state = Some(state(4));
    assert_eq!(
        chunks(&[
            ChatEvent::thinking("Hm."),
            of(StateOf::Turn, 1),
            of(StateOf::Turn, 2),
            of(of_call("c1"), 3),
            of(StateOf::Stream, 9),
            ChatEvent::tool_calls([call("c1"), own, call("c3")]),
            of(of_call("c3"), 5),
        ])[2..],
        [
            json!({"type": "reasoning-end", "id": "r1", "providerMetadata": metadata(1)}),
            json!({"type": "reasoning-start", "id": "r2"}),
            json!({"type": "reasoning-end", "id": "r2", "providerMetadata": metadata(2)}),
            json!({"type": "tool-input-available", "toolCallId": "c1", "toolName": "now",
                "input": {}, "providerMetadata": metadata(3)}),
            json!({"type": "tool-input-available", "toolCallId": "c2", "toolName": "now",
                "input": {}, "providerMetadata": metadata(4)}),
            json!({"type": "tool-input-available", "toolCallId": "c3", "toolName": "now",
                "input": {}}),
            json!({"type": "data-provider-state", "id": "c3",
                "data": {"provider": "vendor", "data": {"signature": 5}}}),
        ]
    );
}

#[test]
fn usage_and_model_are_metadata_of_every_turn_and_ending() {
    let turn = |usage| ChatEvent::from(TurnEnd::default().usage(usage).model("m-1"));
    let usage = |input: u64, output: u64| json!({"inputTokens": input, "outputTokens": output});
    let one = chunks(&[turn(Usage::new(5, 2))]);
    assert_eq!(
        one,
        [json!({"type": "message-metadata",
            "messageMetadata": {"usage": usage(5, 2), "model": "m-1"}})]
    );
    let both = Usage::new(14, 5);
    for (end, told) in [
        (ChatEvent::complete(), usage(14, 5)),
        (Complete::new().usage(Usage::new(1, 1)).into(), usage(1, 1)),
        (ChatEvent::aborted(), usage(14, 5)),
        (Aborted::new().usage(both.clone()).into(), usage(14, 5)),
        (ChatEvent::error(ErrorCode::Timeout, "late"), usage(14, 5)),
        (
            ErrorEvent::new(ErrorCode::Provider, "no")
                .usage(Usage::new(2, 0))
                .into(),
            usage(2, 0),
        ),
    ] {
        let events = [turn(Usage::new(5, 2)), turn(Usage::new(9, 3)), end];
        let finish = chunks(&events).pop().unwrap();
        assert_eq!(finish["type"], "finish");
        let expected = json!({"usage": told, "model": "m-1"});
        assert_eq!(finish["messageMetadata"], expected);
    }
    let bare = TurnEnd::new(FinishReason::Stop).into();
    let nothing = chunks(&[bare, ChatEvent::complete()]);
    let finish = json!({"type": "finish", "finishReason": "stop"});
    assert_eq!(nothing, [json!({"type": "finish-step"}), finish]);
}
