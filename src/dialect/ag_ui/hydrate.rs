use bytes::Bytes;
use http::{HeaderValue, Response, header};
use serde::Serialize;

use crate::dialect::{SessionView, head::no_store};

/// The state that TanStack's client requests when a page opens. The application owns the messages, so
/// the list is empty.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Hydration<'a> {
    messages: [(); 0],
    active_run: Option<ActiveRun<'a>>,
    interrupts: Option<()>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ActiveRun<'a> {
    run_id: &'a str,
}

/// Returns the response that names the running run of a conversation.
pub(super) fn hydrate(running: Option<&SessionView<'_>>) -> Response<Bytes> {
    let hydration = Hydration {
        messages: [],
        active_run: running.map(|session| ActiveRun {
            run_id: session.id.as_str(),
        }),
        interrupts: None,
    };
    let body = serde_json::to_vec(&hydration).expect("strings are JSON");
    let mut response = Response::new(Bytes::from(body));
    let headers = response.headers_mut();
    no_store(headers);
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response
}
