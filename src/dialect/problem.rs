use bytes::Bytes;
use http::{HeaderValue, Response, header};
use serde::Serialize;

use super::{Refusal, head::no_store};

#[derive(Serialize)]
struct ProblemDocument<'a> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: &'a str,
}

/// Writes a refusal as `application/problem+json` (RFC 9457).
pub(crate) fn refuse(refusal: &Refusal) -> Response<Bytes> {
    let problem = refusal.problem;
    let document = ProblemDocument {
        r#type: problem.urn(),
        title: problem.title(),
        status: problem.status().as_u16(),
        detail: &refusal.detail,
    };
    let body = serde_json::to_vec(&document).expect("strings and a number are JSON");
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = problem.status();
    let headers = response.headers_mut();
    no_store(headers);
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    );
    if let Some(after) = refusal.retry_after {
        // Whole seconds, rounded up: an early retry would be refused again.
        let seconds = after.as_millis().div_ceil(1000);
        let seconds = u64::try_from(seconds).unwrap_or(u64::MAX);
        headers.insert(header::RETRY_AFTER, seconds.into());
    }
    if let Some(allow) = refusal.allow {
        headers.insert(header::ALLOW, HeaderValue::from_static(allow));
    }
    response
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::dialect::Problem;

    #[test]
    fn a_refusal_is_a_problem_document_of_rfc_9457() {
        let refusal = Refusal::new(Problem::OverLimit, "wait \"a bit\"")
            .retry_after(Duration::from_millis(1200));
        let response = refuse(&refusal);
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()[header::RETRY_AFTER], "2");
        assert_eq!(
            response.headers()[header::CONTENT_TYPE],
            "application/problem+json"
        );
        let document: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(
            document,
            serde_json::json!({
                "type": "urn:unbroken:over-limit",
                "title": "Too many sessions",
                "status": 429,
                "detail": "wait \"a bit\"",
            })
        );
    }
}
