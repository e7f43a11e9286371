//! The waits of tabs that show an approval for news of it.

use futures_util::future::poll_immediate;
use tokio::time::Instant;

use super::*;

const WAIT: Duration = Duration::from_secs(20);

/// Returns the status of a response, the whole seconds that it took, and its body.
async fn timed(sdk: &Chat, path: &str) -> (u16, u64, String) {
    let began = Instant::now();
    let response = send(sdk, "GET", path, &Value::Null).await;
    let (status, took) = (response.status().as_u16(), began.elapsed().as_secs());
    (status, took, text(response).await)
}

/// Resumes the chat as a tab that shows these approvals as open.
async fn resume(sdk: &Chat, asks: &[&str]) -> (u16, u64, String) {
    timed(sdk, &path(asks)).await
}

fn path(asks: &[&str]) -> String {
    format!("/chat/stream?asks={}&wait=20", asks.join(","))
}

fn count(stream: &str, kind: &str) -> usize {
    let chunks = chunks(stream).into_iter();
    chunks.filter(|it| it["type"] == kind).count()
}

async fn until_logged(native: &Chat, session: &str, part: &str) {
    while !events(native, session).await.contains(part) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_resume_with_a_wait_gets_the_answer_once_somebody_has_decided() {
    let (sdk, native) = chats();
    let (session, approvals) = start(&sdk).await;
    let [a, b] = [&*approvals[0], &*approvals[1]];
    // Nobody decides.
    assert_eq!(resume(&sdk, &[a, b]).await, (204, 20, String::new()));
    let waiting = tokio::spawn({
        let (sdk, path) = (sdk.clone(), path(&[a, b]));
        async move { timed(&sdk, &path).await }
    });
    tokio::time::sleep(WAIT / 2).await;
    assert!(!waiting.is_finished());
    decide(&native, &session, a, "decline").await;
    // It is told of each decision.
    let (status, took, told) = waiting.await.unwrap();
    assert_eq!((status, took), (200, 10));
    assert_eq!(count(&told, "tool-output-error"), 1, "{told}");
    assert_eq!(count(&told, "tool-approval-request"), 2, "{told}");
    assert_eq!(
        resume(&sdk, &[b]).await.1,
        20,
        "it shows the other one only"
    );
    decide(&native, &session, b, "accept").await;
    let (status, took, told) = resume(&sdk, &[b]).await;
    assert_eq!((status, took), (200, 0));
    assert!(told.contains("tool-output-available"), "{told}");
    assert!(told.contains("Done."), "{told}");
}

/// Returns a chat in two dialects whose model asks for two approvals, one after the other.
fn one_by_one(sessions: &Sessions, dialect: AiSdk) -> (Chat, Chat) {
    let model = provider_fn(|request: ChatRequest| {
        let outputs = request.messages.iter().filter(|it| it.role == Role::Tool);
        let event = match outputs.count() {
            0 => ChatEvent::tool_calls([ToolCall::new("a", "pay", json!({}))]),
            1 => ChatEvent::tool_calls([ToolCall::new("b", "pay", json!({}))]),
            _ => ChatEvent::text("Done."),
        };
        stream::iter([Ok::<_, ProviderError>(event)])
    });
    let pay = tool_fn("pay", "Pays.", |_: Value, _: Call| async { Ok("paid") });
    let tools = Tools::new().with(pay.approved_if(|_| Some("Pay?".to_owned())));
    let provider = ToolLayer::new(tools).layer(model);
    let ann = OnlyTheOwner::new(|_: &mut Parts| Some(Owner::new("ann")));
    let layer = || {
        DurableLayer::new(sessions.clone(), ann.clone())
            .client_fields(ClientFields::nothing().history(64 * 1024))
    };
    let sdk = layer().dialect(dialect).layer(provider.clone());
    let native = layer().dialect(Native::new()).layer(provider);
    (
        BoxCloneSyncService::new(sdk),
        BoxCloneSyncService::new(native),
    )
}

/// Starts a session that asks once at a time. Returns its id and the id of its first approval.
async fn start_one(sdk: &Chat) -> (String, String) {
    let asked = text(send(sdk, "POST", "/", &asking()).await).await;
    let session = chunks(&asked)[0]["messageId"].as_str().unwrap().to_owned();
    (session, newest_approval(&asked))
}

fn newest_approval(stream: &str) -> String {
    let chunks = chunks(stream);
    let mut asked = chunks.iter().filter_map(|it| it["approvalId"].as_str());
    asked.next_back().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_tab_that_slept_does_not_wait_while_another_question_is_open() {
    let (sdk, native) = one_by_one(&Sessions::in_memory(), AiSdk::new());
    let (session, first) = start_one(&sdk).await;
    decide(&native, &session, &first, "accept").await;
    let asked = |log: String| log.matches("input_request").count();
    while asked(events(&native, &session).await) < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let (status, took, told) = resume(&sdk, &[&first]).await;
    assert_eq!((status, took), (200, 0));
    let second = newest_approval(&told);
    assert_ne!(second, first);
    // Awake again, it waits.
    assert_eq!(resume(&sdk, &[&second]).await.1, 20);
    // One that never had an outcome of the first one shows both.
    assert_eq!(resume(&sdk, &[&first, &second]).await.1, 0);
    assert_eq!(resume(&sdk, &["of-another-answer"]).await.1, 0);
}

#[tokio::test(start_paused = true)]
async fn a_tab_that_does_not_show_all_open_approvals_does_not_wait() {
    let (sdk, _) = chats();
    let (_, approvals) = start(&sdk).await;
    for shown in &approvals {
        let (status, took, told) = resume(&sdk, &[shown]).await;
        assert_eq!((status, took), (200, 0));
        assert_eq!(count(&told, "tool-approval-request"), 2, "{told}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_tab_of_which_nothing_runs_is_held_for_the_wait() {
    let (sdk, native) = chats();
    assert_eq!(resume(&sdk, &["x"]).await, (204, 20, String::new()));
    let (session, approvals) = start(&sdk).await;
    for id in &approvals {
        decide(&native, &session, id, "decline").await;
    }
    until_logged(&native, &session, r#""complete""#).await;
    assert_eq!(
        resume(&sdk, &[&approvals[0]]).await,
        (204, 20, String::new())
    );
    // Without the wait, as ever.
    assert_eq!(timed(&sdk, "/chat/stream").await, (204, 0, String::new()));
    let none = path(&["x"]).replace("wait=20", "wait=0");
    assert_eq!(timed(&sdk, &none).await, (204, 0, String::new()));
    // `HEAD` is answered at once.
    let began = Instant::now();
    let head = send(&sdk, "HEAD", &path(&["x"]), &Value::Null).await;
    assert_eq!(head.status(), StatusCode::NO_CONTENT);
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_has_ended_is_streamed_at_once_unless_its_question_was_open() {
    let dialect = || AiSdk::new().resume_after_end(WAIT * 3);
    let (sdk, native) = chats_of(&Sessions::in_memory(), dialect());
    let (session, approvals) = start(&sdk).await;
    for id in &approvals {
        decide(&native, &session, id, "accept").await;
    }
    until_logged(&native, &session, r#""complete""#).await;
    let (status, took, told) = resume(&sdk, &[&approvals[0], &approvals[1]]).await;
    assert_eq!((status, took), (200, 0));
    assert!(told.contains("Done."), "{told}");

    // The page still shows the approvals after it has read this end.
    let (sdk, native) = chats_of(&Sessions::in_memory(), dialect());
    let (session, approvals) = start(&sdk).await;
    let shown = [&*approvals[0], &*approvals[1]];
    let waiting = tokio::spawn({
        let (sdk, path) = (sdk.clone(), path(&shown));
        async move { timed(&sdk, &path).await }
    });
    tokio::time::sleep(WAIT / 2).await;
    send(&sdk, "POST", "/chat/stop", &Value::Null).await;
    until_logged(&native, &session, r#""aborted""#).await;
    for (response, seconds) in [
        (waiting.await.unwrap(), 10),
        (resume(&sdk, &shown).await, 20),
        (resume(&sdk, &shown).await, 20),
    ] {
        let (status, took, told) = response;
        assert_eq!((status, took), (200, seconds));
        assert_eq!(count(&told, "abort"), 1, "{told}");
    }
    // A tab that showed another question hears of the end.
    assert_eq!(resume(&sdk, &["another"]).await.1, 0);
    tokio::time::sleep(WAIT).await;
    assert_eq!(resume(&sdk, &shown).await, (204, 20, String::new()));
}

#[tokio::test(start_paused = true)]
async fn a_run_is_streamed_without_a_wait() {
    let (sdk, _) = chats();
    let (session, approvals) = start(&sdk).await;
    let query = format!("asks={}&wait=20", approvals.join(","));
    for query in [&*query, "wait=20", "asks=&wait=x"] {
        let run = format!("/{session}~0/stream?{query}");
        let (status, took, told) = timed(&sdk, &run).await;
        assert_eq!((status, took), (200, 0), "{query}");
        assert_eq!(count(&told, "tool-approval-request"), 2, "{told}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_ends_the_waits() {
    let store = Memory::new();
    let sessions = Sessions::builder(store.clone()).build();
    let (sdk, _) = chats_in(&sessions);
    let (_, approvals) = start(&sdk).await;
    let open = path(&[&approvals[0], &approvals[1]]);
    let idle = path(&["x"]).replace("chat", "another");
    let [open, idle] = [open, idle].map(|path| {
        let sdk = sdk.clone();
        tokio::spawn(async move { timed(&sdk, &path).await })
    });
    tokio::time::sleep(WAIT / 2).await;
    sessions.shutdown(Duration::ZERO).await;
    let (status, took, refusal) = open.await.unwrap();
    assert_eq!((status, took), (503, 10));
    assert!(refusal.contains("shutting-down"), "{refusal}");
    assert_eq!(idle.await.unwrap(), (204, 10, String::new()));
    // None begins after it.
    let late = timed(&sdk, "/another/stream?asks=x&wait=20").await;
    assert_eq!(late, (204, 0, String::new()));
}

#[tokio::test]
async fn a_wait_ends_with_its_request() {
    let sessions = Sessions::in_memory();
    let (sdk, _) = chats_in(&sessions);
    let (session, approvals) = start(&sdk).await;
    let session = sessions.attach(&session.parse().unwrap()).await.unwrap();
    let path = path(&[&approvals[0], &approvals[1]]);
    let mut waiting = Box::pin(send(&sdk, "GET", &path, &Value::Null));
    while session.clients() < 3 {
        assert!(poll_immediate(&mut waiting).await.is_none());
        tokio::task::yield_now().await;
    }
    drop(waiting);
    assert_eq!(session.clients(), 1);
}
