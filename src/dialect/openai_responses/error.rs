use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, header};
use serde::Serialize;

use crate::dialect::{Problem, Refusal, head::no_store};

/// The header that tells the SDKs whether to repeat a request.
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

#[derive(Serialize)]
struct ErrorDocument<'a> {
    error: ErrorObject<'a>,
}

#[derive(Serialize)]
struct ErrorObject<'a> {
    message: &'a str,
    r#type: &'static str,
    param: Option<&'a str>,
    code: String,
}

/// Writes a refusal as an error document of OpenAI's API.
pub(super) fn refuse(refusal: &Refusal) -> Response<Bytes> {
    let problem = refusal.problem;
    let status = problem.status();
    let document = ErrorDocument {
        error: ErrorObject {
            message: &refusal.detail,
            r#type: kind(problem),
            param: None,
            code: code(problem),
        },
    };
    let body = serde_json::to_vec(&document).expect("strings are JSON");
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    no_store(headers);
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    if is_repeated(problem) && !may_succeed(problem) {
        headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
    }
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

/// Returns true if the SDKs repeat a request that was refused with this problem, by default.
fn is_repeated(problem: Problem) -> bool {
    let status = problem.status();
    status.is_server_error() || matches!(status.as_u16(), 408 | 409 | 429)
}

/// Returns true if a repetition may succeed soon.
fn may_succeed(problem: Problem) -> bool {
    matches!(
        problem,
        Problem::BodyTooSlow
            | Problem::Interrupted
            | Problem::OverLimit
            | Problem::ProviderNotReady
            | Problem::ServiceNotReady
            | Problem::StoreUnavailable
            | Problem::ShuttingDown
    )
}

fn kind(problem: Problem) -> &'static str {
    match problem.status().as_u16() {
        403 => "permission_error",
        429 => "rate_limit_error",
        500.. => "server_error",
        _ => "invalid_request_error",
    }
}

/// Returns the name of the problem in the format of OpenAI's codes.
fn code(problem: Problem) -> String {
    let urn = problem.urn();
    let name = urn.rsplit_once(':').map_or(urn, |(_, name)| name);
    name.replace('-', "_")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_refusal_is_an_error_document_of_openai() {
        let refusal = Refusal::new(Problem::OverLimit, "wait \"a bit\"")
            .retry_after(Duration::from_millis(1200));
        let response = refuse(&refusal);
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()[header::RETRY_AFTER], "2");
        let document: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(
            document,
            serde_json::json!({"error": {
                "message": "wait \"a bit\"",
                "type": "rate_limit_error",
                "param": null,
                "code": "over_limit",
            }})
        );
    }

    #[test]
    fn the_sdks_repeat_only_requests_that_may_succeed() {
        for &problem in Problem::ALL {
            let response = refuse(&Refusal::new(problem, "no"));
            let told = response.headers().contains_key(SHOULD_RETRY);
            match problem.status().as_u16() {
                429 | 503 | 408 => assert!(!told || problem == Problem::UnsupportedFormat),
                409 | 500 | 502 | 504 => assert!(told, "{problem:?}"),
                _ => assert!(!told, "{problem:?}"),
            }
        }
    }
}
