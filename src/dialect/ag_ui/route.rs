use bytes::Bytes;
use http::{HeaderName, Method, request::Parts};

use super::{
    AgUi,
    cursor::EventId,
    encoder::AgUiEncoder,
    request::{RunAgentInput, RunSubject},
    restart::ConversationNote,
};
use crate::{
    dialect::{
        Abort, FullLog, Intent, InvalidCursor, Problem, Read, Refusal, RequestLimits, ResponseMode,
        Route, Start, Subject,
        head::{content_type, header_value, not_allowed, parse_id},
        inputs,
        names::{chat_in_body, chat_in_query},
        query::query,
    },
    headers::{LAST_EVENT_ID, RUN_ID},
    log::{InvalidSessionId, Position, SessionId},
};

const ROOT: &str = "GET, HEAD, POST, OPTIONS";
const SESSION: &str = "GET, HEAD, DELETE, OPTIONS";
const ABORT: &str = "POST, OPTIONS";

/// Decodes the head of a request.
pub(super) fn route(head: &Parts) -> Result<Route, Refusal> {
    let path = head.uri.path();
    let mut segments = path.strip_prefix('/').unwrap_or(path).split('/');
    let intent = match (segments.next(), segments.next(), segments.next()) {
        (None | Some(""), None, _) => return root(head),
        (Some(id), None, _) => session(head, id)?,
        (Some(id), Some("abort"), None) => abort(head, id)?,
        // AG-UI has no route for answers to a running run.
        (Some(id), Some("inputs"), Some(input)) if segments.next().is_none() => {
            if head.method == Method::POST {
                parse_id(id)?;
            }
            return inputs::route(head, input);
        }
        _ => {
            return Err(Refusal::new(
                Problem::NoSuchRoute,
                "the paths are /, /{runId}, /{runId}/abort and /{runId}/inputs/{inputId}, below the \
                 path where the service is mounted",
            ));
        }
    };
    Ok(Route::Known(intent))
}

fn root(head: &Parts) -> Result<Route, Refusal> {
    match head.method {
        Method::POST => match (run_id(head)?, last_event_id(head)?) {
            // A reconnect repeats the whole request; its body is not needed.
            (Some(id), Some(after)) => Ok(Route::Known(read(id, Some(after), true))),
            _ => content_type(head).map(|()| Route::Body),
        },
        Method::GET | Method::HEAD => join(head).map(Route::Known),
        Method::OPTIONS => Ok(Route::Known(Intent::Options { allow: ROOT })),
        _ => Err(not_allowed(ROOT)),
    }
}

/// Decodes a read of the run in the query, or of the running run of a conversation.
fn join(head: &Parts) -> Result<Intent, Refusal> {
    if let Some(id) = query(head, "runId") {
        let after = match last_event_id(head)? {
            None => offset(head)?,
            after => after,
        };
        // Only TanStack's client sends this parameter.
        let tanstack = query(head, "offset").is_some();
        return Ok(read(parse_id(&id)?, after, tanstack));
    }
    match chat_in_query(head, "threadId")? {
        Some(thread) => Ok(Intent::FullLog(FullLog::new(thread))),
        None => Err(Refusal::new(
            Problem::MalformedParameter,
            "name a run with `?offset=-1&runId=`, or a conversation with `?threadId=`",
        )),
    }
}

fn session(head: &Parts, id: &str) -> Result<Intent, Refusal> {
    match head.method {
        Method::GET | Method::HEAD => Ok(read(parse_id(id)?, last_event_id(head)?, false)),
        Method::DELETE => Ok(Intent::Delete { id: parse_id(id)? }),
        Method::OPTIONS => Ok(Intent::Options { allow: SESSION }),
        _ => Err(not_allowed(SESSION)),
    }
}

fn abort(head: &Parts, id: &str) -> Result<Intent, Refusal> {
    match head.method {
        Method::POST => Ok(Intent::Abort(Abort::new(parse_id(id)?))),
        Method::OPTIONS => Ok(Intent::Options { allow: ABORT }),
        _ => Err(not_allowed(ABORT)),
    }
}

/// Decodes the names in the body of a request.
pub(super) fn subject(head: &Parts, body: &Bytes) -> Result<Subject, Refusal> {
    if let Some((id, _)) = inputs::parse_path(head) {
        return Ok(Subject::Answer(parse_id(id)?.into()));
    }
    let input = RunSubject::read(body)?;
    let header = run_id(head)?;
    let tanstack = header.is_some();
    match (
        named(header, input.run_id.as_deref())?,
        last_event_id(head)?,
    ) {
        (Some(id), Some(after)) => Ok(Subject::Known(read(id, Some(after), tanstack))),
        (None, Some(_)) => Err(Refusal::new(
            Problem::MalformedId,
            "to reconnect, send X-Run-Id beside Last-Event-ID; to start, leave Last-Event-ID out",
        )),
        (session, None) => Ok(Subject::Start {
            session,
            chat: chat_in_body("threadId", input.thread_id)?,
        }),
    }
}

/// Decodes the body of a request.
pub(super) fn decode(
    dialect: &AgUi,
    head: &Parts,
    body: &Bytes,
    limits: &RequestLimits,
) -> Result<Intent, Refusal> {
    if let Some((id, input)) = inputs::parse_path(head) {
        return inputs::decode(parse_id(id)?, input, body, limits);
    }
    let input = RunAgentInput::read(body, limits)?;
    let header = run_id(head)?;
    let tanstack = header.is_some();
    let id = named(header, input.run_id.as_deref())?;
    let continues = input.parent_run_id.as_deref().map(parent).transpose()?;
    let values = input.values;
    let mut request = input.into_request(limits)?;
    request.enabled_tools = Some(dialect.enabled_tools.clone());
    let encoder = Box::new(AgUiEncoder::new().for_tanstack(tanstack));
    let mut start = Start::new(request, ResponseMode::Stream(encoder))
        .session_id(id)
        .continues(continues)
        .values(values);
    if dialect.restarts {
        let (whole, none) = ConversationNote::of_body(body)?;
        start = start.note_or(ConversationNote::NAME, whole, none);
    }
    Ok(Intent::Start(Box::new(start)))
}

/// Returns the run that the header and the body name.
fn named(header: Option<SessionId>, body: Option<&str>) -> Result<Option<SessionId>, Refusal> {
    match (header, body.map(parse_id).transpose()?) {
        (Some(header), Some(body)) if header != body => Err(Refusal::new(
            Problem::MalformedId,
            "the header X-Run-Id and `runId` name two runs; send the same in both",
        )),
        (header, body) => Ok(header.or(body)),
    }
}

fn parent(id: &str) -> Result<SessionId, Refusal> {
    id.parse().map_err(|error: InvalidSessionId| {
        Refusal::new(
            Problem::MalformedId,
            format!("`parentRunId` names no run: {error}"),
        )
    })
}

fn read(id: SessionId, after: Option<EventId>, tanstack: bool) -> Intent {
    let encoder = AgUiEncoder::new().for_tanstack(tanstack).after(after);
    let encoder = Box::new(encoder);
    Intent::Read(match after {
        None => Read::new(id, Position::START, encoder),
        Some(after) => Read::new(id, after.at, encoder).inclusive(true),
    })
}

fn run_id(head: &Parts) -> Result<Option<SessionId>, Refusal> {
    header_value(head, &RUN_ID, Problem::MalformedId)?
        .map(|text| parse_id(&text))
        .transpose()
}

fn last_event_id(head: &Parts) -> Result<Option<EventId>, Refusal> {
    let name: &HeaderName = &LAST_EVENT_ID;
    header_value(head, name, Problem::MalformedCursor)?
        .filter(|text| !text.is_empty())
        .map_or(Ok(None), |text| parse_cursor(&text))
}

/// Returns the parameter `offset`: `-1` is the start, any other value is the id of an event.
fn offset(head: &Parts) -> Result<Option<EventId>, Refusal> {
    match query(head, "offset").as_deref() {
        None | Some("-1") => Ok(None),
        Some(text) => parse_cursor(text),
    }
}

fn parse_cursor(text: &str) -> Result<Option<EventId>, Refusal> {
    let id: EventId = text.parse().map_err(|error: InvalidCursor| {
        Refusal::new(Problem::MalformedCursor, error.to_string())
    })?;
    // The client of a cursor before the first record has no event.
    Ok((id.at != Position::START).then_some(id))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;
    use crate::{
        dialect::{ReadFrom, Target},
        log::ChatId,
    };

    const RUN: &str = "run-1764133345123-k3j5x9";

    fn at(method: &str, uri: &str, headers: &[(&str, &str)]) -> Result<Route, Refusal> {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        route(&request.body(()).unwrap().into_parts().0)
    }

    fn reads(route: Result<Route, Refusal>) -> (String, u64) {
        match route {
            Ok(Route::Known(Intent::Read(read))) => match (read.session, read.from) {
                (Target::Id(id), ReadFrom::After(after)) => (id.to_string(), after.lsn.get()),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    fn problem(method: &str, uri: &str, headers: &[(&str, &str)]) -> Problem {
        at(method, uri, headers).unwrap_err().problem
    }

    #[test]
    fn a_post_with_a_cursor_reads_and_starts_nothing() {
        let (run, json) = (("x-run-id", RUN), ("content-type", "application/json"));
        let cursor = ("last-event-id", "7.0000000.2");
        assert_eq!(reads(at("POST", "/", &[run, cursor])), (RUN.to_owned(), 7));
        assert!(matches!(at("POST", "/", &[run, json]), Ok(Route::Body)));
        assert!(matches!(at("POST", "/", &[json, cursor]), Ok(Route::Body)));
        assert_eq!(
            problem("POST", "/", &[run, ("last-event-id", "seven")]),
            Problem::MalformedCursor
        );
    }

    #[test]
    fn a_run_is_joined_from_the_start_or_from_where_the_client_was() {
        let uri = format!("/?offset=-1&runId={RUN}");
        assert_eq!(reads(at("GET", &uri, &[])), (RUN.to_owned(), 0));
        let cursor = [("last-event-id", "7.0000000")];
        assert_eq!(reads(at("GET", &uri, &cursor)), (RUN.to_owned(), 7));
        let uri = format!("/?offset=5.0000000&runId={RUN}");
        assert_eq!(reads(at("GET", &uri, &[])), (RUN.to_owned(), 5));
        assert_eq!(reads(at("GET", &format!("/{RUN}"), &cursor)).1, 7);
    }

    #[test]
    fn the_running_run_of_a_conversation_can_be_requested() {
        match at("GET", "/?threadId=support%2042", &[]) {
            Ok(Route::Known(Intent::FullLog(whole))) => {
                assert_eq!(whole.session, Target::Chat(ChatId::new("support 42")));
                assert!(!whole.wait_for_end);
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_request_without_a_run_is_refused() {
        assert_eq!(problem("GET", "/", &[]), Problem::MalformedParameter);
        assert_eq!(problem("GET", "/?runId=run-1", &[]), Problem::MalformedId);
        assert_eq!(
            problem("GET", &format!("/?offset=x&runId={RUN}"), &[]),
            Problem::MalformedCursor
        );
        assert_eq!(problem("GET", "/a/b/c", &[]), Problem::NoSuchRoute);
        assert_eq!(problem("PUT", "/", &[]), Problem::MethodNotAllowed);
        assert_eq!(
            problem(
                "POST",
                "/",
                &[("x-run-id", RUN), ("content-type", "text/plain")]
            ),
            Problem::UnsupportedMediaType
        );
    }

    #[test]
    fn a_parent_run_has_an_id_or_is_absent() {
        let continues = |parent: &str| -> Result<_, Refusal> {
            let message = r#"{"role":"user","content":"Hi"}"#;
            let body = format!(r#"{{"messages":[{message}]{parent}}}"#).into();
            let (head, ()) = Request::post("/").body(()).unwrap().into_parts();
            match decode(&AgUi::new(), &head, &body, &RequestLimits::new())? {
                Intent::Start(start) => Ok(start.continues),
                intent => panic!("{intent:?}"),
            }
        };
        let named = format!(r#","parentRunId":"{RUN}""#);
        assert_eq!(continues(&named), Ok(Some(RUN.parse().unwrap())));
        for absent in ["", r#","parentRunId":null"#] {
            assert_eq!(continues(absent), Ok(None), "{absent}");
        }
        let (short, long) = ("r".repeat(21), "r".repeat(129));
        for parent in ["", "run 1764133345123-k3j5x9", &short, &long] {
            let refusal = continues(&format!(r#","parentRunId":"{parent}""#)).unwrap_err();
            assert_eq!(refusal.problem, Problem::MalformedId, "{parent}");
            assert!(refusal.detail.contains("`parentRunId`"), "{refusal:?}");
        }
    }
}
