//! The work that every target does with its input.

#[path = "../../src/dialect/json_size.rs"]
mod json_size;

use bytes::Bytes;
use http::{Request, request::Parts};
use unbroken::dialect::{Dialect, Intent, RequestLimits, Route, SessionNaming, Subject};

/// Decodes a request as the layer does, and checks that its subject and its intent agree.
pub fn decode(dialect: &dyn Dialect, input: &[u8]) {
    let end = input.iter().position(|&byte| byte == b'\n');
    let (line, body) = input.split_at(end.unwrap_or(input.len()));
    let Some((method, uri)) = std::str::from_utf8(line).ok().and_then(|it| it.split_once(' '))
    else {
        return;
    };
    let request = Request::builder()
        .method(method)
        .uri(uri)
        .header("content-type", "application/json");
    let Ok(request) = request.body(()) else {
        return;
    };
    let (head, ()) = request.into_parts();
    if !matches!(dialect.route(&head), Ok(Route::Body)) {
        return;
    }
    let body = Bytes::copy_from_slice(body.strip_prefix(b"\n").unwrap_or(body));
    let subject = dialect.subject(&head, &body);
    let intent = dialect.decode(&head, &body, &RequestLimits::new());
    if intent.is_ok() && subject.is_ok() {
        assert_limited(dialect, &head, &body);
    }
    match (subject, intent) {
        (Ok(Subject::Start { session, chat }), Ok(Intent::Start(start))) => {
            assert_eq!(chat, start.chat);
            match start.naming {
                SessionNaming::Client(id) => assert_eq!(session, Some(id)),
                _ => assert_eq!(session, None),
            }
        }
        (Ok(Subject::Answer(target)), Ok(Intent::Answer { session, .. })) => {
            assert_eq!(target, session);
        }
        (Ok(Subject::Known(_)) | Err(_), _) | (_, Err(_)) => {}
        (Ok(subject), Ok(intent)) => panic!("{subject:?} is not {intent:?}"),
    }
}

/// Checks that a body which is decoded is refused if it has one value or one level more than allowed.
fn assert_limited(dialect: &dyn Dialect, head: &Parts, body: &Bytes) {
    let Some((values, depth)) = json_size::json_size(body) else {
        return; // the head alone is the request
    };
    for less in [
        RequestLimits::new().values(values - 1),
        RequestLimits::new().depth(depth - 1),
    ] {
        let decoded = dialect.decode(head, body, &less);
        assert!(decoded.is_err(), "decoded within {less:?}");
    }
}
