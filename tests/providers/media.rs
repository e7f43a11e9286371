//! Media that a model makes, byte for byte.

use base64::{Engine, engine::general_purpose::STANDARD};
use futures_util::StreamExt;
use serde_json::{Value, json};
use tower::ServiceExt;
use unbroken::{
    chat::{ChatEvent, ChatRequest, Complete, FinishReason, Media, Usage},
    provider::{Ollama, OpenAi},
};

use crate::{
    cut_short::{Recording, never_a_clean_success},
    stub::{Step, Stub, data, delta, done, finish, ok, refusal, serve},
};

const RECORDED: &str = include_str!("recorded/media.sse");

fn openai(stub: &Stub) -> OpenAi {
    let builder = OpenAi::builder().base_url(stub.url("/v1")).model("m");
    builder.retries(0).build().unwrap()
}

async fn ask(provider: OpenAi) -> Result<Vec<ChatEvent>, String> {
    let stream = provider.oneshot(ChatRequest::from_user("Draw")).await;
    let mut stream = stream.map_err(|error| error.to_string())?;
    let mut events = Vec::new();
    while let Some(event) = stream.next().await {
        match event.map_err(|error| error.to_string())? {
            ChatEvent::Turn(_) => {}
            event => events.push(event),
        }
    }
    Ok(events)
}

async fn answer(steps: Vec<Step>) -> Result<Vec<ChatEvent>, String> {
    ask(openai(&serve(steps).await)).await
}

fn media(events: &[ChatEvent]) -> Vec<Media> {
    let media = events.iter().filter_map(|event| match event {
        ChatEvent::Media(media) => Some(Media::clone(media)),
        _ => None,
    });
    media.collect()
}

/// All bytes that there are, after these.
fn bytes(begin: &[u8]) -> Vec<u8> {
    begin.iter().copied().chain(0..=255).collect()
}

fn recorded() -> Vec<ChatEvent> {
    let end = Complete::new().finish_reason(FinishReason::Stop);
    vec![
        ChatEvent::text("Here:"),
        Media::new("image/png", b"\x89PNG\r\n\x1a\n\x00\xff").into(),
        ChatEvent::text(" And:"),
        Media::link("image/webp", "https://example.com/a.webp").into(),
        ChatEvent::text(" Hel"),
        ChatEvent::text("lo"),
        Media::new("audio/flac", b"fLaC\x00\x01\x02\x03\x04\x05").into(),
        end.usage(Usage::new(3, 9)).into(),
    ]
}

#[tokio::test]
async fn a_recorded_answer_with_media_is_understood_and_is_no_success_when_it_is_cut() {
    let steps = vec![ok(), Step::Chunk(RECORDED.into()), Step::End];
    assert_eq!(answer(steps).await.unwrap(), recorded());
    let finish = RECORDED.rfind("\"finish_reason\":\"").unwrap();
    let last_of_sound = RECORDED.find("\"expires_at\"").unwrap();
    let end_of = |at: usize| at + RECORDED[at..].find("\n\n").unwrap();
    // The last piece of a sound ends an answer, but for the usage.
    assert!(end_of(last_of_sound) < finish);
    let recording = Recording {
        name: "media",
        body: RECORDED.as_bytes(),
        whole_at: end_of(last_of_sound),
        events: recorded(),
    };
    never_a_clean_success(&recording, |address| {
        OpenAi::builder()
            .base_url(format!("http://{address}/v1"))
            .model("m")
            .retries(0)
            .build()
            .unwrap()
    })
    .await;
}

#[tokio::test]
async fn pictures_come_byte_for_byte_from_a_stream_and_from_a_whole_completion() {
    let picture = Media::new("image/png", bytes(b"\x89PNG"));
    let images = json!([{"type": "image_url", "image_url": {"url": picture.url}}]);
    let piece = json!({"content": "Look", "images": images}).to_string();
    let streamed = vec![ok(), delta(&piece), finish("stop"), done(), Step::End];
    let whole = json!({"choices": [{"index": 0, "finish_reason": "stop", "message": {
        "role": "assistant", "content": "Look", "images": images,
    }}]});
    let whole = refusal(
        "200 OK",
        "content-type: application/json\r\n",
        &whole.to_string(),
    );
    for steps in [streamed, vec![whole]] {
        let events = answer(steps).await.unwrap();
        assert_eq!(events[0], ChatEvent::text("Look"));
        assert_eq!(media(&events), std::slice::from_ref(&picture));
        assert_eq!(events.len(), 3);
    }
}

#[tokio::test]
async fn a_sound_in_pieces_comes_as_one_file_of_the_format_that_was_asked_for() {
    let samples = bytes(b"");
    let text = STANDARD.encode(&samples);
    for size in [1, 3, 7, 1000] {
        let mut steps = vec![ok(), delta(r#"{"audio":{"id":"a","transcript":"Hi"}}"#)];
        for piece in text.as_bytes().chunks(size) {
            let piece = std::str::from_utf8(piece).unwrap();
            steps.push(delta(&json!({"audio": {"data": piece}}).to_string()));
        }
        steps.push(delta(r#"{"audio":{"expires_at":1}}"#));
        steps.extend([done(), Step::End]);
        let stub = serve(steps).await;
        let sound = json!({"voice": "alloy", "format": "pcm16"});
        let builder = OpenAi::builder().base_url(stub.url("/v1")).model("m");
        let provider = builder.retries(0).field("audio", sound).build().unwrap();
        let events = ask(provider).await.unwrap();
        assert_eq!(events[0], ChatEvent::text("Hi"));
        let [sound] = &media(&events)[..] else {
            panic!("{events:?}")
        };
        assert_eq!(sound.media_type, "audio/wav");
        assert_eq!(sound.to_bytes().unwrap()[44..], samples);
        assert_eq!(
            events[2],
            Complete::new().finish_reason(FinishReason::Stop).into()
        );
    }

    // Of a request, and in a whole completion.
    let sound = Media::new("audio/mpeg", bytes(b"mp3"));
    let whole = json!({"choices": [{"index": 0, "finish_reason": "stop", "message": {
        "role": "assistant", "content": null,
        "audio": {"id": "a", "data": sound.base64(), "expires_at": 1, "transcript": "Hi"},
    }}]});
    let json = "content-type: application/json\r\n";
    let mut stub = serve(vec![refusal("200 OK", json, &whole.to_string())]).await;
    let mut request = ChatRequest::from_user("Say");
    let fields = &mut request.options.provider_fields;
    fields.insert("audio".into(), json!({"format": "mp3"}));
    let events: Vec<_> = openai(&stub)
        .oneshot(request)
        .await
        .unwrap()
        .collect()
        .await;
    let events: Vec<_> = events.into_iter().map(Result::unwrap).collect();
    assert_eq!(events[0], ChatEvent::text("Hi"));
    assert_eq!(media(&events), [sound]);
    let sent = stub.requests.recv().await.unwrap().body;
    assert_eq!(sent["audio"]["format"], "mp3");
}

#[tokio::test]
async fn what_can_not_be_passed_on_is_an_error_that_names_it_even_after_the_finish_reason() {
    for (piece, words) in [
        (r#"{"images":[{"type":"image_url"}]}"#, "a picture"),
        (r#"{"images":["ftp://a.b/c"]}"#, "`https://`"),
        (
            r#"{"content":[{"type":"video_url","video_url":{}}]}"#,
            "`video_url`",
        ),
        (r#"{"audio":{"data":"???"}}"#, "a sound"),
        (r#"{"audio":{"data":"????"}}"#, "base64"),
        (r#"{"audio":{"data":7}}"#, "a sound"),
        (r#"{"audio":{"data":"AAAA"}}"#, "`audio.format`"),
    ] {
        let before = vec![ok(), delta(piece), finish("stop"), done(), Step::End];
        let after = vec![ok(), finish("stop"), delta(piece), done(), Step::End];
        for steps in [before, after] {
            let error = answer(steps).await.unwrap_err();
            assert!(error.contains(words), "{piece}: {error}");
        }
    }
    let odd = vec![
        ok(),
        data(r#"{"choices":[{"delta":{"audio":7,"content":"Hi"},"finish_reason":"stop"}]}"#),
    ];
    let events = answer([odd, vec![done(), Step::End]].concat())
        .await
        .unwrap();
    assert_eq!(events[0], ChatEvent::text("Hi"));
}

#[tokio::test]
async fn a_picture_goes_back_with_the_next_question() {
    let picture = Media::new("image/png", bytes(b"\x89PNG"));
    let images = json!([{"type": "image_url", "image_url": {"url": picture.url}}]);
    let piece = json!({"content": "Look", "images": images}).to_string();
    let mut stub = serve(vec![ok(), delta(&piece), finish("stop"), done(), Step::End]).await;
    let events = ask(openai(&stub)).await.unwrap();
    stub.requests.recv().await.unwrap();
    let transcript: unbroken::chat::Transcript = events.iter().collect();
    let mut request = ChatRequest::from_user("Draw");
    request.messages.extend(transcript.messages());
    request
        .messages
        .push(unbroken::chat::Message::user("Larger"));
    let answer = openai(&stub).oneshot(request).await.unwrap();
    drop(answer);
    let sent = stub.requests.recv().await.unwrap().body;
    let turn = json!({"role": "assistant", "content": "Look", "images": images});
    assert_eq!(sent["messages"][1], turn);
}

#[tokio::test]
async fn ollamas_pictures_are_media() {
    let picture = Media::new("image/jpeg", bytes(b"\xff\xd8\xff"));
    let line = |message: Value, done: bool| {
        let line = json!({"message": message, "done": done, "done_reason": "stop"});
        Step::Chunk(format!("{line}\n").into_bytes())
    };
    let stub = serve(vec![
        ok(),
        line(
            json!({"content": "Look", "images": [picture.base64()]}),
            false,
        ),
        line(json!({"content": ""}), true),
        Step::End,
    ])
    .await;
    let builder = Ollama::builder().base_url(stub.url("")).model("m");
    let provider = builder.retries(0).build().unwrap();
    let stream = provider
        .oneshot(ChatRequest::from_user("Draw"))
        .await
        .unwrap();
    let events: Vec<_> = stream.map(Result::unwrap).collect().await;
    assert_eq!(media(&events), [picture]);
}
