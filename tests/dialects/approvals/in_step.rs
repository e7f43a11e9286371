//! Replies and new messages that come when the session is elsewhere.

use super::*;

fn say(text: &str) -> Value {
    let user = json!({"id": text, "role": "user", "parts": [{"type": "text", "text": text}]});
    json!({"id": "chat", "messages": [user], "trigger": "submit-message"})
}

/// Returns the request of a client that has declined both calls.
fn declined(session: &str, approvals: &[String]) -> Value {
    let mut request = approved(session, approvals);
    for part in 1..=2 {
        request["messages"][0]["parts"][part]["approval"]["approved"] = json!(false);
    }
    request
}

async fn until(native: &Chat, session: &str, word: &str) -> String {
    loop {
        let log = events(native, session).await;
        if log.contains(word) {
            return log;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_new_message_cancels_what_the_waiting_answer_asks_and_starts() {
    let (sdk, native) = chats();
    let (session, _) = start(&sdk).await;
    let response = send(&sdk, "POST", "/", &say("Never mind")).await;
    assert_eq!(response.status(), StatusCode::OK);
    let next = chunks(&text(response).await);
    assert_ne!(next[0]["messageId"], json!(session));
    let log = until(&native, &session, r#""complete""#).await;
    assert_eq!(log.matches(r#""action":"cancel""#).count(), 2, "{log}");
    assert!(!log.contains("paying"), "{log}");
    // It went on: the model has heard of the cancelled calls.
    assert!(log.contains("Done."), "{log}");
}

#[tokio::test]
async fn a_new_message_is_refused_while_the_answer_does_not_wait_or_by_option() {
    let sessions = Sessions::in_memory();
    let model = provider_fn(|_| stream::pending::<Result<ChatEvent, ProviderError>>());
    let ann = OnlyTheOwner::new(|_: &mut Parts| Some(Owner::new("ann")));
    let layer = DurableLayer::new(sessions, ann).dialect(AiSdk::new());
    let streams: Chat = BoxCloneSyncService::new(layer.layer(model));
    let first = send(&streams, "POST", "/", &say("Hi")).await;
    assert_eq!(first.status(), StatusCode::OK);
    let second = send(&streams, "POST", "/", &say("And?")).await;
    assert_eq!(second.status(), StatusCode::CONFLICT);

    let strict = AiSdk::new().concurrency(Concurrency::Refuse);
    let (sdk, native) = chats_of(&Sessions::in_memory(), strict);
    let (session, _) = start(&sdk).await;
    let second = send(&sdk, "POST", "/", &say("Never mind")).await;
    assert_eq!(second.status(), StatusCode::CONFLICT);
    assert!(!events(&native, &session).await.contains("input_resolved"));
}

#[tokio::test]
async fn a_new_message_that_is_refused_for_a_limit_cancels_nothing() {
    let limits = Limits::default().running_per_owner(1);
    let sessions = Sessions::builder(Memory::new()).limits(limits).build();
    let (sdk, native) = chats_in(&sessions);
    let (session, _) = start(&sdk).await;
    // The place of the session that waits is free; another one takes it.
    let place = sessions.permit(Some(&Owner::new("ann"))).unwrap();
    let refused = send(&sdk, "POST", "/", &say("Never mind")).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(!events(&native, &session).await.contains("input_resolved"));
    drop(place);
    let started = send(&sdk, "POST", "/", &say("Never mind")).await;
    assert_eq!(started.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_reply_after_the_end_is_told_what_was_decided() {
    for (first, then, told) in [
        (true, false, "it was accepted"),
        (false, true, "it was declined"),
    ] {
        let (sdk, _) = chats();
        let (session, approvals) = start(&sdk).await;
        let reply = |yes: bool| {
            if yes {
                approved(&session, &approvals)
            } else {
                declined(&session, &approvals)
            }
        };
        let whole = text(send(&sdk, "POST", "/", &reply(first)).await).await;
        assert!(whole.contains("Done."), "{whole}");
        // A tab that still shows the question.
        let stale = send(&sdk, "POST", "/", &reply(then)).await;
        assert_eq!(stale.status(), StatusCode::CONFLICT);
        let problem = text(stale).await;
        assert!(problem.contains("input-answered"), "{problem}");
        assert!(problem.contains(told), "{problem}");
        // The tab that has decided repeats its reply, because the response was lost.
        let repeated = send(&sdk, "POST", "/", &reply(first)).await;
        assert_eq!(repeated.status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn a_reply_to_an_answer_that_was_stopped_is_told_so() {
    let (sdk, native) = chats();
    let (session, approvals) = start(&sdk).await;
    let path = format!("/{session}/abort");
    let aborted = send(&native, "POST", &path, &json!({})).await;
    assert!(aborted.status().is_success());
    until(&native, &session, r#""aborted""#).await;
    let stale = send(&sdk, "POST", "/", &approved(&session, &approvals)).await;
    assert_eq!(stale.status(), StatusCode::CONFLICT);
    let problem = text(stale).await;
    assert!(problem.contains("the answer ended before"), "{problem}");
}

#[tokio::test(start_paused = true)]
async fn a_reply_after_its_time_is_told_so() {
    let (sdk, native) = chats();
    let (session, approvals) = start(&sdk).await;
    // The questions time out, and the model answers without.
    tokio::time::sleep(INPUT_TIMEOUT + Duration::from_secs(10)).await;
    let log = events(&native, &session).await;
    assert!(log.contains(r#""complete""#), "{log}");
    assert!(log.contains(r#""action":"timeout""#), "{log}");
    let stale = send(&sdk, "POST", "/", &approved(&session, &approvals)).await;
    assert_eq!(stale.status(), StatusCode::CONFLICT);
    let problem = text(stale).await;
    assert!(problem.contains("in time"), "{problem}");
}
