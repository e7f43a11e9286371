use std::time::Duration;

use bytes::Bytes;
use http::{Method, request::Parts};
use percent_encoding::percent_decode_str;

use super::{AiSdk, encoder::UiMessageEncoder, request};
use crate::{
    chat::InputId,
    dialect::{
        Abort, Intent, Problem, QuestionWait, Read, Refusal, RequestLimits, Route, Subject, Target,
        head::{content_type, not_allowed},
        inputs,
        query::query,
    },
    log::{ChatId, Lsn, Position, SessionId},
};

const ROOT: &str = "POST, OPTIONS";
const STREAM: &str = "GET, HEAD, OPTIONS";
const STOP: &str = "POST, OPTIONS";
const WAIT_MAX: Duration = Duration::from_secs(25);

/// Decodes the head of a request.
pub(super) fn route(dialect: &AiSdk, head: &Parts) -> Result<Route, Refusal> {
    let path = head.uri.path();
    let mut segments = path.strip_prefix('/').unwrap_or(path).split('/');
    match (segments.next(), segments.next(), segments.next()) {
        (None | Some(""), None, _) => root(dialect, head),
        (Some(name), Some("stream"), None) if !name.is_empty() => {
            stream(dialect, head, name).map(Route::Known)
        }
        (Some(name), Some("stop"), None) if !name.is_empty() => stop(head, name).map(Route::Known),
        (Some(name), Some("inputs"), Some(input))
            if !name.is_empty() && segments.next().is_none() =>
        {
            inputs::route(head, input)
        }
        _ => Err(Refusal::new(
            Problem::NoSuchRoute,
            "the paths are /, /{chatId}/stream, /{chatId}/stop and /{chatId}/inputs/{inputId}, \
             below the path where the service is mounted",
        )),
    }
}

fn root(dialect: &AiSdk, head: &Parts) -> Result<Route, Refusal> {
    match head.method {
        Method::POST if dialect.any_content_type => Ok(Route::Body),
        Method::POST => content_type(head).map(|()| Route::Body),
        Method::OPTIONS => Ok(Route::Known(Intent::Options { allow: ROOT })),
        _ => Err(not_allowed(ROOT)),
    }
}

fn stream(dialect: &AiSdk, head: &Parts, name: &str) -> Result<Intent, Refusal> {
    match head.method {
        Method::GET | Method::HEAD => {
            let index = start_index(head)?;
            let encoder = UiMessageEncoder::after(dialect.fold(), index.unwrap_or(0));
            if let Some(run) = RunName::parse(name) {
                let encoder = encoder.answered(run.answered);
                let read = Read::new(run.id, Position::after(run.after), Box::new(encoder));
                return Ok(Intent::Read(read));
            }
            let encoder = encoder.with_previous_parts();
            // A client without an index never counts chunks, and reads from the start.
            let encoder = match index {
                None => encoder.compact(),
                Some(_) => encoder,
            };
            let mut read = Read::new(target(name)?, Position::START, Box::new(encoder))
                .ended_within(dialect.resume_after_end);
            read.wait = question_wait(head)?.filter(|_| head.method == Method::GET);
            Ok(Intent::Read(read))
        }
        Method::OPTIONS => Ok(Intent::Options { allow: STREAM }),
        _ => Err(not_allowed(STREAM)),
    }
}

fn stop(head: &Parts, name: &str) -> Result<Intent, Refusal> {
    match head.method {
        Method::POST => Ok(Intent::Abort(Abort::new(running(name)?))),
        Method::OPTIONS => Ok(Intent::Options { allow: STOP }),
        _ => Err(not_allowed(STOP)),
    }
}

/// Decodes the names in the body of a request.
pub(super) fn subject(head: &Parts, body: &Bytes) -> Result<Subject, Refusal> {
    match inputs::parse_path(head) {
        Some((name, _)) => running(name).map(Subject::Answer),
        None => request::subject(body),
    }
}

/// Decodes the body of a request.
pub(super) fn decode(
    dialect: &AiSdk,
    head: &Parts,
    body: &Bytes,
    limits: &RequestLimits,
) -> Result<Intent, Refusal> {
    match inputs::parse_path(head) {
        Some((name, input)) => inputs::decode(running(name)?, input, body, limits),
        None => request::decode(dialect, body, limits).map(|start| Intent::Start(Box::new(start))),
    }
}

/// Returns the session of a run name, or the running session of a chat.
fn running(name: &str) -> Result<Target, Refusal> {
    match RunName::parse(name) {
        Some(run) => Ok(run.id.into()),
        None => target(name),
    }
}

/// Returns the run name, by which the Workflow transport resumes: the session, the position where the
/// response to the POST began, and the questions that the POST answered.
///
/// The transport counts chunks from that position. A client that has only the chat id also gets and
/// counts the previous parts of the message.
pub(super) fn run_id(id: &SessionId, after: Lsn, answered: &[InputId]) -> String {
    let answered: Vec<_> = answered.iter().map(InputId::as_str).collect();
    if answered.is_empty() {
        format!("{id}~{after}")
    } else {
        format!("{id}~{after}!{}", answered.join(","))
    }
}

#[derive(Debug, PartialEq)]
struct RunName {
    id: SessionId,
    after: Lsn,
    answered: Vec<InputId>,
}

impl RunName {
    fn parse(name: &str) -> Option<Self> {
        let name = percent_decode_str(name).decode_utf8_lossy();
        let (position, answered) = match name.split_once('!') {
            Some((position, answered)) => (position, answered.split(',').map(str::parse).collect()),
            None => (&*name, Ok(Vec::new())),
        };
        let (id, after) = position.rsplit_once('~')?;
        Some(Self {
            id: id.parse().ok()?,
            after: Lsn::new(after.parse().ok()?),
            answered: answered.ok()?,
        })
    }
}

/// Returns the target of a path segment: a chat, or the id of a session.
fn target(name: &str) -> Result<Target, Refusal> {
    let name = percent_decode_str(name).decode_utf8_lossy();
    let chat = name.parse::<ChatId>().map_err(|error| {
        Refusal::new(
            Problem::MalformedParameter,
            format!("the `{{chatId}}` of the path: {error}"),
        )
    })?;
    Ok(match name.parse() {
        Ok(id) => Target::IdOrChat(id, chat),
        Err(_) => Target::Chat(chat),
    })
}

/// Returns the number of chunks that the client has, if it counts them.
///
/// A negative number counts from the end, which is unknown before the log is read. Such a client gets
/// all chunks, which the transport accepts (see `x-workflow-stream-tail-index`).
fn start_index(head: &Parts) -> Result<Option<u64>, Refusal> {
    let Some(text) = query(head, "startIndex") else {
        return Ok(None);
    };
    match text.parse::<i64>() {
        Ok(index) => Ok(Some(u64::try_from(index).unwrap_or(0))),
        Err(_) => Err(Refusal::new(
            Problem::MalformedCursor,
            "`startIndex` is the number of chunks that were received",
        )),
    }
}

/// Returns the wait of a client that shows questions.
fn question_wait(head: &Parts) -> Result<Option<QuestionWait>, Refusal> {
    let malformed = |detail: String| Refusal::new(Problem::MalformedParameter, detail);
    let (asks, seconds) = match (query(head, "asks"), query(head, "wait")) {
        (None, None) => return Ok(None),
        (Some(asks), Some(seconds)) => (asks, seconds),
        _ => {
            return Err(malformed(
                "`asks` and `wait` belong together: the ids of the approvals that the page shows as \
                 open, and how long the response may wait for news of them"
                    .to_owned(),
            ));
        }
    };
    let questions = asks.split(',').map(str::parse);
    let questions = questions.collect::<Result<Vec<InputId>, _>>();
    let questions = questions.map_err(|error| {
        malformed(format!(
            "`asks` has the `approval.id` of each open approval, with commas between them: {error}"
        ))
    })?;
    let seconds = seconds
        .parse::<u64>()
        .map_err(|_| malformed("`wait` is whole seconds, up to 25".to_owned()))?;
    let at_most = Duration::from_secs(seconds).min(WAIT_MAX);
    Ok(Some(QuestionWait::new(questions, at_most)))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn at(method: &str, uri: &str) -> Result<Route, Refusal> {
        let request = Request::builder().method(method).uri(uri);
        let request = request.header("content-type", "application/json");
        let (head, ()) = request.body(()).unwrap().into_parts();
        route(&AiSdk::new(), &head)
    }

    fn read(uri: &str) -> Target {
        match at("GET", uri) {
            Ok(Route::Known(Intent::Read(read))) => read.session,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_chat_id_in_the_path_is_decoded() {
        assert_eq!(read("/chat-1/stream"), Target::Chat(ChatId::new("chat-1")));
        assert_eq!(
            read("/a%2Fb%20c/stream"),
            Target::Chat(ChatId::new("a/b c"))
        );
        let id = "0123456789abcdefghjkmnpqrs";
        assert_eq!(
            read(&format!("/{id}/stream?startIndex=3")),
            Target::IdOrChat(id.parse().unwrap(), ChatId::new(id))
        );
    }

    #[test]
    fn a_run_name_holds_a_session_and_the_start_of_its_stream() {
        let id = "0123456789abcdefghjkm~pqrs".parse::<SessionId>().unwrap();
        for answered in [&[][..], &["one"], &["one", "t.w~o"]] {
            let run = RunName {
                id: id.clone(),
                after: Lsn::new(7),
                answered: answered.iter().map(|it| it.parse().unwrap()).collect(),
            };
            let run_id = run_id(&id, run.after, &run.answered);
            assert_eq!(
                read(&format!("/{run_id}/stream?startIndex=3")),
                Target::Id(id.clone())
            );
            // Clients percent-encode it in a path.
            assert_eq!(RunName::parse(&run_id.replace(',', "%2C")), Some(run));
        }
        for chat in ["a-chat~7", "0123456789abcdefghjkm~7!", "what!", "what!~7"] {
            assert_eq!(RunName::parse(chat), None, "{chat}");
        }
    }

    #[test]
    fn the_name_of_a_chat_is_bounded_on_both_sides() {
        // Three characters of the path are one byte of the name.
        let longest = "%61".repeat(128);
        for (method, action) in [("GET", "stream"), ("POST", "stop")] {
            assert!(at(method, &format!("/{longest}/{action}")).is_ok());
            let refusal = at(method, &format!("/{longest}a/{action}")).unwrap_err();
            assert_eq!(refusal.problem, Problem::MalformedParameter);
            assert!(
                refusal.detail.contains("this one has 129"),
                "{}",
                refusal.detail
            );
        }
    }

    #[test]
    fn an_index_that_is_not_a_number_is_refused() {
        for uri in [
            "/c/stream?startIndex=",
            "/c/stream?startIndex=x",
            "/c/stream?startIndex=1.5",
        ] {
            assert_eq!(
                at("GET", uri).unwrap_err().problem,
                Problem::MalformedCursor
            );
        }
        assert!(at("GET", "/c/stream?startIndex=-10").is_ok());
    }

    #[test]
    fn a_wait_names_the_questions_that_the_page_shows_and_is_bounded() {
        let wait = |method: &str, uri: &str| match at(method, uri) {
            Ok(Route::Known(Intent::Read(read))) => Ok(read.wait),
            Ok(other) => panic!("{other:?}"),
            Err(refusal) => Err(refusal.problem),
        };
        let of = |asks: &[&str], seconds| {
            let asks = asks.iter().map(|it| it.parse().unwrap());
            Ok(Some(QuestionWait::new(asks, Duration::from_secs(seconds))))
        };
        let get = |query: &str| wait("GET", &format!("/c/stream?{query}"));
        assert_eq!(wait("GET", "/c/stream"), Ok(None));
        assert_eq!(get("asks=a&wait=25"), of(&["a"], 25));
        assert_eq!(get("wait=26&asks=a,b.c%2Cd"), of(&["a", "b.c", "d"], 25));
        assert_eq!(wait("HEAD", "/c/stream?asks=a&wait=25"), Ok(None));
        for malformed in [
            "wait=25",
            "asks=a",
            "asks=&wait=25",
            "asks=a,&wait=25",
            "asks=a,%2F&wait=25",
            "asks=a&wait=",
            "asks=a&wait=-1",
            "asks=a&wait=soon",
        ] {
            assert_eq!(
                get(malformed),
                Err(Problem::MalformedParameter),
                "{malformed}"
            );
        }
        // A run is given as it is.
        for query in ["asks=a&wait=25", "wait=x", "asks=/"] {
            let run = format!("/0123456789abcdefghjkmnpqrs~7/stream?{query}");
            assert_eq!(wait("GET", &run), Ok(None), "{query}");
        }
    }

    #[test]
    fn an_answer_that_has_ended_is_read_by_option() {
        let after_end = |dialect: &AiSdk| {
            let (head, ()) = Request::get("/c/stream").body(()).unwrap().into_parts();
            match route(dialect, &head) {
                Ok(Route::Known(Intent::Read(read))) => read.ended_within,
                other => panic!("{other:?}"),
            }
        };
        let minute = Duration::from_secs(60);
        assert_eq!(after_end(&AiSdk::new()), Duration::ZERO);
        assert_eq!(after_end(&AiSdk::new().resume_after_end(minute)), minute);
    }

    #[test]
    fn other_paths_and_methods_are_refused() {
        for uri in ["/c", "/c/streams", "/c/stream/x", "//stream", "/c/stop/"] {
            assert_eq!(
                at("GET", uri).unwrap_err().problem,
                Problem::NoSuchRoute,
                "{uri}"
            );
        }
        for (method, uri) in [("GET", "/"), ("POST", "/c/stream"), ("GET", "/c/stop")] {
            let refusal = at(method, uri).unwrap_err();
            assert_eq!(refusal.problem, Problem::MethodNotAllowed);
            assert!(refusal.allow.is_some());
        }
    }
}
