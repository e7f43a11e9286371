//! The scripted provider, as a request drives it.

use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures_util::{FutureExt, StreamExt, TryStreamExt};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};
use tower::ServiceExt;
use unbroken::{
    chat::{
        ChatEvent, ChatRequest, Citation, Complete, FinishReason, Media, Message, ProviderError,
        ToolCall, ToolInput, Transcript, TurnEnd, TurnUsage, Usage,
    },
    provider::{
        Scripted,
        scripted::{Script, ScriptedStream},
    },
};

fn request(script: Value) -> ChatRequest {
    let mut request = ChatRequest::from_user("Good day");
    request.extra.insert("script".into(), script);
    request
}

async fn start(script: Value) -> Result<ScriptedStream, ProviderError> {
    Scripted::default().oneshot(request(script)).await
}

async fn events(script: Value) -> Vec<ChatEvent> {
    start(script).await.unwrap().try_collect().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_text_comes_word_by_word_at_the_given_pace() {
    let began = Instant::now();
    let said = events(json!({"text": "one two three", "delayMs": 10})).await;
    assert_eq!(
        said,
        [
            ChatEvent::text("one "),
            ChatEvent::text("two "),
            ChatEvent::text("three"),
            Complete::new().usage(Usage::new(2, 3)).into(),
        ]
    );
    let took = began.elapsed();
    assert!((30..34).contains(&took.as_millis()), "{took:?}");
}

#[tokio::test]
async fn the_usage_is_reported_token_by_token_if_the_script_says_so() {
    for (tells, known) in [(false, [None; 3]), (true, [Some(0), Some(1), Some(2)])] {
        let script = json!({"text": "one two", "delayMs": 0, "usageSoFar": tells});
        let mut request = request(script);
        request.turn_usage = TurnUsage::new();
        let usage = request.turn_usage.clone();
        let mut stream = Scripted::default().oneshot(request).await.unwrap();
        for known in known {
            let known = known.map(|output| Usage::new(2, output));
            assert_eq!(usage.known(), known);
            stream.next().await.unwrap().unwrap();
        }
    }
}

#[tokio::test]
async fn tokens_are_numbers() {
    let said = events(json!({"tokens": 3, "delayMs": 0})).await;
    assert_eq!(said[..3].iter().collect::<Transcript>().text(), "1 2 3 ");
    assert!(said[3].is_terminal());
    assert_eq!(events(json!({"tokens": 0})).await.len(), 1);
}

#[tokio::test]
async fn thinking_comes_first_and_tool_calls_last() {
    let script = json!({
        "thinking": "Hm well",
        "text": "Yes",
        "delayMs": 0,
        "toolCalls": [{"name": "now"}, {"id": "x", "name": "add", "arguments": {"a": 1}}],
    });
    let said = events(script.clone()).await;
    assert_eq!(
        said,
        [
            ChatEvent::thinking("Hm "),
            ChatEvent::thinking("well"),
            ChatEvent::text("Yes"),
            ChatEvent::tool_calls([
                ToolCall::new("call_1", "now", Value::Null),
                ToolCall::new("x", "add", json!({"a": 1})),
            ]),
            Complete::new()
                .usage(Usage::new(2, 3))
                .finish_reason(FinishReason::ToolCalls)
                .into(),
        ]
    );

    let mut answered = request(script);
    answered.messages.push(Message::tool("call_1", "noon"));
    let answer = Scripted::default().oneshot(answered).await.unwrap();
    let said: Vec<_> = answer.try_collect().await.unwrap();
    assert_eq!(said.len(), 4, "tools were asked for again");
}

#[tokio::test]
async fn media_sources_and_arguments_come_after_the_text_and_the_model_at_the_end() {
    let picture =
        json!({"mediaType": "image/png", "url": "data:image/png;base64,AAAA", "name": "a.png"});
    let script = json!({
        "text": "Yes", "delayMs": 0, "model": "m-1", "media": [picture],
        "sources": [{"id": "1", "url": "https://example.com", "title": "Example"}],
        "toolCalls": [{"name": "now", "arguments": {"zone": "UTC"}}], "toolInput": true,
    });
    let usage = Usage::new(2, 3);
    assert_eq!(
        events(script).await,
        [
            ChatEvent::text("Yes"),
            Media::new("image/png", [0, 0, 0]).name("a.png").into(),
            Citation::link("1", "https://example.com")
                .title("Example")
                .into(),
            ToolInput::new("call_1", r#"{"zone":"#).name("now").into(),
            ToolInput::new("call_1", r#""UTC"}"#).into(),
            ChatEvent::tool_calls([ToolCall::new("call_1", "now", json!({"zone": "UTC"}))]),
            TurnEnd::new(FinishReason::ToolCalls)
                .usage(usage.clone())
                .model("m-1")
                .into(),
            Complete::new()
                .usage(usage)
                .finish_reason(FinishReason::ToolCalls)
                .into(),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn holds_and_faults_count_the_pieces_of_arguments() {
    let script = json!({
        "text": "Yes", "delayMs": 0, "toolInput": true, "tally": "mine", "holds": [2],
        "toolCalls": [{"name": "now", "arguments": {"zone": "UTC"}}], "fault": {"at": 3, "kind": "error"},
    });
    let provider = Scripted::default();
    let mut answer = provider.clone().oneshot(request(script)).await.unwrap();
    answer.next().await.unwrap().unwrap();
    let piece = answer.next().await.unwrap().unwrap();
    assert_eq!(
        piece,
        ToolInput::new("call_1", r#"{"zone":"#).name("now").into()
    );
    let held = timeout(Duration::from_secs(3600), answer.next()).await;
    assert!(held.is_err(), "{held:?}");
    let released = provider.oneshot(request(json!({"release": "mine"}))).await;
    let _: Vec<_> = released.unwrap().try_collect().await.unwrap();
    answer.next().await.unwrap().unwrap();
    assert!(answer.next().await.unwrap().is_err(), "the call is whole");
}

#[tokio::test(start_paused = true)]
async fn each_round_of_tools_has_a_script_of_its_own() {
    let mut request = request(json!({
        "text": "One.", "delayMs": 0, "toolCalls": [{"name": "now"}],
        "then": [{"text": "Two.", "toolCalls": [{"name": "now"}]}, {"results": true}],
    }));
    let answer = async |request: &ChatRequest| {
        let stream = Scripted::default().oneshot(request.clone()).await.unwrap();
        let events: Vec<ChatEvent> = stream.try_collect().await.unwrap();
        let transcript: Transcript = events.iter().collect();
        (transcript.text().to_owned(), transcript.tool_calls().len())
    };
    let round = |request: &mut ChatRequest| {
        let call = ToolCall::new("1", "now", json!({}));
        request.messages.extend([
            Message::assistant("").tool_calls([call]),
            Message::tool("1", "noon"),
            Message::tool("2", "midnight"),
        ]);
    };
    assert_eq!(answer(&request).await, ("One.".into(), 1));
    round(&mut request);
    assert_eq!(answer(&request).await, ("Two.".into(), 1));
    for _ in 0..2 {
        round(&mut request);
        assert_eq!(answer(&request).await, ("noon midnight".into(), 0));
    }
    request.messages.push(Message::user("Again!"));
    assert_eq!(answer(&request).await, ("One.".into(), 1));
}

#[tokio::test(start_paused = true)]
async fn a_fault_comes_after_its_number_of_tokens() {
    for at in 0..=3 {
        let script = |kind| json!({"tokens": 3, "fault": {"at": at, "kind": kind}});

        for (kind, words) in [("error", "wants an error"), ("cut", "cut off")] {
            let mut answer = start(script(kind)).await.unwrap();
            for _ in 0..at {
                assert!(answer.next().await.unwrap().is_ok());
            }
            let error = answer.next().await.unwrap().unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
            assert!(answer.next().await.is_none());
        }

        let mut answer = start(script("hang")).await.unwrap();
        assert_eq!(answer.by_ref().take(at).count().await, at);
        let hour = Duration::from_secs(3600);
        assert!(timeout(hour, answer.next()).await.is_err());

        let mut answer = start(script("panic")).await.unwrap();
        assert_eq!(answer.by_ref().take(at).count().await, at);
        let polled = AssertUnwindSafe(answer.next()).catch_unwind().await;
        assert!(polled.is_err());
    }
}

#[tokio::test]
async fn an_invalid_script_is_refused_before_the_first_event() {
    for (script, words) in [
        (json!("Hello"), "expected struct"),
        (json!({"txt": "Hello"}), "unknown field `txt`"),
        (json!({"text": 7}), "expected a string"),
        (json!({"text": "a", "tokens": 1}), "give one of"),
        (json!({"stamps": 1, "tell": "mine"}), "give one of"),
        (json!({"stamps": 10_001}), "at most 10000"),
        (json!({"tally": "a".repeat(129)}), "at most 128 bytes"),
        (json!({"release": "a".repeat(129)}), "at most 128 bytes"),
        (json!({"text": "a", "release": "mine"}), "give one of"),
        (
            json!({"tokens": 2, "tally": "mine", "holds": [1, 3]}),
            "it has 2 tokens",
        ),
        (json!({"tokens": 2, "holds": [1]}), "needs a `tally`"),
        (
            json!({"tokens": 0, "tally": "mine", "holds": vec![0; 101]}),
            "at most 100",
        ),
        (json!({"tokens": -1}), "expected u32"),
        (json!({"tokens": 10_000_001}), "at most 10000000"),
        (json!({"delayMs": 600_001}), "at most 600000"),
        (
            json!({"tokens": 2, "fault": {"at": 3, "kind": "cut"}}),
            "it has 2 tokens",
        ),
        (
            json!({"fault": {"at": 0, "kind": "shrug"}}),
            "unknown variant `shrug`",
        ),
    ] {
        let error = start(script.clone()).await.unwrap_err();
        assert!(error.message().contains("`script`"), "{error}");
        assert!(error.message().contains(words), "{script}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_script_the_answer_mentions_the_question_at_the_default_pace() {
    let began = Instant::now();
    let request = ChatRequest::from_user("Why is the sky blue?");
    let answer = Scripted::default().oneshot(request).await.unwrap();
    let said: Vec<_> = answer.try_collect().await.unwrap();
    let transcript: Transcript = said.iter().collect();
    assert!(transcript.text().contains("Why is the sky blue?"));
    assert!(!transcript.thinking().is_empty());
    // All but `turn` and `complete`.
    let each = began.elapsed().as_millis() / (said.len() as u128 - 2);
    assert!((40..43).contains(&each), "{each} ms a token");
}

#[tokio::test]
async fn a_script_without_text_and_delay_has_those_of_the_provider() {
    let own = Script::say("own words")
        .delay(Duration::ZERO)
        .thinking("own thoughts");
    let answer = Scripted::new(own)
        .oneshot(request(json!({})))
        .await
        .unwrap();
    let said: Vec<_> = answer.try_collect().await.unwrap();
    let transcript: Transcript = said.iter().collect();
    assert_eq!(transcript.text(), "own words");
    assert_eq!(transcript.thinking(), "");
}

#[tokio::test]
async fn calls_are_counted_by_name() {
    let provider = Scripted::default();
    let start = async |script| provider.clone().oneshot(request(script)).await.unwrap();
    let told = async || {
        let said: Vec<_> = start(json!({"tell": "mine", "delayMs": 0}))
            .await
            .try_collect()
            .await
            .unwrap();
        let text = said.iter().collect::<Transcript>().text().to_owned();
        serde_json::from_str::<Value>(&text).unwrap()
    };
    let zero = json!({"calls": 0, "running": 0, "tokens": 0});
    assert_eq!(told().await, zero);
    let mut first = start(json!({"tokens": 9, "delayMs": 0, "tally": "mine"})).await;
    let second = start(json!({"tokens": 9, "delayMs": 0, "tally": "mine"})).await;
    let _other = start(json!({"tokens": 9, "tally": "other"})).await;
    first.next().await.unwrap().unwrap();
    first.next().await.unwrap().unwrap();
    assert_eq!(told().await, json!({"calls": 2, "running": 2, "tokens": 2}));
    drop((first, second));
    assert_eq!(told().await, json!({"calls": 2, "running": 0, "tokens": 2}));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_held_continues_when_it_is_released() {
    let provider = Scripted::default();
    let start = async |script| provider.clone().oneshot(request(script)).await.unwrap();
    let release = async |name| {
        let said: Vec<_> = start(json!({"release": name}))
            .await
            .try_collect()
            .await
            .unwrap();
        let said: Transcript = said.iter().collect();
        assert_eq!(said.text(), "released");
    };
    let told = async || {
        let script = json!({"tell": "mine", "delayMs": 0});
        let said: Vec<_> = start(script).await.try_collect().await.unwrap();
        said.iter().collect::<Transcript>().text().to_owned()
    };
    // Far longer than all of it would take.
    let silent = async |answer: &mut ScriptedStream| {
        let next = timeout(Duration::from_secs(3600), answer.next()).await;
        assert!(next.is_err(), "{next:?}");
    };

    let held = json!({"tokens": 4, "delayMs": 10, "tally": "mine", "holds": [4, 0, 2, 2]});
    let mut answer = start(held).await;
    silent(&mut answer).await;
    release("another").await;
    silent(&mut answer).await;
    release("mine").await;
    for said in ["1 ", "2 "] {
        assert_eq!(answer.next().await.unwrap().unwrap(), ChatEvent::text(said));
    }
    silent(&mut answer).await;
    release("mine").await;
    silent(&mut answer).await; // held twice there
    release("mine").await;
    for said in ["3 ", "4 "] {
        assert_eq!(answer.next().await.unwrap().unwrap(), ChatEvent::text(said));
    }
    silent(&mut answer).await; // before its end
    assert!(told().await.contains(r#""running":1,"tokens":4"#));
    release("mine").await;
    assert!(answer.next().await.unwrap().unwrap().is_terminal());

    // A release that comes first is not lost, and who is gone takes none.
    let held = json!({"tokens": 2, "delayMs": 10, "tally": "mine", "holds": [1]});
    let mut gone = start(held.clone()).await;
    gone.next().await.unwrap().unwrap();
    silent(&mut gone).await;
    drop(gone);
    release("mine").await;
    let said: Vec<_> = start(held.clone()).await.try_collect().await.unwrap();
    assert_eq!(said.len(), 3);

    // What is said by then is not held again.
    let mut again = request(held);
    let said = [ChatEvent::text("1 "), ChatEvent::text("2 ")];
    again.so_far = Some(Arc::new(said.iter().collect()));
    let rest = provider.clone().oneshot(again).await.unwrap();
    let rest: Vec<_> = rest.try_collect().await.unwrap();
    assert!(rest.len() == 1 && rest[0].is_terminal());

    // A script of the provider's own.
    let own = Script::count(2).hold(1).tally("own");
    let own = Scripted::new(own);
    let asked = ChatRequest::from_user("Count!");
    let mut answer = own.clone().oneshot(asked).await.unwrap();
    answer.next().await.unwrap().unwrap();
    silent(&mut answer).await;
    drop(
        own.oneshot(request(json!({"release": "own"})))
            .await
            .unwrap(),
    );
    assert_eq!(answer.next().await.unwrap().unwrap(), ChatEvent::text("2 "));
}

#[tokio::test]
async fn stamps_are_the_times_of_their_tokens() {
    let now = || {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_micros()
    };
    let before = now();
    let said = events(json!({"stamps": 2, "delayMs": 1})).await;
    let text = said.iter().collect::<Transcript>().text().to_owned();
    let stamps: Vec<u128> = text
        .split_whitespace()
        .map(|stamp| stamp.parse().unwrap())
        .collect();
    assert!(before <= stamps[0] && stamps[0] < stamps[1] && stamps[1] <= now());
}
