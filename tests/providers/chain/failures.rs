//! Answers that fail at the other server.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::stream;
use tower::Service;
use tower_layer::Layer;
use unbroken::{
    chat::{InputRequest, Liveness, Transcript, provider_fn},
    log::ErrorCode,
    tools::{ToolLayer, Tools},
};

use super::{outer::provider, *};

#[tokio::test]
async fn a_call_that_is_repeated_after_a_failure_is_a_new_one_and_attaches_after_a_success() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let model = provider_fn(move |_| {
        let fails = counted.fetch_add(1, Ordering::Relaxed) < 2;
        let error = ProviderError::new("Sekret")
            .recoverable(true)
            .with_usage(Usage::new(2, 1));
        let end = if fails {
            Err(error)
        } else {
            Ok(ChatEvent::complete())
        };
        stream::iter([Ok(ChatEvent::text("Hel")), end])
    });
    let server = InnerServer::start(mounted(Sessions::in_memory(), model)).await;
    let mut request = ChatRequest::from_user("Hi");
    request.session_id = Some(SessionId::random());
    for _ in 0..2 {
        let error = ask(&provider(&server), request.clone()).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::Provider);
        assert!(
            error.is_recoverable() && !format!("{error:?}").contains("Sekret"),
            "{error:?}"
        );
        assert_eq!(error.usage(), Some(&Usage::new(2, 1)));
    }
    for _ in 0..2 {
        let events = ask(&provider(&server), request.clone()).await.unwrap();
        assert_eq!(
            told(&events),
            told(&[ChatEvent::text("Hel"), ChatEvent::complete()])
        );
    }
    assert_eq!(calls.load(Ordering::Relaxed), 3);
    assert_eq!(server.count("POST", "/abort"), 0);
}

#[tokio::test]
async fn the_rest_of_an_interrupted_answer_is_read_on_or_declined() {
    let model = GatedModel::new(all_kinds());
    let server = InnerServer::start(mounted(Sessions::in_memory(), model.provider())).await;
    let provider = provider(&server);
    let mut request = ChatRequest::from_user("Hi");
    let so_far: unbroken::chat::Transcript = [ChatEvent::text("It ")].iter().collect();
    request.so_far = Some(so_far.into());
    for reattach in [false, true] {
        request.reattach = reattach;
        let error = ask(&provider, request.clone()).await.unwrap_err();
        assert!(error.is_cannot_continue(), "{error}");
    }
    assert!(server.seen().is_empty());
}

/// The place of an answer that another server of ours began, at the beginning of the log there.
fn place() -> ChatEvent {
    let data = json!({"session": "u0123456789abcdefghjkmnpqrs", "after": 1});
    let state = ProviderState::new("unbroken", data);
    ProviderStateEvent::new(StateOf::Stream, state)
        .spans_turns(true)
        .into()
}

#[tokio::test]
async fn an_answer_of_which_clients_have_anything_is_not_attached_to_by_a_resume() {
    let asked = InputRequest::question("q.1".parse().unwrap(), "Which seat?");
    let mut shown = all_kinds();
    shown.truncate(shown.len() - 1);
    shown.push(asked.into());
    for event in shown {
        let model = GatedModel::new(all_kinds());
        let server = InnerServer::start(mounted(Sessions::in_memory(), model.provider())).await;
        let mut request = ChatRequest::from_user("Hi");
        let so_far: Transcript = [place(), event.clone()].iter().collect();
        request.so_far = Some(so_far.into());
        let error = ask(&provider(&server), request.clone()).await.unwrap_err();
        assert!(error.is_cannot_continue(), "{event:?}: {error}");
        assert!(server.seen().is_empty());
        // Nothing of it was shown.
        let so_far: Transcript = [place()].iter().collect();
        request.so_far = Some(so_far.into());
        let events = ask(&provider(&server), request).await.unwrap();
        assert_eq!(told(&events), told(&all_kinds()));
    }
}

#[tokio::test]
async fn an_answer_is_not_read_on_through_a_tool_layer() {
    let model = GatedModel::new(all_kinds());
    let server = InnerServer::start(mounted(Sessions::in_memory(), model.provider())).await;
    let calls = ChatEvent::tool_calls([ToolCall::new("1", "now", json!({}))]);
    let mut request = ChatRequest::from_user("Hi");
    let so_far: Transcript = [place(), calls].iter().collect();
    request.so_far = Some(so_far.into());
    request.reattach = true;
    request.liveness = Liveness::new();
    let tools = ToolLayer::new(Tools::new()).layer(provider(&server));
    let asked = tools.clone().oneshot(request.clone()).await;
    let Err(error) = asked else {
        panic!("it is declined");
    };
    assert!(error.is_cannot_continue(), "{error}");
    assert!(error.message().contains("tools of this server"), "{error}");
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(server.seen().is_empty());
    // One that was stopped is aborted all the same.
    request.liveness.end();
    let mut tools = tools;
    drop(tools.call(request));
    while server.count("POST", "/abort") == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
