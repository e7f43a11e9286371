use std::time::{SystemTime, UNIX_EPOCH};

use http::{Method, request::Parts};

use super::{
    OpenAiResponses, encoder::ResponsesEncoder, request::CreateResponse, response::ResponseIdentity,
};
use crate::{
    dialect::{
        Abort, FullLog, Intent, Problem, Read, Refusal, RequestLimits, ResponseMode, Route,
        SessionKey, Start,
        head::{content_type, header_value, not_allowed, parse_id},
        names::check_name,
        query::query,
    },
    headers::IDEMPOTENCY_KEY,
    log::{Position, SessionId},
};

const ROOT: &str = "POST, OPTIONS";
const RESPONSE: &str = "GET, HEAD, DELETE, OPTIONS";
const CANCEL: &str = "POST, OPTIONS";

/// The prefix of response ids.
const PREFIX: &str = "resp_";

/// Decodes the head of a request.
pub(super) fn route(head: &Parts) -> Result<Route, Refusal> {
    let path = head.uri.path();
    let mut segments = path.strip_prefix('/').unwrap_or(path).split('/');
    if segments.next() != Some("responses") {
        return Err(no_such_route());
    }
    let intent = match (segments.next(), segments.next(), segments.next()) {
        (None | Some(""), None, _) => return create(head),
        (Some(id), None, _) => response(head, id)?,
        (Some(id), Some("cancel"), None) => cancel(head, id)?,
        _ => return Err(no_such_route()),
    };
    Ok(Route::Known(intent))
}

fn create(head: &Parts) -> Result<Route, Refusal> {
    match head.method {
        Method::POST => content_type(head).map(|()| Route::Body),
        Method::OPTIONS => Ok(Route::Known(Intent::Options { allow: ROOT })),
        _ => Err(not_allowed(ROOT)),
    }
}

fn response(head: &Parts, id: &str) -> Result<Intent, Refusal> {
    match head.method {
        Method::GET | Method::HEAD => retrieve(head, parse_id(id)?),
        Method::DELETE => Ok(Intent::Delete { id: parse_id(id)? }),
        Method::OPTIONS => Ok(Intent::Options { allow: RESPONSE }),
        _ => Err(not_allowed(RESPONSE)),
    }
}

fn retrieve(head: &Parts, id: SessionId) -> Result<Intent, Refusal> {
    let stream = match query(head, "stream").as_deref() {
        None | Some("false" | "False") => false,
        Some("true" | "True") => true,
        Some(_) => return Err(malformed("`stream` is `true` or `false`")),
    };
    if !stream {
        return Ok(Intent::FullLog(FullLog::new(id)));
    }
    let from = match query(head, "starting_after") {
        None => 0,
        Some(number) => {
            let number: Option<u64> = number.parse().ok();
            number
                .and_then(|number| number.checked_add(1))
                .ok_or_else(|| {
                    malformed(
                        "`starting_after` is the `sequence_number` of the last event that came",
                    )
                })?
        }
    };
    // Numbers count events, not records, so the log is read from its start.
    let encoder = Box::new(ResponsesEncoder::from(from));
    Ok(Intent::Read(Read::new(id, Position::START, encoder)))
}

fn cancel(head: &Parts, id: &str) -> Result<Intent, Refusal> {
    match head.method {
        Method::POST => Ok(Intent::Abort(Abort::new(parse_id(id)?).full_log(true))),
        Method::OPTIONS => Ok(Intent::Options { allow: CANCEL }),
        _ => Err(not_allowed(CANCEL)),
    }
}

/// Decodes the body of `POST /responses`.
pub(super) fn decode(
    dialect: &OpenAiResponses,
    head: &Parts,
    create: CreateResponse,
    limits: &RequestLimits,
) -> Result<Intent, Refusal> {
    if let Some(model) = &create.model {
        check_name("the name of a model (`model`)", model)?;
    }
    let key = header_value(head, &IDEMPOTENCY_KEY, Problem::MalformedId)?;
    let mode = match (create.stream, create.background) {
        (true, _) => ResponseMode::Stream(Box::new(ResponsesEncoder::from(0))),
        (false, true) => ResponseMode::CurrentLog,
        (false, false) => ResponseMode::FullLog,
    };
    let (continues, values) = (create.continues(), create.values);
    let (mut request, mut identity) = create.into_request(limits)?;
    identity.created_at = now();
    request.model = request.model.filter(|model| !dialect.is_own_model(model));
    request.enabled_tools = Some(dialect.enabled_tools.clone());
    let note = |identity: &ResponseIdentity| serde_json::to_value(identity).unwrap_or_default();
    let shorter = note(&identity.shorter());
    let start = Start::new(request, mode)
        .continues(continues)
        .values(values)
        .note_or(ResponseIdentity::NOTE, note(&identity), shorter);
    let start = match key.filter(|key| !key.is_empty()) {
        Some(key) => start.key(
            SessionKey::new(["idempotency-key"])
                .secret(&key)
                .prefix(PREFIX),
        ),
        None => start.id_prefix(PREFIX),
    };
    Ok(Intent::Start(Box::new(start)))
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

fn malformed(detail: &'static str) -> Refusal {
    Refusal::new(Problem::MalformedParameter, detail)
}

fn no_such_route() -> Refusal {
    Refusal::new(
        Problem::NoSuchRoute,
        "the paths are /responses, /responses/{id} and /responses/{id}/cancel, below the path where \
         the service is mounted",
    )
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::Request;

    use super::*;
    use crate::dialect::{Dialect, SessionNaming, Target};

    const ID: &str = "resp_0123456789abcdefghjkmnpqrs";

    fn head(method: &str, uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn known(method: &str, uri: &str) -> Intent {
        match route(&head(method, uri, &[])) {
            Ok(Route::Known(intent)) => intent,
            other => panic!("{other:?}"),
        }
    }

    fn start(dialect: &OpenAiResponses, headers: &[(&str, &str)], body: &'static str) -> Start {
        let head = head("POST", "/responses", headers);
        match dialect.decode(
            &head,
            &Bytes::from_static(body.as_bytes()),
            &RequestLimits::new(),
        ) {
            Ok(Intent::Start(start)) => *start,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_route_of_a_response_has_its_intent() {
        let target = Target::Id(ID.parse().unwrap());
        match known("GET", &format!("/responses/{ID}")) {
            Intent::FullLog(whole) => assert!(whole.session == target && !whole.wait_for_end),
            other => panic!("{other:?}"),
        }
        match known(
            "GET",
            &format!("/responses/{ID}?stream=true&starting_after=3"),
        ) {
            Intent::Read(read) => assert!(read.session == target),
            other => panic!("{other:?}"),
        }
        match known("POST", &format!("/responses/{ID}/cancel")) {
            Intent::Abort(abort) => assert!(abort.session == target && abort.full_log),
            other => panic!("{other:?}"),
        }
        assert!(matches!(
            known("DELETE", &format!("/responses/{ID}")),
            Intent::Delete { .. }
        ));
    }

    #[test]
    fn unknown_paths_ids_and_parameters_are_refused() {
        let problem = |method, uri: &str| route(&head(method, uri, &[])).unwrap_err().problem;
        assert_eq!(problem("GET", "/"), Problem::NoSuchRoute);
        assert_eq!(problem("POST", "/chat/completions"), Problem::NoSuchRoute);
        assert_eq!(problem("GET", "/responses"), Problem::MethodNotAllowed);
        assert_eq!(problem("GET", "/responses/short"), Problem::MalformedId);
        for query in [
            "stream=maybe",
            "stream=true&starting_after=x",
            "stream=true&starting_after=-1",
        ] {
            let uri = format!("/responses/{ID}?{query}");
            assert_eq!(problem("GET", &uri), Problem::MalformedParameter, "{query}");
        }
    }

    #[test]
    fn the_body_selects_the_response_mode() {
        let dialect = OpenAiResponses::new();
        let mode = |body| start(&dialect, &[], body).response_mode;
        assert!(matches!(
            mode(r#"{"input":"Hi","stream":true,"background":true}"#),
            ResponseMode::Stream(_)
        ));
        assert!(matches!(
            mode(r#"{"input":"Hi","background":true}"#),
            ResponseMode::CurrentLog
        ));
        assert!(matches!(mode(r#"{"input":"Hi"}"#), ResponseMode::FullLog));
    }

    #[test]
    fn an_idempotency_key_names_the_session() {
        let dialect = OpenAiResponses::new();
        let naming =
            |headers: &[(&str, &str)]| start(&dialect, headers, r#"{"input":"Hi"}"#).naming;
        assert!(matches!(naming(&[]), SessionNaming::Prefixed("resp_")));
        let key = |value| match naming(&[("idempotency-key", value)]) {
            SessionNaming::Key(key) => key,
            other => panic!("{other:?}"),
        };
        assert_eq!(key("a"), key("a"));
        assert_ne!(key("a"), key("b"));
    }

    #[test]
    fn the_name_of_the_applications_model_is_not_passed_on() {
        let dialect = OpenAiResponses::new().model("assistant");
        let model = |body| start(&dialect, &[], body).request.model;
        assert_eq!(model(r#"{"model":"assistant","input":"Hi"}"#), None);
        assert_eq!(
            model(r#"{"model":"gpt","input":"Hi"}"#).as_deref(),
            Some("gpt")
        );
        let noted = start(&dialect, &[], r#"{"model":"assistant","input":"Hi"}"#).notes;
        assert_eq!(noted[ResponseIdentity::NOTE]["model"], "assistant");
    }
}
