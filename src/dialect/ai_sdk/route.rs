use bytes::Bytes;
use http::{Method, request::Parts};
use percent_encoding::percent_decode_str;

use super::{AiSdk, encoder::UiMessageEncoder, request};
use crate::{
    chat::InputId,
    dialect::{
        Abort, Intent, Problem, Read, Refusal, Route, Target,
        head::{content_type, not_allowed},
        inputs,
        query::query,
    },
    log::{ChatId, Lsn, Position, SessionId},
};

const ROOT: &str = "POST, OPTIONS";
const STREAM: &str = "GET, HEAD, OPTIONS";
const STOP: &str = "POST, OPTIONS";

/// What the head asks for.
pub(super) fn route(dialect: &AiSdk, head: &Parts) -> Result<Route, Refusal> {
    let path = head.uri.path();
    let mut segments = path.strip_prefix('/').unwrap_or(path).split('/');
    match (segments.next(), segments.next(), segments.next()) {
        (None | Some(""), None, _) => root(dialect, head),
        (Some(name), Some("stream"), None) if !name.is_empty() => {
            stream(head, name).map(Route::Known)
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

fn stream(head: &Parts, name: &str) -> Result<Intent, Refusal> {
    match head.method {
        Method::GET | Method::HEAD => {
            let index = start_index(head)?;
            let encoder = UiMessageEncoder::after(index.unwrap_or(0));
            Ok(Intent::Read(match (RunName::parse(name), index) {
                (Some(run), _) => {
                    let encoder = encoder.answered(run.answered);
                    Read::new(run.id, Position::after(run.after), Box::new(encoder))
                }
                (None, index) => {
                    let encoder = encoder.with_previous_parts();
                    // Who doesn't count now won't count later: it starts at the beginning each time.
                    let encoder = match index {
                        None => encoder.compact(),
                        Some(_) => encoder,
                    };
                    Read::new(target(name), Position::START, Box::new(encoder))
                }
            }))
        }
        Method::OPTIONS => Ok(Intent::Options { allow: STREAM }),
        _ => Err(not_allowed(STREAM)),
    }
}

fn stop(head: &Parts, name: &str) -> Result<Intent, Refusal> {
    match head.method {
        Method::POST => Ok(Intent::Abort(Abort::new(running(name)))),
        Method::OPTIONS => Ok(Intent::Options { allow: STOP }),
        _ => Err(not_allowed(STOP)),
    }
}

/// What a body asks for.
pub(super) fn decode(dialect: &AiSdk, head: &Parts, body: &Bytes) -> Result<Intent, Refusal> {
    match inputs::parse_path(head) {
        Some((name, input)) => inputs::decode(running(name), input, body),
        None => request::decode(dialect, body).map(|start| Intent::Start(Box::new(start))),
    }
}

/// A run of the Workflow transport's, or what runs in a chat.
fn running(name: &str) -> Target {
    match RunName::parse(name) {
        Some(run) => run.id.into(),
        None => target(name),
    }
}

/// What the Workflow transport resumes by: a session, where in it the answer to the POST began, from
/// which that counts, and the questions that the POST answered. A client that has only the chat gets,
/// and counts, what the message held before as well.
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
        let (place, answered) = match name.split_once('!') {
            Some((place, answered)) => (place, answered.split(',').map(str::parse).collect()),
            None => (&*name, Ok(Vec::new())),
        };
        let (id, after) = place.rsplit_once('~')?;
        Some(Self {
            id: id.parse().ok()?,
            after: Lsn::new(after.parse().ok()?),
            answered: answered.ok()?,
        })
    }
}

/// A chat, or the session itself.
fn target(name: &str) -> Target {
    let name = percent_decode_str(name).decode_utf8_lossy();
    let chat = ChatId::new(&*name);
    match name.parse() {
        Ok(id) => Target::IdOrChat(id, chat),
        Err(_) => Target::Chat(chat),
    }
}

/// How many chunks the client has, if it counts them.
///
/// A negative number means as many from the end, which nobody knows before the log is read: those
/// get all, which the transport takes as well (see `x-workflow-stream-tail-index`).
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
    fn a_chat_is_named_as_the_client_names_it() {
        assert_eq!(read("/chat-1/stream"), Target::Chat("chat-1".into()));
        assert_eq!(read("/a%2Fb%20c/stream"), Target::Chat("a/b c".into()));
        let id = "0123456789abcdefghjkmnpqrs";
        assert_eq!(
            read(&format!("/{id}/stream?startIndex=3")),
            Target::IdOrChat(id.parse().unwrap(), id.into())
        );
    }

    #[test]
    fn a_run_is_a_session_and_where_its_stream_began() {
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
            // As clients write it into a path.
            assert_eq!(RunName::parse(&run_id.replace(',', "%2C")), Some(run));
        }
        for chat in ["a-chat~7", "0123456789abcdefghjkm~7!", "what!", "what!~7"] {
            assert_eq!(RunName::parse(chat), None, "{chat}");
        }
    }

    #[test]
    fn what_is_not_a_number_of_chunks_is_refused() {
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
