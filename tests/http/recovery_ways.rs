//! The ways in which interrupted answers go on, in their order, with providers that decline them.

use std::time::Duration;

use serde_json::{Value, json};
use unbroken::{
    chat::{
        ChatEvent, FinishReason, InputId, InputRequest, ProviderError, ProviderState,
        ProviderStateEvent, StateOf, ToolCall, TurnEnd, Usage,
    },
    durable::{DurableLayer, Recovery},
    log::SessionId,
    session::{Limits, Sessions},
    store::{AbortRequest, Lease, Memory, Store as _, StoreExt, Token},
};

use crate::{
    client::{With, get, kinds, ndjson, post, send},
    server::{Call, Calls, MOUNT, Server, ask, at, driven_with, id, until},
};

const LEASE: Duration = Duration::from_millis(400);

async fn server(store: &Memory, recovery: Recovery) -> (Server, Calls) {
    let sessions = Sessions::builder(store.clone()).lease(LEASE).build();
    driven_with(sessions, |layer: DurableLayer| layer.recovery(recovery)).await
}

fn cursor(at: u64) -> ChatEvent {
    let state = ProviderState::new("test", json!({"at": at}));
    ProviderStateEvent::new(StateOf::Stream, state).into()
}

/// Starts an answer that says this, shuts its server down, and returns the session's id.
async fn interrupted(store: &Memory, said: &[ChatEvent]) -> String {
    let (first, calls) = server(store, Recovery::new()).await;
    let id = id("ways");
    let request = post(MOUNT, &ask("Hi")).with("x-session-id", id.as_str());
    let answer = send(first.addr, request).await;
    let call = calls.next().await;
    for event in said {
        call.event(event.clone());
    }
    let session: SessionId = id.parse().unwrap();
    let tail = said.len() as u64 + 1;
    until(async || store.state(&session).await.unwrap().tail.get() == tail).await;
    first.sessions.shutdown(Duration::ZERO).await;
    assert!(!answer.whole().await.clean);
    id
}

/// The way that a call of the provider is asked to go.
fn way(call: &Call) -> &'static str {
    match (call.request.reattach, &call.request.so_far) {
        (true, Some(_)) => "reattach",
        (false, Some(_)) => "resume",
        (false, None) => "restart",
        (true, None) => "reattach to nothing",
    }
}

async fn whole(server: &Server, id: &str) -> Vec<(u64, Value)> {
    let whole = send(server.addr, get(&at(id))).await.whole().await;
    assert!(whole.clean, "{whole:?}");
    ndjson(whole.text())
}

#[tokio::test]
async fn a_way_that_is_declined_leaves_no_trace_and_the_next_one_is_tried() {
    let store = Memory::new();
    let id = interrupted(&store, &[ChatEvent::text("Hel"), cursor(1)]).await;
    let ways = Recovery::new().reattach().resume().restart();
    let (second, calls) = server(&store, ways).await;
    let reader = tokio::spawn(send(second.addr, get(&at(&id))));
    for expected in ["reattach", "resume"] {
        let call = calls.next().await;
        assert_eq!(way(&call), expected);
        call.fail(ProviderError::cannot_continue("not here"));
    }
    let call = calls.next().await;
    assert_eq!(way(&call), "restart");
    let session: SessionId = id.parse().unwrap();
    let state = store.state(&session).await.unwrap();
    assert_eq!(
        (state.tail.get(), state.epoch.claims()),
        (3, 1),
        "all in one claim, and nothing written"
    );
    call.say("Hello");
    drop(call);
    drop(reader.await.unwrap());
    let events = whole(&second, &id).await;
    let expected = [
        "session_info",
        "text",
        "provider_state",
        "restarted",
        "text",
        "complete",
    ];
    assert_eq!(kinds(&events), expected);
}

#[tokio::test]
async fn a_provider_that_reads_on_gets_the_state_of_its_stream() {
    let store = Memory::new();
    let said = [cursor(1), ChatEvent::text("Hel"), cursor(2)];
    let id = interrupted(&store, &said).await;
    let (second, calls) = server(&store, Recovery::new().reattach().restart()).await;
    let reader = tokio::spawn(send(second.addr, get(&at(&id))));
    let call = calls.next().await;
    assert_eq!(way(&call), "reattach");
    let so_far = call.request.so_far.clone().unwrap();
    let state = so_far.stream_state().and_then(|state| state.of("test"));
    assert_eq!(state, Some(&json!({"at": 2})), "the latest");
    assert_eq!(call.request.messages.len(), 1, "no part of the answer");
    call.say("lo");
    drop(call);
    drop(reader.await.unwrap());
    let events = whole(&second, &id).await;
    assert!(!kinds(&events).contains(&"restarted"));
    assert!(calls.none().await);
}

#[tokio::test]
async fn without_a_state_of_the_stream_no_provider_is_asked_to_read_on() {
    let store = Memory::new();
    let id = interrupted(&store, &[ChatEvent::text("Hel")]).await;
    let (second, calls) = server(&store, Recovery::new().reattach()).await;
    let events = whole(&second, &id).await;
    let (_, ending) = events.last().unwrap();
    assert_eq!(ending["code"], "interrupted");
    let message = ending["message"].as_str().unwrap();
    assert!(message.contains("reattach: "), "{message}");
    assert!(calls.none().await);
}

#[tokio::test]
async fn the_error_of_an_answer_that_no_way_continues_names_each_way_and_its_reason() {
    let store = Memory::new();
    let id = interrupted(&store, &[ChatEvent::text("Hel"), cursor(1)]).await;
    let (second, calls) = server(&store, Recovery::new().reattach().resume()).await;
    let reader = tokio::spawn(send(second.addr, get(&at(&id))));
    for reason in ["the server forgot it", "the model can't go on"] {
        let call = calls.next().await;
        call.fail(ProviderError::cannot_continue(reason));
    }
    drop(reader.await.unwrap());
    let events = whole(&second, &id).await;
    let expected = ["session_info", "text", "provider_state", "error"];
    assert_eq!(kinds(&events), expected);
    let (_, ending) = events.last().unwrap();
    assert_eq!(
        (&ending["code"], &ending["recoverable"]),
        (&json!("interrupted"), &json!(true))
    );
    let message = ending["message"].as_str().unwrap();
    for part in [
        "reattach: the server forgot it",
        "resume: the model can't go on",
    ] {
        assert!(message.contains(part), "{message}");
    }
    assert!(calls.none().await);
}

#[tokio::test]
async fn an_error_that_declines_nothing_ends_the_answer_and_leaves_what_clients_have() {
    let store = Memory::new();
    let id = interrupted(&store, &[ChatEvent::text("Hel")]).await;
    let (second, calls) = server(&store, Recovery::new().restart().resume()).await;
    let reader = tokio::spawn(send(second.addr, get(&at(&id))));
    let call = calls.next().await;
    call.fail(ProviderError::new("the key is not accepted"));
    drop(reader.await.unwrap());
    let events = whole(&second, &id).await;
    assert_eq!(kinds(&events), ["session_info", "text", "error"]);
    assert_eq!(events.last().unwrap().1["code"], "provider");
    assert!(calls.none().await);
}

#[tokio::test]
async fn a_provider_that_declines_after_its_first_event_ends_the_answer() {
    let store = Memory::new();
    let id = interrupted(&store, &[ChatEvent::text("Hel")]).await;
    let (second, calls) = server(&store, Recovery::new().resume().restart()).await;
    let reader = tokio::spawn(send(second.addr, get(&at(&id))));
    let call = calls.next().await;
    call.say("lo");
    call.fail(ProviderError::cannot_continue("too late"));
    drop(reader.await.unwrap());
    let events = whole(&second, &id).await;
    assert_eq!(kinds(&events), ["session_info", "text", "text", "error"]);
    assert_eq!(events.last().unwrap().1["message"], "too late");
    assert!(calls.none().await);
}

#[tokio::test]
async fn an_abort_while_ways_are_tried_ends_the_answer_as_aborted_with_the_usage_so_far() {
    let store = Memory::new();
    let turn = TurnEnd::new(FinishReason::Stop).usage(Usage::new(10, 2));
    let id = interrupted(&store, &[ChatEvent::text("Hel"), turn.into()]).await;
    let (second, calls) = server(&store, Recovery::new().resume().restart()).await;
    let reader = tokio::spawn(send(second.addr, get(&at(&id))));
    calls
        .next()
        .await
        .fail(ProviderError::cannot_continue("no"));
    let call = calls.next().await;
    let stop = post(&format!("{}/abort", at(&id)), &json!({}));
    let stopped = send(second.addr, stop).await.whole().await;
    assert!(matches!(stopped.status(), 200 | 202), "{stopped:?}");
    call.dropped().await;
    drop(reader.await.unwrap());
    let events = whole(&second, &id).await;
    let expected = ["session_info", "text", "turn", "aborted"];
    assert_eq!(kinds(&events), expected);
    let (_, ending) = events.last().unwrap();
    assert_eq!(ending["usage"]["inputTokens"], 10, "{ending}");
}

#[tokio::test]
async fn planned_deploys_cost_no_attempt() {
    let store = Memory::new();
    let id = interrupted(&store, &[ChatEvent::text("Hel")]).await;
    let session: SessionId = id.parse().unwrap();
    for deploy in 1..=20 {
        let (next, calls) = server(&store, Recovery::new().resume().attempts(1)).await;
        let reader = tokio::spawn(send(next.addr, get(&at(&id))));
        let call = calls.next().await;
        assert_eq!(way(&call), "resume", "deploy {deploy}");
        next.sessions.shutdown(Duration::ZERO).await;
        drop(reader.await);
        let state = store.state(&session).await.unwrap();
        assert_eq!((state.epoch.claims(), state.attempts), (deploy, 0));
    }
    let (last, calls) = server(&store, Recovery::new().resume().attempts(1)).await;
    let reader = tokio::spawn(send(last.addr, get(&at(&id))));
    calls.next().await.say("lo");
    drop(reader.await.unwrap());
    let events = whole(&last, &id).await;
    assert_eq!(kinds(&events), ["session_info", "text", "text", "complete"]);
}

#[tokio::test]
async fn attempts_without_progress_are_bounded() {
    for (most, goes_on) in [(3, false), (4, true)] {
        let store = Memory::new();
        let id = interrupted(&store, &[ChatEvent::text("Hel")]).await;
        let session: SessionId = id.parse().unwrap();
        // Servers that take the session over and die.
        for _ in 0..4 {
            let expired = async || store.state(&session).await.unwrap().lease.is_over();
            until(expired).await;
            let seen = store.state(&session).await.unwrap();
            let lease = Duration::from_millis(1);
            let claim = store.claim(&session, seen.epoch, Token::random(), lease);
            claim.await.unwrap();
        }
        let expired = async || store.state(&session).await.unwrap().lease == Lease::Expired;
        until(expired).await;
        // The first claim followed a lease that was given back.
        assert_eq!(store.state(&session).await.unwrap().attempts, 3);
        let ways = Recovery::new().resume().attempts(most + 1);
        let (server, calls) = server(&store, ways).await;
        let reader = tokio::spawn(send(server.addr, get(&at(&id))));
        if goes_on {
            calls.next().await.say("lo");
        }
        drop(reader.await.unwrap());
        let events = whole(&server, &id).await;
        let (_, ending) = events.last().unwrap();
        assert_eq!(ending["type"] == "complete", goes_on, "{ending}");
        assert_eq!(store.state(&session).await.unwrap().attempts, 4);
        assert!(calls.none().await);
    }
}

#[tokio::test]
async fn arguments_that_streamed_go_on_under_their_id_for_a_provider_that_reads_on() {
    let input =
        |delta: &str| ChatEvent::from(unbroken::chat::ToolInput::new("c1", delta).name("pay"));
    for reattach in [true, false] {
        let store = Memory::new();
        let id = interrupted(&store, &[cursor(1), input("{\"a\":")]).await;
        let ways = if reattach {
            Recovery::new().reattach()
        } else {
            Recovery::new().resume()
        };
        let (second, calls) = server(&store, ways).await;
        let reader = tokio::spawn(send(second.addr, get(&at(&id))));
        let call = calls.next().await;
        call.event(input("5}"));
        call.event(ChatEvent::tool_calls([ToolCall::new(
            "c1",
            "pay",
            json!({"a": 5}),
        )]));
        drop(call);
        drop(reader.await.unwrap());
        let events = whole(&second, &id).await;
        let cut = events.iter().any(|(_, event)| event["cut"] == true);
        let call = events
            .iter()
            .find(|(_, event)| event["type"] == "tool_calls");
        let call = call.unwrap().1["calls"][0]["id"].as_str().unwrap();
        assert_eq!((cut, call == "c1"), (!reattach, reattach), "{events:?}");
    }
}

#[tokio::test]
async fn a_restart_does_not_wait_for_the_answer_to_a_question_that_it_drops() {
    for (restart, code) in [(true, "timeout"), (false, "interrupted")] {
        let store = Memory::new();
        let question = InputRequest::approval(InputId::random(), "Send the mail?");
        let id = interrupted(&store, &[question.into()]).await;
        let ways = if restart {
            Recovery::new().restart()
        } else {
            Recovery::new().resume()
        };
        let limits = Limits::default().idle(Duration::from_millis(300));
        let sessions = Sessions::builder(store.clone()).lease(LEASE).limits(limits);
        let (second, calls) = driven_with(sessions.build(), |layer| layer.recovery(ways)).await;
        let reader = tokio::spawn(send(second.addr, get(&at(&id))));
        let call = calls.next().await;
        if restart {
            call.dropped().await;
        } else {
            // A person may take their time.
            tokio::time::sleep(Duration::from_millis(900)).await;
            assert!(!call.is_dropped());
            call.fail(ProviderError::cannot_continue("enough"));
        }
        drop(reader.await.unwrap());
        let events = whole(&second, &id).await;
        assert_eq!(kinds(&events), ["session_info", "input_request", "error"]);
        assert_eq!(events.last().unwrap().1["code"], code);
    }
}

#[tokio::test]
async fn an_orphan_that_is_only_sealed_ends_with_the_usage_of_its_turns() {
    let turn = |input, output| -> ChatEvent {
        let usage = Usage::new(input, output);
        TurnEnd::new(FinishReason::ToolCalls).usage(usage).into()
    };
    let no_way: fn() -> Recovery = Recovery::new;
    let used_up: fn() -> Recovery = || Recovery::new().restart().attempts(0);
    for (said, expected) in [
        (
            vec![turn(10, 2), turn(20, 3), ChatEvent::text("x")],
            Some((30, 5)),
        ),
        (
            vec![turn(10, 2), ChatEvent::restarted("again"), turn(20, 3)],
            Some((20, 3)),
        ),
        (vec![ChatEvent::text("no turn is over")], None),
    ] {
        for (recovery, stopped) in [(no_way, false), (used_up, false), (used_up, true)] {
            let store = Memory::new();
            let id = interrupted(&store, &said).await;
            if stopped {
                let session: SessionId = id.parse().unwrap();
                let _ = store
                    .abort(&session, AbortRequest::default())
                    .await
                    .unwrap();
            }
            let (second, calls) = server(&store, recovery()).await;
            let events = whole(&second, &id).await;
            let (_, ending) = events.last().unwrap();
            let kind = if stopped { "aborted" } else { "error" };
            assert_eq!(ending["type"], kind);
            let expected = expected
                .map(|(input, output)| json!({"inputTokens": input, "outputTokens": output}));
            assert_eq!(ending["usage"], expected.unwrap_or_default(), "{ending}");
            assert!(calls.none().await);
        }
    }
}
