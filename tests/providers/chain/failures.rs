//! Answers that fail at the other server.

use futures_util::stream;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use unbroken::{chat::provider_fn, log::ErrorCode};

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
