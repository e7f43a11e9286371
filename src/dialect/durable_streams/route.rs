use http::{Method, header, request::Parts};

use super::{
    DurableStreams, ElementKind,
    encoder::DurableStreamEncoder,
    offset::{Offset, malformed},
};
#[cfg(feature = "ai-sdk")]
use crate::dialect::Dialect as _;
use crate::{
    dialect::{
        Intent, Page, Problem, Read, ReadFrom, Refusal, Route,
        head::{content_type, parse_id},
        query::query,
    },
    log::{Position, SessionId},
};

const ROOT: &str = "POST, OPTIONS";
const STREAM: &str = "GET, HEAD, OPTIONS";

/// The maximum number of elements in a response that isn't a stream. Its bytes are bounded too.
const PAGE_LIMIT: usize = 10_000;

/// The facts of a read request that its response needs.
#[derive(Debug)]
pub(super) struct ReadContext {
    pub(super) kind: ReadKind,
    /// True if the client has nothing of the message yet.
    pub(super) whole_message: bool,
    /// The next cursor.
    pub(super) cursor: u64,
}

#[derive(Debug)]
pub(super) enum ReadKind {
    /// A read of the existing elements, from a fixed offset.
    CatchUp {
        from: Position,
        if_none_match: Option<String>,
    },
    /// A read from the current end.
    Now,
    LongPoll,
    Head,
    /// A request for the URL of the stream.
    #[cfg(feature = "ai-sdk")]
    Reconnect,
}

/// Decodes the head of a request.
pub(super) fn route(dialect: &DurableStreams, head: &Parts) -> Result<Route, Refusal> {
    let path = head.uri.path();
    let path = path.strip_prefix('/').unwrap_or(path);
    match path.split_once('/') {
        None if path.is_empty() => root(dialect, head),
        None => stream(dialect, head, path).map(Route::Known),
        Some(_) => chat(dialect, head),
    }
}

fn root(dialect: &DurableStreams, head: &Parts) -> Result<Route, Refusal> {
    match head.method {
        Method::POST => match &dialect.elements {
            ElementKind::Events => content_type(head).map(|()| Route::Body),
            #[cfg(feature = "ai-sdk")]
            ElementKind::UiMessageChunks(sdk) => sdk.route(head),
        },
        Method::OPTIONS => Ok(Route::Known(Intent::Options { allow: ROOT })),
        _ => Err(not_allowed(ROOT)),
    }
}

/// Decodes the head of a request for a chat, by clients of the AI SDK.
#[cfg_attr(
    not(feature = "ai-sdk"),
    expect(
        unused_variables,
        reason = "only clients of the AI SDK use these paths"
    )
)]
fn chat(dialect: &DurableStreams, head: &Parts) -> Result<Route, Refusal> {
    match &dialect.elements {
        ElementKind::Events => Err(Refusal::new(
            Problem::NoSuchRoute,
            "the paths are / and /{id}, below the path where the service is mounted",
        )),
        #[cfg(feature = "ai-sdk")]
        ElementKind::UiMessageChunks(sdk) => match sdk.route(head)? {
            Route::Known(Intent::Read(read)) => {
                let context = ReadContext::new(ReadKind::Reconnect);
                let page = Page::new(read.session, Position::START, 0).context(context);
                let page = page.ended_within(read.ended_within);
                Ok(Route::Known(Intent::Page(page)))
            }
            route => Ok(route),
        },
    }
}

fn stream(dialect: &DurableStreams, head: &Parts, id: &str) -> Result<Intent, Refusal> {
    match head.method {
        Method::HEAD => {
            let page = Page::new(parse_id(id)?, ReadFrom::Now, 0);
            Ok(Intent::Page(page.context(ReadContext::new(ReadKind::Head))))
        }
        Method::GET => {
            let id = parse_id(id)?;
            let offset = Offset::of(head)?;
            match (query(head, "live").as_deref(), offset) {
                (None, offset) => Ok(Intent::Page(catch_up(dialect, head, id, offset))),
                (Some("long-poll"), Some(offset)) => {
                    Ok(Intent::Page(long_poll(dialect, head, id, offset)?))
                }
                (Some("sse"), Some(offset)) => Ok(Intent::Read(sse(dialect, head, id, offset)?)),
                (Some("long-poll" | "sse"), None) => Err(malformed(
                    "a live read needs an offset: `offset=-1` for the start, `now` for the end",
                )),
                (Some(_), _) => Err(Refusal::new(
                    Problem::MalformedParameter,
                    "`live` is `long-poll` or `sse`; leave it out to read the existing elements",
                )),
            }
        }
        Method::OPTIONS => Ok(Intent::Options { allow: STREAM }),
        _ => Err(not_allowed(STREAM)),
    }
}

fn catch_up(dialect: &DurableStreams, head: &Parts, id: SessionId, offset: Option<Offset>) -> Page {
    let mut context = ReadContext::of(head);
    let page = match offset.unwrap_or(Offset::At(Position::START)) {
        Offset::Now => {
            return Page::new(id, ReadFrom::Now, 0).context(context);
        }
        Offset::At(from) => {
            let if_none_match = head.headers.get(header::IF_NONE_MATCH);
            let if_none_match = if_none_match.and_then(|value| value.to_str().ok());
            context.kind = ReadKind::CatchUp {
                from,
                if_none_match: if_none_match.map(str::to_owned),
            };
            Page::new(id, from, PAGE_LIMIT)
        }
    };
    page.include_known(dialect.items(false).is_stateful())
        .context(context)
}

fn long_poll(
    dialect: &DurableStreams,
    head: &Parts,
    id: SessionId,
    offset: Offset,
) -> Result<Page, Refusal> {
    let mut context = ReadContext::of(head);
    context.kind = ReadKind::LongPoll;
    context.cursor = cursor(head)?;
    let page = match offset {
        Offset::At(position) => Page::new(id, position, PAGE_LIMIT),
        Offset::Now => Page::new(id, ReadFrom::Now, PAGE_LIMIT),
    };
    let page = page
        .include_known(dialect.items(false).is_stateful())
        .wait(dialect.long_poll);
    Ok(page.context(context))
}

fn sse(
    dialect: &DurableStreams,
    head: &Parts,
    id: SessionId,
    offset: Offset,
) -> Result<Read, Refusal> {
    let items = dialect.items(ReadContext::of(head).whole_message);
    let encoder = DurableStreamEncoder::new(items, cursor(head)?, dialect.connection);
    Ok(match offset {
        Offset::At(position) => Read::new(id, position, Box::new(encoder)),
        Offset::Now => Read::new(id, ReadFrom::Now, Box::new(encoder)),
    })
}

/// Returns the cursor after the one of the client.
fn cursor(head: &Parts) -> Result<u64, Refusal> {
    match query(head, "cursor") {
        None => Ok(1),
        Some(cursor) => match cursor.parse::<u64>() {
            Ok(cursor) => Ok(cursor.saturating_add(1)),
            Err(_) => Err(Refusal::new(
                Problem::MalformedParameter,
                "`cursor` is a `Stream-Cursor` as it was given",
            )),
        },
    }
}

impl ReadContext {
    fn new(kind: ReadKind) -> Self {
        Self {
            kind,
            whole_message: false,
            cursor: 1,
        }
    }

    fn of(head: &Parts) -> Self {
        Self {
            whole_message: query(head, "message").as_deref() == Some("whole"),
            ..Self::new(ReadKind::Now)
        }
    }
}

fn not_allowed(allow: &'static str) -> Refusal {
    Refusal::new(
        Problem::MethodNotAllowed,
        format!("sessions are written by their providers; the methods here are {allow}"),
    )
    .allow(allow)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::Request;

    use super::*;
    use crate::{dialect::Target, log::Lsn};

    const ID: &str = "0123456789abcdefghjkmnpqrs";

    fn at(method: &str, uri: &str) -> Result<Route, Refusal> {
        let request = Request::builder().method(method).uri(uri);
        let request = request.header("content-type", "application/json");
        let (head, ()) = request.body(()).unwrap().into_parts();
        route(&DurableStreams::new(), &head)
    }

    fn problem(method: &str, uri: &str) -> Problem {
        at(method, uri).unwrap_err().problem
    }

    fn page(uri: &str) -> Page {
        match at("GET", &format!("/{ID}{uri}")) {
            Ok(Route::Known(Intent::Page(page))) => page,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_read_begins_at_its_offset() {
        const START: ReadFrom = ReadFrom::After(Position::START);
        assert_eq!(page("").from, START);
        assert_eq!(page("?offset=-1").from, START);
        let seven = ReadFrom::After(Position::after(Lsn::new(7)));
        assert_eq!(page("?offset=7").from, seven);
        assert_eq!(page("?offset=now").from, ReadFrom::Now);
        assert_eq!(page("?offset=7").wait, Duration::ZERO);
        let wait = page("?offset=7&live=long-poll").wait;
        assert_eq!(wait, Duration::from_secs(20));
        match at("GET", &format!("/{ID}?offset=7&live=sse")) {
            Ok(Route::Known(Intent::Read(read))) => {
                assert_eq!(read.session, Target::Id(ID.parse().unwrap()));
                assert_eq!(read.from, seven);
                assert_eq!(read.encoder.lifetime(), Some(Duration::from_secs(60)));
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_live_read_needs_an_offset() {
        for query in ["live=sse", "live=long-poll", "live=sse&offset="] {
            let uri = format!("/{ID}?{query}");
            assert_eq!(problem("GET", &uri), Problem::MalformedCursor, "{query}");
        }
        for query in ["live=", "live=carrier-pigeon", "live=sse&offset=1&cursor=x"] {
            let uri = format!("/{ID}?{query}");
            assert_eq!(problem("GET", &uri), Problem::MalformedParameter, "{query}");
        }
    }

    #[test]
    fn every_write_is_refused() {
        for method in ["PUT", "POST", "PATCH", "DELETE"] {
            let refusal = at(method, &format!("/{ID}")).unwrap_err();
            assert_eq!(refusal.problem, Problem::MethodNotAllowed, "{method}");
            assert_eq!(refusal.allow, Some(STREAM));
        }
        assert_eq!(problem("GET", "/"), Problem::MethodNotAllowed);
        assert_eq!(problem("GET", "/chat-1/stream"), Problem::NoSuchRoute);
        assert_eq!(problem("GET", "/short"), Problem::MalformedId);
        assert!(matches!(at("POST", "/"), Ok(Route::Body)));
    }

    #[cfg(feature = "ai-sdk")]
    #[test]
    fn the_content_type_of_a_start_is_free_by_the_option_of_its_clients() {
        use crate::dialect::AiSdk;

        let plain = Request::post("/").header("content-type", "text/plain");
        let (head, ()) = plain.body(()).unwrap().into_parts();
        let ui_messages = |any| DurableStreams::ui_messages(AiSdk::new().any_content_type(any));
        assert!(matches!(route(&ui_messages(true), &head), Ok(Route::Body)));
        for dialect in [ui_messages(false), DurableStreams::new()] {
            let refusal = route(&dialect, &head).unwrap_err();
            assert_eq!(refusal.problem, Problem::UnsupportedMediaType);
        }
    }

    #[cfg(feature = "ai-sdk")]
    #[test]
    fn a_reconnect_requests_the_url_of_the_stream() {
        let (head, ()) = Request::get("/chat-1/stream")
            .body(())
            .unwrap()
            .into_parts();
        let dialect = DurableStreams::ui_messages(crate::dialect::AiSdk::new());
        match route(&dialect, &head) {
            Ok(Route::Known(Intent::Page(page))) => {
                assert_eq!(
                    page.session,
                    Target::Chat(crate::log::ChatId::new("chat-1"))
                );
                assert_eq!(page.limit, 0);
            }
            other => panic!("{other:?}"),
        }
    }
}
