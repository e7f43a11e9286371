//! Pictures, reasoning and provider state over the protocol of the AI SDK: what the client sends reaches
//! the provider, and what the provider sent comes back with the next message.

use std::sync::{Arc, Mutex};

use axum::body::{Body, to_bytes};
use futures_util::stream;
use http::{Request, StatusCode, header::CONTENT_TYPE};
use serde_json::{Value, json};
use tower::ServiceExt;
use tower_layer::Layer;
use unbroken::{
    access::AnyoneWithTheId,
    chat::{
        ChatEvent, ChatRequest, Content, Media, MediaDetail, Message, ProviderError, ProviderState,
        ProviderStateEvent, Role, StateOf, ToolCall, Transcript, TurnEnd, provider_fn,
    },
    dialect::{AiSdk, ai_sdk::UiMessage},
    durable::{ClientFields, ClientMedia, DurableLayer},
    session::Sessions,
};

type Seen = Arc<Mutex<Vec<ChatRequest>>>;

/// Sends a body to a provider that answers with these events. Returns the status, the text of the response,
/// and the requests that the provider got.
async fn post(body: &Value, events: Vec<ChatEvent>) -> (StatusCode, String, Vec<ChatRequest>) {
    let seen = Seen::default();
    let provider = {
        let seen = seen.clone();
        provider_fn(move |request| {
            seen.lock().unwrap().push(request);
            stream::iter(events.clone().into_iter().map(Ok::<_, ProviderError>))
        })
    };
    let chat = DurableLayer::new(Sessions::in_memory(), AnyoneWithTheId::new())
        .secret_chat_ids()
        .client_fields(
            ClientFields::nothing()
                .history(1024 * 1024)
                .media(ClientMedia::of(["*/*"]).links()),
        )
        .dialect(AiSdk::new())
        .layer(provider);
    let request = Request::post("/").header(CONTENT_TYPE, "application/json");
    let request = request.body(Body::from(body.to_string())).unwrap();
    let response = chat.oneshot(request).await.unwrap();
    let status = response.status();
    let bytes = to_bytes(Body::new(response.into_body()), usize::MAX).await;
    let text = String::from_utf8(bytes.unwrap().to_vec()).unwrap();
    let seen = seen.lock().unwrap().clone();
    (status, text, seen)
}

fn asks(messages: &Value) -> Value {
    json!({"id": "chat-0123456789-0123456789", "trigger": "submit-message", "messages": messages})
}

#[tokio::test]
async fn a_picture_of_the_user_reaches_the_provider_byte_for_byte() {
    let bytes: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    let picture = Media::new("image/png", &bytes);
    let (status, _, seen) = post(
        &asks(&json!([{"id": "m1", "role": "user", "parts": [
            {"type": "text", "text": "What is this?"},
            {"type": "file", "mediaType": "image/png", "filename": "cat.png", "url": picture.url},
        ]}])),
        vec![ChatEvent::complete()],
    )
    .await;
    assert_eq!(status, StatusCode::OK);
    let content = Content::new()
        .text("What is this?")
        .media(picture.name("cat.png"));
    assert_eq!(seen[0].messages, [Message::user(content)]);
    let media = seen[0].messages[0].content.all_media().next().unwrap();
    assert_eq!(media.to_bytes().unwrap(), bytes);
}

#[tokio::test]
async fn a_part_that_can_not_be_carried_is_refused_before_the_provider_is_called() {
    for part in [
        json!({"type": "custom", "kind": "openai.item"}),
        json!({"type": "file", "mediaType": "image/png", "url": "blob:https://a.b/c"}),
    ] {
        let message = json!({"id": "m1", "role": "user", "parts": [part]});
        let (status, text, seen) = post(&asks(&json!([message])), Vec::new()).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
        let kind = part["type"].as_str().unwrap();
        let problem: Value = serde_json::from_str(&text).unwrap();
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("messages[0].parts[0]"), "{detail}");
        assert!(detail.contains(kind), "{detail}");
        assert_eq!(seen.len(), 0);
    }
}

#[tokio::test]
async fn the_next_request_hands_the_turns_of_a_stored_answer_back() {
    let state = |data: i32| ProviderState::new("vendor", json!({"signature": data}));
    let of_turn = |data: i32| ChatEvent::from(ProviderStateEvent::new(StateOf::Turn, state(data)));
    let mut call = ToolCall::new("c1", "now", json!({"zone": "UTC"}));
    call.provider_state = Some(state(2));
    let other = ToolCall::new("c2", "now", json!({}));
    let of_other = ProviderStateEvent::new(StateOf::Call("c2".into()), state(3));
    let transcript: Transcript = [
        ChatEvent::thinking("Hm."),
        of_turn(1),
        ChatEvent::text("Let me look. "),
        ChatEvent::tool_calls([call, other]),
        of_other.into(),
        TurnEnd::default().into(),
        ChatEvent::tool_result("c1", "now", r#"{"hour":12}"#),
        ChatEvent::tool_error("c2", "now", "no clock"),
        ChatEvent::thinking("So."),
        ChatEvent::text("It is noon: "),
        Media::new("image/png", [1, 2, 3]).name("clock.png").into(),
        of_turn(4),
        TurnEnd::default().into(),
        ChatEvent::complete(),
    ]
    .iter()
    .collect();
    let stored = UiMessage::from_transcript("m2", &transcript);
    let asked = asks(&json!([
        {"id": "m1", "role": "user", "parts": [{"type": "text", "text": "When?"}]},
        stored,
        UiMessage::new("m3", Role::User, "And?"),
    ]));
    let (status, text, seen) = post(&asked, vec![ChatEvent::complete()]).await;
    assert_eq!(status, StatusCode::OK, "{text}");
    let turns = transcript.messages();
    assert_eq!(turns.len(), 4);
    assert_eq!(seen[0].messages[1..5], turns);
    assert_eq!(stored.messages(), turns);
}

#[tokio::test]
async fn media_in_results_are_files_that_go_back_into_their_results() {
    let call = |id: &str| ToolCall::new(id, "draw", json!({}));
    let png = |of: u8| Media::new("image/png", [of, 1, 2]).name(format!("{of}.png"));
    let between = Content::new()
        .text("a")
        .media(png(1))
        .text("b")
        .media(png(2));
    let alone = Content::from(png(3));
    let transcript: Transcript = [
        ChatEvent::tool_calls([call("c1"), call("c2"), call("c3")]),
        ChatEvent::tool_result("c2", "draw", alone),
        ChatEvent::tool_result("c1", "draw", between),
        ChatEvent::tool_result("c3", "draw", "none"),
        ChatEvent::text("There: "),
        png(4).into(),
        ChatEvent::complete(),
    ]
    .iter()
    .collect();
    let stored = UiMessage::from_transcript("m2", &transcript);
    let kinds: Vec<_> = stored
        .parts
        .iter()
        .map(|part| part["type"].as_str())
        .collect();
    let of_kind = |kind: &str| kinds.iter().filter(|it| **it == Some(kind)).count();
    assert_eq!((of_kind("tool-draw"), of_kind("file")), (3, 4), "{kinds:?}");
    assert_eq!(stored.messages(), transcript.messages());
    let asked = asks(&json!([
        {"id": "m1", "role": "user", "parts": [{"type": "text", "text": "Draw."}]},
        stored,
        UiMessage::new("m3", Role::User, "And?"),
    ]));
    let (status, text, seen) = post(&asked, vec![ChatEvent::complete()]).await;
    assert_eq!(status, StatusCode::OK, "{text}");
    assert_eq!(seen[0].messages[1..6], transcript.messages());
}

#[test]
fn media_keep_their_place_where_the_text_of_a_result_is_json() {
    let png = |of: u8| Media::new("image/png", [of, 1, 2]).detail(MediaDetail::High);
    let json = |text: &str| Content::new().text(text);
    // The SDK has JSON as a value, which is written anew.
    let (given, back) = (r#"{"a": 1e5}"#, r#"{"a":100000.0}"#);
    for (content, again) in [
        (
            json(given).media(png(1)).media(png(2)),
            json(back).media(png(1)).media(png(2)),
        ),
        (
            json("").media(png(1)).text(given).media(png(2)),
            json("").media(png(1)).text(back).media(png(2)),
        ),
        (
            json("[1e5,").media(png(1)).text("2]"),
            json("[1e5,").media(png(1)).text("2]"),
        ),
    ] {
        let transcript: Transcript = [
            ChatEvent::tool_calls([ToolCall::new("c1", "draw", json!({}))]),
            ChatEvent::tool_result("c1", "draw", content),
            Media::new("image/png", b"a")
                .detail(MediaDetail::Low)
                .into(),
            ChatEvent::complete(),
        ]
        .iter()
        .collect();
        let read = UiMessage::from_transcript("m", &transcript).messages();
        assert_eq!(read[1], Message::tool("c1", again));
        assert_eq!(read[2..], transcript.messages()[2..]);
    }
}

#[tokio::test]
async fn a_file_in_the_result_of_no_call_is_of_the_message() {
    let file = json!({"type": "file", "mediaType": "image/png", "url": "data:image/png;base64,AAAA",
        "providerMetadata": {"unbroken": {"toolCallId": "c1", "at": 0}}});
    let asked = asks(&json!([
        {"id": "m1", "role": "user", "parts": [{"type": "text", "text": "Draw."}]},
        {"id": "m2", "role": "assistant", "parts": [
            {"type": "tool-draw", "toolCallId": "c1", "state": "output-error", "input": {},
             "errorText": "no ink"},
            file, {"type": "text", "text": "There."}]},
        UiMessage::new("m3", Role::User, "And?"),
    ]));
    let (status, text, seen) = post(&asked, vec![ChatEvent::complete()]).await;
    assert_eq!(status, StatusCode::OK, "{text}");
    assert_eq!(seen[0].messages[1].content.all_media().count(), 1);
    assert_eq!(seen[0].messages[2], Message::tool_failed("c1", "no ink"));
}

#[tokio::test]
async fn what_is_closed_is_refused_in_the_words_of_the_sdk() {
    let ann = |_: &mut http::request::Parts| Some(unbroken::log::Owner::new("ann"));
    let chat = DurableLayer::new(
        Sessions::in_memory(),
        unbroken::access::OnlyTheOwner::new(ann),
    )
    .dialect(AiSdk::new())
    .layer(provider_fn(|_: ChatRequest| {
        stream::iter([Ok::<_, ProviderError>(ChatEvent::complete())])
    }));
    let file = Media::new("image/png", b"png");
    let file = json!({"type": "file", "mediaType": "image/png", "url": file.url});
    let text = json!({"type": "text", "text": "Hi"});
    for (part, setting, word) in [
        (file, json!({}), "`file`"),
        (
            text.clone(),
            json!({"stopSequences": ["."]}),
            "`stopSequences`",
        ),
        (text, json!({"maxOutputTokens": 5}), "`maxOutputTokens`"),
    ] {
        let mut body = asks(&json!([{"id": "m1", "role": "user", "parts": [part]}]));
        let fields = setting.as_object().unwrap().clone();
        body.as_object_mut().unwrap().extend(fields);
        let request = Request::post("/").header(CONTENT_TYPE, "application/json");
        let request = request.body(Body::from(body.to_string())).unwrap();
        let response = chat.clone().oneshot(request).await.unwrap();
        assert_eq!(
            response.status(),
            StatusCode::UNPROCESSABLE_ENTITY,
            "{word}"
        );
        let bytes = to_bytes(Body::new(response.into_body()), usize::MAX).await;
        let text = String::from_utf8(bytes.unwrap().to_vec()).unwrap();
        assert!(text.contains(word), "{text}");
    }
}
