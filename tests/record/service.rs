//! The wrapped service: its readiness and its errors.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use tower::{Service, ServiceBuilder, ServiceExt as _, limit::ConcurrencyLimitLayer, service_fn};
use tower_layer::Layer as _;
use unbroken::{BoxError, record::InnerBody, session::Sessions};

use crate::{
    app::{App, about, ask, data, id, layer},
    client::{SOON, With as _},
};

async fn at_its_limit(ready_timeout: Duration) -> App {
    let sessions = Sessions::in_memory();
    let layer = layer(&sessions).ready_timeout(ready_timeout);
    App::serve(sessions, |router| {
        let layers = ServiceBuilder::new().layer(layer);
        router.layer(layers.layer(ConcurrencyLimitLayer::new(1)))
    })
    .await
}

#[tokio::test]
async fn a_start_is_refused_while_the_service_is_not_ready_and_a_resume_is_not() {
    let app = at_its_limit(Duration::ZERO).await;
    let request = || ask("Why?").with("x-session-id", id("one"));
    let first = app.send_later(request());
    let asked = app.asked().await;
    let refused = app.send(ask("Who?")).await.whole().await;
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.json()["type"], "urn:unbroken:service-not-ready");
    assert!(refused.head.headers.contains_key("retry-after"));
    // Both wait for the head of the first.
    let (again, reader) = (
        app.send_later(request()),
        app.send_later(about("GET", &id("one"))),
    );
    let said = asked.events();
    said.say("one");
    drop(said);
    for answer in [first, again, reader] {
        assert_eq!(data(answer.await.unwrap().whole().await.text()), ["one"]);
    }
    assert!(app.is_quiet().await);
}

#[tokio::test]
async fn a_start_waits_for_the_service_as_long_as_the_layer_says() {
    let app = at_its_limit(Duration::from_secs(10)).await;
    let first = app.send_later(ask("Why?"));
    let asked = app.asked().await;
    let second = app.send_later(ask("Who?"));
    drop(asked.events());
    assert!(first.await.unwrap().whole().await.clean);
    drop(app.asked().await.events());
    assert_eq!(second.await.unwrap().status(), 200);
}

fn request(method: &str) -> Request<Full<Bytes>> {
    let request = Request::builder()
        .method(method)
        .header("x-session-id", id("failed"));
    request.body(Full::default()).unwrap()
}

#[tokio::test]
async fn an_error_of_the_service_is_the_layers_error_and_the_id_is_free_again() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let service = service_fn(move |_: Request<InnerBody<Full<Bytes>>>| {
        let call = counted.fetch_add(1, SeqCst);
        async move {
            if call == 0 {
                return Err::<Response<Full<Bytes>>, BoxError>("as the test wanted".into());
            }
            let events = Full::from("data: one\n\n");
            let response = Response::builder().header("content-type", "text/event-stream");
            Ok(response.body(events).unwrap())
        }
    });
    let service = layer(&Sessions::in_memory()).layer(service);
    let error = service.clone().oneshot(request("POST")).await.unwrap_err();
    assert_eq!(error.to_string(), "as the test wanted");
    let response = service.clone().oneshot(request("GET")).await.unwrap();
    assert_eq!(response.status(), 404);
    let response = service.oneshot(request("POST")).await.unwrap();
    let whole = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(data(std::str::from_utf8(&whole).unwrap()), ["one"]);
    assert_eq!(calls.load(SeqCst), 2);
}

#[tokio::test]
async fn a_response_that_passes_is_dropped_if_its_client_has_left() {
    let app = App::new().await;
    let starter = app.send_later(ask("Why?").with("x-session-id", id("left")));
    let asked = app.asked().await;
    starter.abort();
    assert!(starter.await.is_err());
    asked.respond("not a stream");
    // The id is free in a moment, for another request too.
    let said = tokio::time::timeout(SOON, async {
        loop {
            let answer = app.send_later(ask("Who?").with("x-session-id", id("left")));
            tokio::select! {
                answer = answer => assert_eq!(answer.unwrap().status(), 409),
                asked = app.asked() => break asked.events(),
            }
        }
    });
    drop(said.await.expect("it is free"));
}

#[test]
fn a_service_that_is_not_sync_and_fails_in_its_own_way_is_wrapped() {
    struct Failed;
    impl From<Failed> for BoxError {
        fn from(_: Failed) -> Self {
            "failed".into()
        }
    }
    fn is_service<B, S: Service<Request<B>> + Clone + Send>(_: &S) {}
    let not_sync = std::cell::Cell::new(());
    let service = service_fn(move |_: Request<InnerBody<Full<Bytes>>>| {
        not_sync.set(());
        async { Err::<Response<Full<Bytes>>, Failed>(Failed) }
    });
    is_service::<Full<Bytes>, _>(&layer(&Sessions::in_memory()).layer(service));
    let infallible = service_fn(|_: Request<InnerBody<Full<Bytes>>>| async {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    is_service::<Full<Bytes>, _>(&layer(&Sessions::in_memory()).layer(infallible));
}
