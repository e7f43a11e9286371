use std::{borrow::Cow, fmt, future::Future, net::IpAddr, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use unbroken::BoxFuture;

/// A description of the server under test.
///
/// A case whose limit or header is not described here is not applicable. The limits of a request's body
/// and of an event are the defaults of the library, unless set.
#[derive(Clone)]
#[must_use = "hand it to `suite`"]
pub struct HttpTarget {
    pub(super) base: Uri,
    pub(super) http2: bool,
    pub(super) caller: HeaderMap,
    pub(super) stranger: Option<HeaderMap>,
    pub(super) same_clock: bool,
    pub(super) max_body: usize,
    pub(super) event_bytes: usize,
    pub(super) session_events: Option<u64>,
    pub(super) session_bytes: Option<usize>,
    pub(super) running: Option<usize>,
    pub(super) running_per_owner: Option<usize>,
    pub(super) idle: Option<Duration>,
    pub(super) age: Option<Duration>,
    pub(super) heartbeat: Option<Duration>,
    pub(super) body_timeout: Option<Duration>,
    pub(super) shutdown: Option<ShutdownFn>,
    waived: Vec<(Cow<'static, str>, Cow<'static, str>)>,
}

type ShutdownFn = Arc<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

/// The error of an address that the suite cannot test.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidHttpTarget {
    /// The address has not the form `http://host:port/path`.
    #[error("`{0}` is not an address of the form http://host:port/path; the suite speaks no TLS")]
    Address(String),
}

impl HttpTarget {
    /// Describes the server whose service is mounted at this address, such as
    /// `http://127.0.0.1:3000/api/chat`.
    ///
    /// # Errors
    ///
    /// Returns an error unless the address is `http://`, a host and a path, without a query.
    pub fn new(base: &str) -> Result<Self, InvalidHttpTarget> {
        let uri = base.trim_end_matches('/').parse::<Uri>();
        let base = uri
            .ok()
            .filter(|uri| uri.scheme_str() == Some("http") && uri.host().is_some())
            .filter(|uri| uri.query().is_none())
            .ok_or_else(|| InvalidHttpTarget::Address(base.to_owned()))?;
        let host = base.host().unwrap_or_default().trim_matches(['[', ']']);
        let same_clock = host == "localhost"
            || host
                .parse::<IpAddr>()
                .is_ok_and(|address| address.is_loopback());
        Ok(Self {
            base,
            http2: false,
            caller: HeaderMap::new(),
            stranger: None,
            same_clock,
            max_body: 1024 * 1024,
            event_bytes: 256 * 1024,
            session_events: None,
            session_bytes: None,
            running: None,
            running_per_owner: None,
            idle: None,
            age: None,
            heartbeat: None,
            body_timeout: None,
            shutdown: None,
            waived: Vec::new(),
        })
    }

    /// Selects HTTP/2 with prior knowledge. Default: HTTP/1.1.
    pub fn http2(mut self) -> Self {
        self.http2 = true;
        self
    }

    /// Returns true if the suite speaks HTTP/2.
    pub fn is_http2(&self) -> bool {
        self.http2
    }

    /// Adds a header to every request, which identifies the caller.
    pub fn caller(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.caller.insert(name, value);
        self
    }

    /// Adds a header that identifies a second caller, in place of the headers of the
    /// [first](Self::caller).
    ///
    /// For a server whose access policy has owners. Without a second caller, the cases about owners are
    /// not applicable.
    pub fn stranger(mut self, name: HeaderName, value: HeaderValue) -> Self {
        let headers = self.stranger.get_or_insert_default();
        headers.insert(name, value);
        self
    }

    /// Sets whether the server has the clock of this machine, which the delay of events is measured by.
    ///
    /// Default: true for a loopback address or `localhost`, else false.
    pub fn same_clock(mut self, same: bool) -> Self {
        self.same_clock = same;
        self
    }

    /// Sets the server's limit of the bytes of a request's body. Default: 1 MiB.
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// Sets the server's limit of the bytes of an event. Default: 256 KiB.
    pub fn event_bytes(mut self, bytes: usize) -> Self {
        self.event_bytes = bytes;
        self
    }

    /// Sets the server's limit of the events of a session, the terminal event aside.
    pub fn session_events(mut self, events: u64) -> Self {
        self.session_events = Some(events);
        self
    }

    /// Sets the server's limit of the bytes of a session's events, the terminal event aside.
    pub fn session_bytes(mut self, bytes: usize) -> Self {
        self.session_bytes = Some(bytes);
        self
    }

    /// Sets the server's limit of running sessions, of all owners together.
    pub fn running(mut self, sessions: usize) -> Self {
        self.running = Some(sessions);
        self
    }

    /// Sets the server's limit of running sessions of one owner.
    ///
    /// Must be less than [`running`](Self::running). With a [second caller](Self::stranger), this limit
    /// is tested in place of that one.
    pub fn running_per_owner(mut self, sessions: usize) -> Self {
        self.running_per_owner = Some(sessions);
        self
    }

    /// Sets the server's limit of a provider's silence. Tested if less than 5 s.
    pub fn idle(mut self, silence: Duration) -> Self {
        self.idle = Some(silence);
        self
    }

    /// Sets the server's limit of a session's age. Tested if less than 5 s.
    pub fn age(mut self, age: Duration) -> Self {
        self.age = Some(age);
        self
    }

    /// Sets the server's period of heartbeats. Tested if at most 2 s.
    pub fn heartbeat(mut self, period: Duration) -> Self {
        self.heartbeat = Some(period);
        self
    }

    /// Sets the server's limit of the time in which a request's body arrives.
    pub fn body_timeout(mut self, timeout: Duration) -> Self {
        self.body_timeout = Some(timeout);
        self
    }

    /// Sets a function that shuts the server's sessions down at once, as
    /// [`Sessions::shutdown`](unbroken::session::Sessions::shutdown) does without a grace period.
    ///
    /// The server must go on to answer requests. The suite calls the function in its last two cases.
    pub fn shutdown<F, R>(mut self, shutdown: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        self.shutdown = Some(Arc::new(move || Box::pin(shutdown())));
        self
    }

    /// Skips the case of this name, and reports it as not applicable for this reason.
    ///
    /// # Panics
    ///
    /// Panics if no [case](crate::http::CASES) has this name.
    pub fn waive(
        mut self,
        case: impl Into<Cow<'static, str>>,
        reason: impl Into<Cow<'static, str>>,
    ) -> Self {
        let case = case.into();
        assert!(
            crate::http::HttpCase::find(&case).is_some(),
            "there is no case `{case}`; its name is the one in the report"
        );
        self.waived.push((case, reason.into()));
        self
    }

    pub(super) fn waived(&self, case: &str) -> Option<Cow<'static, str>> {
        let waived = self.waived.iter().find(|(name, _)| name == case);
        waived.map(|(_, reason)| reason.clone())
    }

    /// Returns the host and port to connect to.
    pub(super) fn address(&self) -> (&str, u16) {
        let host = self.base.host().unwrap_or_default();
        let port = self.base.port_u16().unwrap_or(80);
        (host.trim_matches(['[', ']']), port)
    }

    /// Returns the path of the mount, without a slash at its end.
    pub(super) fn path(&self) -> &str {
        self.base.path().trim_end_matches('/')
    }
}

impl fmt::Debug for HttpTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpTarget")
            .field("base", &self.base)
            .field("http2", &self.http2)
            .field("waived", &self.waived)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_plain_address() {
        for good in [
            "http://127.0.0.1:3000",
            "http://localhost/api/chat/",
            "http://[::1]:1/a",
        ] {
            let target = HttpTarget::new(good).unwrap();
            assert!(target.same_clock);
            assert!(!target.path().ends_with('/'));
        }
        assert_eq!(
            HttpTarget::new("http://[::1]:7").unwrap().address(),
            ("::1", 7)
        );
        assert!(!HttpTarget::new("http://10.1.2.3/").unwrap().same_clock);
        for bad in [
            "https://localhost",
            "/api/chat",
            "localhost:3000",
            "",
            "http://a/?b",
        ] {
            assert!(HttpTarget::new(bad).is_err(), "{bad}");
        }
    }
}
