use std::future::{Ready, ready};

use serde_json::json;
use tokio::time::sleep;
use tower::{ServiceBuilder, load_shed::error::Overloaded, retry::Policy, timeout::error::Elapsed};

use super::*;
use crate::stub::{Step, done, finish, ok, refusal, serve, serve_in_turn, text};

const SOON: Duration = Duration::from_secs(3);

fn fine() -> Vec<Step> {
    vec![ok(), text("Hi"), finish("stop"), done(), Step::End]
}

/// Gives the layers' own errors a message for clients.
fn public(error: BoxError) -> BoxError {
    let public = if error.is::<Elapsed>() {
        ProviderError::new("the model took too long").with_code(ErrorCode::Timeout)
    } else if error.is::<Overloaded>() {
        ProviderError::new("too many are asking at once")
    } else {
        return error;
    };
    public.recoverable(true).with_source(error).into()
}

/// An error of a provider, with or without layers around it.
trait Failure {
    fn public(&self) -> Option<&ProviderError>;
}

impl Failure for ProviderError {
    fn public(&self) -> Option<&ProviderError> {
        Some(self)
    }
}

impl Failure for BoxError {
    fn public(&self) -> Option<&ProviderError> {
        ProviderError::find(&**self)
    }
}

/// This number of retries.
#[derive(Clone)]
struct Again(u32);

impl<E> Policy<ChatRequest, AnswerStream, E> for Again
where
    E: Failure,
{
    type Future = Ready<()>;

    fn retry(
        &mut self,
        _: &mut ChatRequest,
        answer: &mut Result<AnswerStream, E>,
    ) -> Option<Ready<()>> {
        let failure = answer.as_ref().err()?.public()?;
        let again = failure.is_recoverable() && self.0 > 0;
        self.0 -= u32::from(again);
        again.then(|| ready(()))
    }

    fn clone_request(&mut self, request: &ChatRequest) -> Option<ChatRequest> {
        Some(request.clone())
    }
}

// The clock is paused in these: it jumps as soon as all tasks wait.

#[tokio::test(start_paused = true)]
async fn a_timeout_covers_the_time_until_the_first_event_and_not_the_answer() {
    let slow = vec![
        ok(),
        text("Hal"),
        Step::Pause(SOON * 10),
        text("lo"),
        finish("stop"),
        done(),
        Step::End,
    ];
    let stub = serve_in_turn(vec![vec![ok(), Step::Silence], slow]).await;
    let chat = layer().layer(
        ServiceBuilder::new()
            .map_err(public)
            .timeout(SOON)
            .service(model(&stub)),
    );
    let events = read(start(&chat, &hello()).await).await;
    assert_eq!(text_of(&events), "");
    assert_eq!(
        *end(&events),
        json!({"type": "error", "message": "the model took too long", "recoverable": true, "code": "timeout"})
    );
    let events = read(start(&chat, &hello()).await).await;
    assert_eq!(text_of(&events), "Hallo");
    assert_eq!(end(&events)["type"], "complete");
}

#[tokio::test]
async fn a_concurrency_limit_refuses_starts_while_others_wait_for_their_first_event() {
    let mut stub = serve_in_turn(vec![
        vec![ok(), Step::Silence],
        vec![ok(), text("Hi"), Step::Silence],
        fine(),
    ])
    .await;
    let provider = ServiceBuilder::new()
        .concurrency_limit(1)
        .service(model(&stub));
    let chat = layer().layer(provider);
    let waiting = start(&chat, &hello()).await;
    assert_eq!(waiting.status(), StatusCode::OK);
    // It has the only place from when it asks …
    timeout(GUARD, stub.requests.recv()).await.unwrap().unwrap();
    // … and keeps it when the head of the response is here.
    sleep(Duration::from_millis(50)).await;
    let refused = start(&chat, &hello()).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.headers().contains_key(header::RETRY_AFTER));
    assert!(stub.requests.try_recv().is_err());

    let id = waiting.headers()["x-session-id"]
        .to_str()
        .unwrap()
        .to_owned();
    abort(&chat, &id).await;
    assert_eq!(end(&read(waiting).await)["type"], "aborted");
    // A place is free once the first event is here, however long the answer goes on.
    let mut first = start(&chat, &hello()).await.into_body();
    let mut read_so_far = String::new();
    while !read_so_far.contains("\"Hi\"") {
        let frame = timeout(GUARD, first.frame())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        read_so_far += std::str::from_utf8(frame.data_ref().unwrap()).unwrap();
    }
    let events = read(start(&chat, &hello()).await).await;
    assert_eq!(text_of(&events), "Hi");
}

#[tokio::test]
async fn load_shed_ends_the_session_with_its_message() {
    let mut stub = serve_in_turn(vec![vec![ok(), Step::Silence], fine()]).await;
    let chat = layer().layer(
        ServiceBuilder::new()
            .map_err(public)
            .load_shed()
            .concurrency_limit(1)
            .service(model(&stub)),
    );
    let _waiting = start(&chat, &hello()).await;
    timeout(GUARD, stub.requests.recv()).await.unwrap().unwrap();
    let events = read(start(&chat, &hello()).await).await;
    assert_eq!(
        *end(&events),
        json!({"type": "error", "message": "too many are asking at once", "recoverable": true, "code": "provider"})
    );
}

#[tokio::test]
async fn a_retry_covers_failures_before_the_first_event_and_none_after() {
    let overloaded = vec![refusal("503 Service Unavailable", "", "")];
    let cut = vec![ok(), Step::End];
    let mut stub = serve_in_turn(vec![overloaded.clone(), cut, fine()]).await;
    let provider = ServiceBuilder::new().retry(Again(2)).service(model(&stub));
    let events = read(start(&layer().layer(provider), &hello()).await).await;
    assert_eq!(text_of(&events), "Hi");
    assert_eq!(requests(&mut stub), 3);

    let mut stub = serve(overloaded).await;
    let provider = ServiceBuilder::new().retry(Again(2)).service(model(&stub));
    let events = read(start(&layer().layer(provider), &hello()).await).await;
    assert_eq!(end(&events)["code"], "provider");
    assert_eq!(requests(&mut stub), 3);

    let mut stub = serve(vec![ok(), text("Hal"), Step::End]).await;
    let provider = ServiceBuilder::new().retry(Again(2)).service(model(&stub));
    let events = read(start(&layer().layer(provider), &hello()).await).await;
    assert_eq!(text_of(&events), "Hal");
    assert_eq!(end(&events)["recoverable"], true);
    assert_eq!(requests(&mut stub), 1);
}

#[tokio::test(start_paused = true)]
async fn all_layers_work_together() {
    let answers = vec![
        vec![refusal("503 Service Unavailable", "", "")],
        vec![ok(), Step::Silence],
        fine(),
    ];
    let mut stub = serve_in_turn(answers).await;
    let provider = ServiceBuilder::new()
        .map_err(public)
        .load_shed()
        .concurrency_limit(8)
        .retry(Again(2))
        .map_err(public)
        .timeout(SOON)
        .service(model(&stub));
    let events = read(start(&layer().layer(provider), &hello()).await).await;
    assert_eq!(text_of(&events), "Hi");
    assert_eq!(requests(&mut stub), 3);
}

async fn abort<S>(chat: &S, id: &str)
where
    S: Service<http::Request<String>, Response = http::Response<SessionBody>, Error = Infallible>
        + Clone,
{
    let request = http::Request::post(format!("/{id}/abort")).body(String::new());
    let aborted = chat.clone().oneshot(request.unwrap()).await.unwrap();
    assert_eq!(aborted.status(), StatusCode::ACCEPTED);
}
