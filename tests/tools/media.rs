//! Results with pictures, sounds and files.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use serde_json::json;
use unbroken::{
    chat::{
        ChatEvent, ChatRequest, Content, IsomorphicClientOutput, Media, Message, ToolOutcome,
        ToolResult, ToolRuns, Transcript,
    },
    tools::{Call, ToolLayer, Tools, handoff_fn, tool_fn},
};

use crate::support::{Model, Nothing, answer, call, kinds, request};

fn png() -> Media {
    let bytes: Vec<u8> = (0..=255).cycle().take(1000).collect();
    Media::new("image/png", bytes).name("chart.png")
}

fn chart() -> Content {
    let content = Content::new().text("Before.").media(png()).text("After.");
    content.media(Media::new("audio/wav", b"wav"))
}

/// A layer with the tool `draw`, which gives this and counts its runs.
fn layer(content: Content) -> (ToolLayer, Arc<AtomicUsize>) {
    let runs = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&runs);
    let draw = tool_fn("draw", "", move |_: Nothing, _: Call| {
        count.fetch_add(1, SeqCst);
        let content = content.clone();
        async move { Ok(content) }
    });
    (ToolLayer::new(Tools::new().with(draw)), runs)
}

fn model() -> Model {
    Model::calling([call("1", "draw", json!({}))])
}

#[tokio::test(start_paused = true)]
async fn an_open_medium_goes_to_the_model_and_into_the_answer_in_its_place() {
    let (layer, _) = layer(chart());
    let layer = layer.media(["image/*", "audio/wav"]);
    let model = model();
    let events = answer(&layer, &model, request()).await.unwrap();
    assert_eq!(events[1], ChatEvent::tool_result("1", "draw", chart()));
    let last = model.last().messages.pop().unwrap();
    assert_eq!(last, Message::tool("1", chart()));

    let wire = serde_json::to_value(&events[1]).unwrap();
    assert_eq!(
        wire["content"][0],
        json!({"type": "text", "text": "Before."})
    );
    assert_eq!(wire["content"][1]["type"], "media");
    assert_eq!(wire["content"][1]["mediaType"], "image/png");
    assert_eq!(wire["content"][1]["name"], "chart.png");
    let read: ChatEvent = serde_json::from_value(wire).unwrap();
    assert_eq!(read, events[1]);
}

#[tokio::test(start_paused = true)]
async fn a_medium_alone_is_a_result() {
    let draw = tool_fn("draw", "", |_: Nothing, _: Call| async { Ok(png()) });
    let layer = ToolLayer::new(Tools::new().with(draw)).media(["image/png"]);
    let events = answer(&layer, &model(), request()).await.unwrap();
    assert_eq!(events[1], ChatEvent::tool_result("1", "draw", png()));
}

#[tokio::test(start_paused = true)]
async fn a_closed_medium_becomes_an_error_that_names_it_for_the_model() {
    for (open, named) in [
        (vec![], "`image/png`"),
        (vec!["image/*"], "`audio/wav`"),
        (vec!["image/jpeg", "audio/*"], "`image/png`"),
    ] {
        let (layer, runs) = layer(chart());
        let layer = layer.media(open);
        let model = model();
        let events = answer(&layer, &model, request()).await.unwrap();
        let ChatEvent::ToolError(error) = &events[1] else {
            panic!("{events:?}");
        };
        assert!(error.message.contains(named), "{}", error.message);
        let told = model.last().messages.pop().unwrap();
        assert_eq!(told, Message::tool_failed("1", &error.message));
        assert_eq!(runs.load(SeqCst), 1);
        assert_eq!(kinds(&events).last(), Some(&"complete"), "it goes on");
    }
}

#[tokio::test(start_paused = true)]
async fn texts_without_a_medium_are_one_string() {
    let (layer, _) = layer(Content::new().text("a").text("b"));
    let events = answer(&layer, &model(), request()).await.unwrap();
    assert_eq!(events[1], ChatEvent::tool_result("1", "draw", "a\nb"));
}

#[tokio::test(start_paused = true)]
async fn media_count_in_the_size_of_a_result() {
    let bytes = serde_json::to_string(&Content::from(png())).unwrap().len();
    for (most, kind) in [(bytes, "tool_result"), (bytes - 1, "tool_error")] {
        let (layer, _) = layer(png().into());
        let layer = layer.media(["image/*"]).result_bytes(most);
        let events = answer(&layer, &model(), request()).await.unwrap();
        assert_eq!(events[1].kind(), kind, "{most}");
        if let ChatEvent::ToolError(error) = &events[1] {
            for number in [bytes, most] {
                let told = error.message.contains(&number.to_string());
                assert!(told, "{}", error.message);
            }
        }
    }
}

/// The log of an answer whose server died after the result.
fn log() -> Vec<ChatEvent> {
    vec![
        ChatEvent::tool_calls([call("1", "draw", json!({}))]),
        ChatEvent::tool_result("1", "draw", chart()),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_result_in_the_log_is_used_again_with_its_media() {
    let runs: ToolRuns = log().iter().collect();
    let outcome = ToolOutcome::Result(chart());
    assert_eq!(runs.as_slice()[0].outcome, Some(outcome));
    let transcript: Transcript = log().iter().collect();
    for restarts in [false, true] {
        // What is in the log was taken, whatever the layer has open now.
        let open: &[&str] = if restarts { &["*/*"] } else { &[] };
        let (layer, runs) = layer(chart());
        let layer = layer.media(open.to_vec());
        let mut request: ChatRequest = request();
        request.runs = Arc::new(log().iter().collect());
        request.so_far = (!restarts).then(|| Arc::new(transcript.clone()));
        let model = model();
        let events = answer(&layer, &model, request).await.unwrap();
        assert_eq!(runs.load(SeqCst), 0, "restarts: {restarts}");
        let told = model.last().messages.pop().unwrap();
        assert_eq!(told, Message::tool("1", chart()), "restarts: {restarts}");
        let results = events.iter().filter(|it| it.kind() == "tool_result");
        assert_eq!(results.count(), usize::from(restarts));
    }
}

#[tokio::test(start_paused = true)]
async fn the_state_of_a_conversation_has_the_media_of_its_results() {
    let (layer, _) = layer(chart());
    let layer = layer.media(["*/*"]);
    let mut request = request();
    request.isomorphic_tools = vec![unbroken::chat::IsomorphicTool::new("map", "", json!({}))];
    let calls = [call("1", "draw", json!({})), call("2", "map", json!({}))];
    let events = answer(&layer, &Model::calling(calls), request)
        .await
        .unwrap();
    let transcript: Transcript = events.iter().collect();
    let state = transcript.conversation_state().unwrap();
    let result = ToolResult::new("1", "draw", chart());
    assert_eq!(state.server_tool_results, [result]);
}

#[tokio::test(start_paused = true)]
async fn a_second_half_may_give_media() {
    let seat = handoff_fn(
        "seat",
        "",
        |_: Nothing, _: Call| async { Ok(()) },
        |_: IsomorphicClientOutput, _: Call| async { Ok(png()) },
    );
    let layer = ToolLayer::new(Tools::new().with(seat)).media(["image/*"]);
    let mut request = request();
    let mut output = IsomorphicClientOutput::new("1", "seat", json!("1A"));
    output.params = json!({});
    output.uses_handoff = true;
    request.isomorphic_client_outputs = vec![output];
    let events = answer(&layer, &Model::new([vec![]]), request)
        .await
        .unwrap();
    let results: Vec<_> = events
        .iter()
        .filter(|it| it.kind() == "tool_result")
        .collect();
    assert_eq!(results, [&ChatEvent::tool_result("1", "seat", png())]);
}

#[tokio::test(start_paused = true)]
async fn media_of_a_client_s_tool_reach_the_model_as_media_whatever_the_layer_opens() {
    for claimed in [false, true] {
        let layer = ToolLayer::new(Tools::new());
        let mut request = request();
        let parts = serde_json::to_value(chart()).unwrap();
        let mut output = IsomorphicClientOutput::new("1", "photo", parts);
        output.claimed = claimed;
        request.isomorphic_client_outputs = vec![output];
        let model = Model::new([vec![]]);
        let events = answer(&layer, &model, request).await.unwrap();
        let result = ToolResult::new("1", "photo", chart()).claimed(claimed);
        assert!(events.contains(&result.into()), "{events:?}");
        let told = model.last().messages;
        assert!(told.contains(&Message::tool("1", chart())), "{told:?}");
    }
}
