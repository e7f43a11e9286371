use http::{Method, header, request::Parts};

use super::config::RecordConfig;
use crate::{
    dialect::{
        Native, Problem, Refusal, SessionKey, header_value,
        native::{cursor, prefers_json},
    },
    headers::{IDEMPOTENCY_KEY, LAST_EVENT_ID, LAST_LSN, SESSION_ABORT},
    log::{Position, SessionId},
};

/// The meaning of a request's head.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum RecordRoute {
    /// The request goes to the wrapped service, and is not recorded.
    Inner,
    /// Starts a session, or attaches to the one of the same request.
    Start(Option<SessionName>),
    /// Reads a session after the cursor, if there is one.
    Read(SessionName, Option<Position>),
    /// Reads the outcome of a session.
    Outcome(SessionName),
    /// Stops a session.
    Abort(SessionName),
    /// Stops a session, and forgets it.
    Delete(SessionName),
}

/// The name by which a request means a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SessionName {
    /// Its id.
    Id(SessionId),
    /// A key of which its id is made.
    Key(SessionKey),
}

impl RecordRoute {
    /// Decodes the head of a request.
    ///
    /// # Errors
    ///
    /// [`Problem::MalformedId`], [`Problem::MalformedCursor`].
    pub(super) fn of(head: &Parts, config: &RecordConfig) -> Result<Self, Refusal> {
        if head.headers.contains_key(header::UPGRADE) {
            return Ok(Self::Inner);
        }
        let starts = config.start_methods.contains(&head.method);
        if is_abort(head, config)? {
            return match name(head, config.takes_keys)? {
                Some(name) => Ok(Self::Abort(name)),
                None => Err(nameless("a request to stop a session names it")),
            };
        }
        let reads = matches!(head.method, Method::GET | Method::HEAD);
        if !starts && !reads && head.method != Method::DELETE {
            return Ok(Self::Inner);
        }
        // Applications have requests of other methods with a key.
        let Some(name) = name(head, config.takes_keys && starts)? else {
            if !starts {
                return Ok(Self::Inner);
            }
            // A client that has a part of one response must not get another one from its start.
            return match cursor(head, &[LAST_EVENT_ID, LAST_LSN], "lastLsn")? {
                Some(_) => Err(nameless("a cursor belongs to a session")),
                None => Ok(Self::Start(None)),
            };
        };
        if starts {
            let after = if head.method == Method::GET {
                Native::new().cursor(head)?
            } else {
                cursor(head, &[LAST_EVENT_ID, LAST_LSN], "lastLsn")?
            };
            return Ok(match after {
                Some(after) => Self::Read(name, Some(after)),
                None if head.method == Method::GET && prefers_json(head) => Self::Outcome(name),
                None => Self::Start(Some(name)),
            });
        }
        if head.method == Method::DELETE {
            return Ok(Self::Delete(name));
        }
        if prefers_json(head) {
            return Ok(Self::Outcome(name));
        }
        Ok(Self::Read(name, Native::new().cursor(head)?))
    }
}

/// Returns true if the request asks to stop a session.
fn is_abort(head: &Parts, config: &RecordConfig) -> Result<bool, Refusal> {
    if head.method != Method::POST {
        return Ok(false);
    }
    let path = config.abort_path.as_deref();
    let asked = header_value(head, &SESSION_ABORT, Problem::MalformedParameter)?;
    Ok(path == Some(head.uri.path()) || asked.as_deref() == Some("1"))
}

fn name(head: &Parts, takes_keys: bool) -> Result<Option<SessionName>, Refusal> {
    if let Some(id) = Native::new().session_id(head)? {
        return Ok(Some(SessionName::Id(id)));
    }
    if !takes_keys {
        return Ok(None);
    }
    let key = header_value(head, &IDEMPOTENCY_KEY, Problem::MalformedId)?;
    let key = key.filter(|key| !key.is_empty());
    Ok(key.map(|key| SessionName::Key(SessionKey::new(["idempotency-key"]).secret(&key))))
}

fn nameless(why: &str) -> Refusal {
    Refusal::new(
        Problem::MalformedId,
        format!("{why}; send its id in `X-Session-Id` or `?sessionId=`"),
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::Request;

    use super::*;
    use crate::{access::AnyoneWithTheId, log::Lsn, session::Sessions};

    const ID: &str = "0123456789abcdefghjkmnpqrs";

    fn config() -> RecordConfig {
        RecordConfig::new(Sessions::in_memory(), Arc::new(AnyoneWithTheId::new()))
    }

    fn of(config: &RecordConfig, request: &str, headers: &[(&str, &str)]) -> RecordRoute {
        try_of(config, request, headers).unwrap()
    }

    fn try_of(
        config: &RecordConfig,
        request: &str,
        headers: &[(&str, &str)],
    ) -> Result<RecordRoute, Refusal> {
        let (method, uri) = request.split_once(' ').unwrap();
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        RecordRoute::of(&request.body(()).unwrap().into_parts().0, config)
    }

    fn id() -> SessionName {
        SessionName::Id(ID.parse().unwrap())
    }

    fn after(lsn: u64) -> RecordRoute {
        RecordRoute::Read(id(), Some(Position::after(Lsn::new(lsn))))
    }

    #[test]
    fn a_request_without_an_id_starts_or_passes() {
        let config = config();
        assert_eq!(of(&config, "POST /ask", &[]), RecordRoute::Start(None));
        for passes in [
            "GET /",
            "HEAD /",
            "DELETE /",
            "OPTIONS /",
            "PUT /",
            "GET /?after=7",
        ] {
            assert_eq!(of(&config, passes, &[]), RecordRoute::Inner, "{passes}");
        }
        let cursor = [("last-event-id", "3")];
        assert_eq!(of(&config, "GET /", &cursor), RecordRoute::Inner);
        let refused = try_of(&config, "POST /", &cursor).unwrap_err();
        assert_eq!(refused.problem, Problem::MalformedId);
        // The application's own parameter.
        assert_eq!(of(&config, "POST /?after=7", &[]), RecordRoute::Start(None));
    }

    #[test]
    fn an_upgrade_passes() {
        let upgrade = [("upgrade", "websocket"), ("x-session-id", ID)];
        assert_eq!(of(&config(), "GET /ws", &upgrade), RecordRoute::Inner);
        let id = [upgrade[1]];
        assert_eq!(
            of(&config(), "GET /ws", &id),
            RecordRoute::Read(super::tests::id(), None)
        );
    }

    #[test]
    fn a_request_with_an_id_is_about_its_session() {
        let config = config();
        let by_query = |method: &str, more: &str| format!("{method} /ask?sessionId={ID}{more}");
        for (request, headers, route) in [
            (
                by_query("POST", ""),
                &[][..],
                RecordRoute::Start(Some(id())),
            ),
            (by_query("GET", ""), &[], RecordRoute::Read(id(), None)),
            (by_query("HEAD", "&after=4"), &[], after(4)),
            (
                by_query("GET", "&lastLsn=4"),
                &[("last-event-id", "5")],
                after(5),
            ),
            (by_query("POST", ""), &[("x-last-lsn", "5")], after(5)),
            (by_query("POST", "&lastLsn=5"), &[], after(5)),
            (
                by_query("POST", "&after=5"),
                &[],
                RecordRoute::Start(Some(id())),
            ),
            (
                by_query("GET", ""),
                &[("accept", "application/json")],
                RecordRoute::Outcome(id()),
            ),
            (
                by_query("GET", ""),
                &[("accept", "application/json, */*")],
                RecordRoute::Read(id(), None),
            ),
            (by_query("DELETE", ""), &[], RecordRoute::Delete(id())),
            (
                by_query("POST", ""),
                &[("x-session-abort", "1")],
                RecordRoute::Abort(id()),
            ),
            (
                by_query("POST", ""),
                &[("x-session-abort", "0")],
                RecordRoute::Start(Some(id())),
            ),
            (
                by_query("PUT", ""),
                &[("x-session-abort", "1")],
                RecordRoute::Inner,
            ),
        ] {
            assert_eq!(
                of(&config, &request, headers),
                route,
                "{request} {headers:?}"
            );
        }
        assert_eq!(
            of(&config, "GET /", &[("x-session-id", ID)]),
            RecordRoute::Read(id(), None)
        );
        let bad = try_of(&config, "GET /", &[("x-session-id", "short")]).unwrap_err();
        assert_eq!(bad.problem, Problem::MalformedId);
        let bad = try_of(&config, &by_query("GET", "&after=x"), &[]).unwrap_err();
        assert_eq!(bad.problem, Problem::MalformedCursor);
        let nameless = try_of(&config, "POST /", &[("x-session-abort", "1")]).unwrap_err();
        assert_eq!(nameless.problem, Problem::MalformedId);
    }

    #[test]
    fn an_event_source_starts_by_get_and_reconnects_by_its_last_id() {
        let mut config = config();
        config.start_methods = vec![Method::GET];
        let uri = format!("GET /?sessionId={ID}");
        assert_eq!(of(&config, "GET /", &[]), RecordRoute::Start(None));
        assert_eq!(of(&config, "GET /?after=1", &[]), RecordRoute::Start(None));
        assert_eq!(of(&config, &uri, &[]), RecordRoute::Start(Some(id())));
        let cursor = [("last-event-id", "3")];
        assert_eq!(of(&config, &uri, &cursor), after(3));
        assert_eq!(
            try_of(&config, "GET /", &cursor).unwrap_err().problem,
            Problem::MalformedId
        );
        assert_eq!(of(&config, "HEAD /", &[]), RecordRoute::Inner);
        assert_eq!(of(&config, "POST /", &[]), RecordRoute::Inner);
    }

    #[test]
    fn a_key_names_a_session_where_the_layer_takes_it() {
        let mut config = config();
        let key = [("idempotency-key", "7f3a")];
        assert_eq!(of(&config, "POST /", &key), RecordRoute::Start(None));
        config.takes_keys = true;
        config.abort_path = Some("/stop".into());
        let name = || SessionName::Key(SessionKey::new(["idempotency-key"]).secret("7f3a"));
        assert_eq!(
            of(&config, "POST /", &key),
            RecordRoute::Start(Some(name()))
        );
        assert_eq!(of(&config, "POST /stop", &key), RecordRoute::Abort(name()));
        for passes in ["GET /", "DELETE /"] {
            assert_eq!(of(&config, passes, &key), RecordRoute::Inner, "{passes}");
        }
        let both = [key[0], ("x-session-id", ID)];
        assert_eq!(of(&config, "POST /", &both), RecordRoute::Start(Some(id())));
        let empty = [("idempotency-key", "")];
        assert_eq!(of(&config, "POST /", &empty), RecordRoute::Start(None));
    }
}
