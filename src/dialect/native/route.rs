use std::num::NonZeroUsize;
use std::time::Duration;

use http::{Method, request::Parts};

use super::{Native, accept::Representation, parameters};
use crate::{
    chat::ChatRequest,
    dialect::{
        Abort, Intent, List, Page, Problem, Read, Refusal, ResponseMode, Route, Start,
        head::{content_type, not_allowed, parse_id},
        inputs,
        names::chat_in_query,
        query::query,
    },
    headers::{LAST_EVENT_ID, LAST_LSN},
    log::{Position, SessionId},
    store::StatusFilter,
};

const ROOT: &str = "GET, HEAD, POST, OPTIONS";
const SESSION: &str = "GET, HEAD, DELETE, OPTIONS";
const ABORT: &str = "POST, OPTIONS";

/// The context of a page whose runs of text are to be folded.
pub(super) struct CompactContext;

const PAGE_LIMIT: usize = 1_000;
const PAGE_LIMIT_MAX: usize = 10_000;
const WAIT_MAX: Duration = Duration::from_secs(25);

/// Decodes the head of a request.
pub(super) fn route(native: &Native, head: &Parts) -> Result<Route, Refusal> {
    let path = head.uri.path();
    let mut segments = path.strip_prefix('/').unwrap_or(path).split('/');
    let (first, second, third) = (segments.next(), segments.next(), segments.next());
    let intent = match (first, second, third) {
        (None | Some(""), None, _) => return root(native, head),
        (Some(id), None, _) => session(native, head, id)?,
        (Some(id), Some("abort"), None) => abort(head, id)?,
        (Some(id), Some("inputs"), Some(input)) if segments.next().is_none() => {
            if head.method == Method::POST {
                parse_id(id)?;
            }
            return inputs::route(head, input);
        }
        _ => {
            return Err(Refusal::new(
                Problem::NoSuchRoute,
                "the paths are /, /{id}, /{id}/abort and /{id}/inputs/{inputId}, below the path where \
                 the service is mounted",
            ));
        }
    };
    Ok(Route::Known(intent))
}

fn root(native: &Native, head: &Parts) -> Result<Route, Refusal> {
    match head.method {
        Method::POST => {
            let id = parameters::session_id(head)?;
            let cursor = parameters::cursor(head, &[LAST_LSN], "lastLsn")?;
            let wanted = parameters::representation(head)?;
            match (id, cursor) {
                (Some(id), Some(after)) => read(native, head, wanted, id, after).map(Route::Known),
                (None, Some(_)) => Err(Refusal::new(
                    Problem::MalformedId,
                    "to reconnect, send X-Session-Id beside X-Last-LSN; to start, send neither",
                )),
                (_, None) => content_type(head).map(|()| Route::Body),
            }
        }
        Method::GET | Method::HEAD => list(head).map(Intent::List).map(Route::Known),
        Method::OPTIONS => Ok(Route::Known(Intent::Options { allow: ROOT })),
        _ => Err(not_allowed(ROOT)),
    }
}

fn session(native: &Native, head: &Parts, id: &str) -> Result<Intent, Refusal> {
    match head.method {
        Method::GET | Method::HEAD => {
            let id = parse_id(id)?;
            let after = parameters::cursor(head, &[LAST_EVENT_ID, LAST_LSN], "after")?;
            read(
                native,
                head,
                parameters::representation(head)?,
                id,
                after.unwrap_or(Position::START),
            )
        }
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

/// Decodes the head of a start whose body is decoded already.
pub(super) fn start(native: &Native, head: &Parts, request: ChatRequest) -> Result<Start, Refusal> {
    let mode = match parameters::representation(head)? {
        Representation::Streaming(streaming) => {
            ResponseMode::Stream(native.streaming(head, streaming)?)
        }
        Representation::Json => ResponseMode::Document,
    };
    Ok(Start::new(request, mode).session_id(parameters::session_id(head)?))
}

fn read(
    native: &Native,
    head: &Parts,
    wanted: Representation,
    id: SessionId,
    after: Position,
) -> Result<Intent, Refusal> {
    Ok(match wanted {
        Representation::Streaming(streaming) => {
            Intent::Read(Read::new(id, after, native.streaming(head, streaming)?))
        }
        Representation::Json => {
            let limit = parameters::number(head, "limit", "a number of events, at least 1")?
                .map_or(PAGE_LIMIT, |limit| limit.clamp(1, PAGE_LIMIT_MAX));
            let wait = parameters::number(head, "wait", "whole seconds, up to 25")?
                .map_or(Duration::ZERO, |wait| Duration::from_secs(wait as u64));
            let page = Page::new(id, after, limit).wait(wait.min(WAIT_MAX));
            Intent::Page(if parameters::compact(head)? {
                page.context(CompactContext)
            } else {
                page
            })
        }
    })
}

fn list(head: &Parts) -> Result<List, Refusal> {
    let status = query(head, "status")
        .map(|word| {
            StatusFilter::from_word(&word).ok_or_else(|| {
                Refusal::new(
                    Problem::MalformedParameter,
                    "`status` is one of streaming, waiting, complete, aborted, error",
                )
            })
        })
        .transpose()?;
    Ok(List {
        chat: chat_in_query(head, "chat")?,
        status,
        after: parameters::list_token(head)?,
        limit: parameters::number(head, "limit", "a number of sessions, at least 1")?
            .and_then(|limit: usize| NonZeroUsize::new(limit.clamp(1, PAGE_LIMIT_MAX))),
    })
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;
    use crate::dialect::{ReadFrom, Target};

    const ID: &str = "0123456789abcdefghjkmnpqrs";

    fn head(method: &str, uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn at(method: &str, uri: &str, headers: &[(&str, &str)]) -> Result<Route, Refusal> {
        route(&Native::new(), &head(method, uri, headers))
    }

    fn id_of(read: &Read) -> &str {
        match &read.session {
            Target::Id(id) => id.as_str(),
            other => panic!("{other:?}"),
        }
    }

    fn lsn_of(read: &Read) -> u64 {
        match read.from {
            ReadFrom::After(position) => position.lsn.get(),
            ReadFrom::Now => panic!("{read:?}"),
        }
    }

    fn cursor(uri: &str, headers: &[(&str, &str)]) -> u64 {
        match at("GET", uri, headers) {
            Ok(Route::Known(Intent::Read(read))) => lsn_of(&read),
            other => panic!("{other:?}"),
        }
    }

    fn problem(method: &str, uri: &str, headers: &[(&str, &str)]) -> Problem {
        at(method, uri, headers).unwrap_err().problem
    }

    #[test]
    fn a_cursor_is_taken_from_last_event_id_then_the_header_then_the_query() {
        let uri = format!("/{ID}?after=3");
        let (event_source, lsn) = (("last-event-id", "1"), ("x-last-lsn", "2"));
        assert_eq!(cursor(&uri, &[lsn, event_source]), 1);
        assert_eq!(cursor(&uri, &[lsn]), 2);
        assert_eq!(cursor(&uri, &[]), 3);
        assert_eq!(cursor(&uri, &[("last-event-id", "")]), 3);
        assert_eq!(cursor(&format!("/{ID}"), &[]), 0);
    }

    #[test]
    fn on_a_post_headers_take_precedence_over_the_query() {
        let other = "another-session-of-mine-0001";
        let uri = format!("/?sessionId={ID}&lastLsn=5");
        let Ok(Route::Known(Intent::Read(read))) = at("POST", &uri, &[]) else {
            panic!()
        };
        assert_eq!((id_of(&read), lsn_of(&read)), (ID, 5));
        let headers = [("x-session-id", other), ("x-last-lsn", "6")];
        let Ok(Route::Known(Intent::Read(read))) = at("POST", &uri, &headers) else {
            panic!()
        };
        assert_eq!((id_of(&read), lsn_of(&read)), (other, 6));
    }

    #[test]
    fn a_cursor_without_a_session_is_refused() {
        assert_eq!(
            problem("POST", "/", &[("x-last-lsn", "6")]),
            Problem::MalformedId
        );
    }

    #[test]
    fn an_empty_cursor_on_a_post_is_refused_and_starts_nothing() {
        let uri = format!("/?sessionId={ID}");
        let json = ("content-type", "application/json");
        for (uri, headers) in [
            (uri.clone(), vec![json, ("x-last-lsn", "")]),
            (uri.clone(), vec![json, ("x-last-lsn", " ")]),
            (format!("{uri}&lastLsn="), vec![json]),
            (format!("{uri}&lastLsn"), vec![json]),
            (format!("{uri}&lastLsn=1"), vec![json, ("x-last-lsn", "")]),
        ] {
            assert_eq!(
                problem("POST", &uri, &headers),
                Problem::MalformedCursor,
                "{uri} {headers:?}"
            );
        }
    }

    #[test]
    fn two_different_values_of_one_header_are_refused() {
        let other = "another-session-of-mine-0001";
        let id = [("x-session-id", ID), ("x-session-id", other)];
        assert_eq!(problem("POST", "/", &id), Problem::MalformedId);
        let lsn = [("x-last-lsn", "1"), ("x-last-lsn", "2")];
        let uri = format!("/{ID}");
        assert_eq!(problem("GET", &uri, &lsn), Problem::MalformedCursor);
        let uri = format!("/?sessionId={ID}");
        assert_eq!(problem("POST", &uri, &lsn), Problem::MalformedCursor);

        let same = [
            ("x-session-id", ID),
            ("x-session-id", ID),
            ("x-last-lsn", "3"),
            ("x-last-lsn", "3"),
        ];
        let Ok(Route::Known(Intent::Read(read))) = at("POST", "/", &same) else {
            panic!()
        };
        assert_eq!((id_of(&read), lsn_of(&read)), (ID, 3));
    }

    #[test]
    fn a_list_accepts_every_token_that_a_store_could_make() {
        let after = |value: &str| match at("GET", &format!("/?after={value}"), &[]) {
            Ok(Route::Known(Intent::List(list))) => Ok(list.after),
            Ok(other) => panic!("{other:?}"),
            Err(refusal) => Err(refusal.problem),
        };
        let longest = "a".repeat(512);
        for token in ["17", "eyJhIjoxfQ==", "1-2:3/~!", &longest] {
            assert_eq!(after(token), Ok(Some(token.to_owned())));
        }
        let too_long = "a".repeat(513);
        for bad in ["", "a%20b", "a+b", "%00", "%C3%A9", &too_long] {
            assert_eq!(after(bad), Err(Problem::MalformedCursor), "{bad}");
        }
    }

    #[test]
    fn the_limit_and_wait_of_a_page_are_bounded() {
        let page = |query: &str| {
            let uri = format!("/{ID}?{query}");
            match at("GET", &uri, &[("accept", "application/json")]) {
                Ok(Route::Known(Intent::Page(page))) => Ok((page.limit, page.wait.as_secs())),
                Ok(other) => panic!("{other:?}"),
                Err(refusal) => Err(refusal.problem),
            }
        };
        assert_eq!(page(""), Ok((1_000, 0)));
        assert_eq!(page("limit=10000&wait=25"), Ok((10_000, 25)));
        assert_eq!(page("limit=10001&wait=26"), Ok((10_000, 25)));
        assert_eq!(page("limit=0"), Ok((1, 0)));
        assert_eq!(page("limit=all"), Err(Problem::MalformedParameter));
        assert_eq!(page("wait=-1"), Err(Problem::MalformedParameter));
    }

    #[test]
    fn a_body_must_be_json() {
        for json in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "application/vnd.chat+json",
        ] {
            let route = at("POST", "/", &[("content-type", json)]);
            assert!(matches!(route, Ok(Route::Body)), "{json}");
        }
        for other in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "json",
            "",
        ] {
            assert_eq!(
                problem("POST", "/", &[("content-type", other)]),
                Problem::UnsupportedMediaType,
                "{other}"
            );
        }
        assert_eq!(problem("POST", "/", &[]), Problem::UnsupportedMediaType);
    }

    #[test]
    fn each_path_has_its_methods() {
        let session = format!("/{ID}");
        let abort = format!("/{ID}/abort");
        let input = format!("/{ID}/inputs/a.b");
        for (path, allow) in [
            ("/", ROOT),
            (&session, SESSION),
            (&abort, ABORT),
            (&input, inputs::ALLOW),
        ] {
            for method in [
                "GET", "HEAD", "POST", "DELETE", "OPTIONS", "PUT", "PATCH", "BREW",
            ] {
                let json = [("content-type", "application/json")];
                match at(method, path, &json) {
                    Err(refusal) => {
                        assert!(!allow.contains(method), "{method} {path}");
                        assert_eq!(refusal.problem, Problem::MethodNotAllowed);
                        assert_eq!(refusal.allow, Some(allow));
                    }
                    Ok(_) => assert!(allow.contains(method), "{method} {path}"),
                }
            }
        }
        for nowhere in [
            "/a/b",
            "/a/abort/c",
            "/a/inputs",
            "/a/inputs/b/c",
            "//",
            "/a/",
        ] {
            assert_eq!(problem("GET", nowhere, &[]), Problem::NoSuchRoute);
        }
    }

    #[test]
    fn ids_and_cursors_are_read_strictly() {
        assert_eq!(problem("GET", "/short", &[]), Problem::MalformedId);
        assert_eq!(problem("DELETE", "/short", &[]), Problem::MalformedId);
        assert_eq!(problem("POST", "/short/abort", &[]), Problem::MalformedId);
        assert_eq!(
            problem("POST", "/short/inputs/a", &[]),
            Problem::MalformedId
        );
        let unasked = format!("/{ID}/inputs/-a");
        assert_eq!(problem("POST", &unasked, &[]), Problem::NoSuchInput);
        assert_eq!(
            problem("POST", "/", &[("x-session-id", "short")]),
            Problem::MalformedId
        );
        let uri = format!("/{ID}");
        assert_eq!(
            problem("GET", &uri, &[("x-last-lsn", "seven")]),
            Problem::MalformedCursor
        );
        assert_eq!(
            problem("GET", "/?status=done", &[]),
            Problem::MalformedParameter
        );
        assert_eq!(
            problem("GET", &uri, &[("accept", "text/html")]),
            Problem::NotAcceptable
        );
    }
}
