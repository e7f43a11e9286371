use std::{borrow::Cow, fmt, future::Future, net::IpAddr, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use unbroken::store::BoxFuture;

/// The server that is tested, and what the suite is told of it.
///
/// Unless told otherwise it takes the limits of the library's defaults for the server's.
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
    pub(super) give_up: Option<ShutdownFn>,
    waived: Vec<(Cow<'static, str>, Cow<'static, str>)>,
}

type ShutdownFn = Arc<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

/// What can't be tested.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidHttpTarget {
    /// It isn't an address that the suite can reach.
    #[error("`{0}` is not an address of the form http://host:port/path; the suite speaks no TLS")]
    Address(String),
}

impl HttpTarget {
    /// The server whose service is mounted at this address: `http://127.0.0.1:3000/api/chat`.
    ///
    /// # Errors
    ///
    /// If it is anything else than `http://`, a host and a path.
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
            give_up: None,
            waived: Vec::new(),
        })
    }

    /// Speaks HTTP/2 without asking first. HTTP/1.1 unless told.
    pub fn http2(mut self) -> Self {
        self.http2 = true;
        self
    }

    /// Whether it speaks HTTP/2.
    pub fn is_http2(&self) -> bool {
        self.http2
    }

    /// Sends this header with every request, to name the caller.
    pub fn caller(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.caller.insert(name, value);
        self
    }

    /// Names another caller, of a server where only the owner may read. Without one, nothing is
    /// asked about owners.
    pub fn stranger(mut self, name: HeaderName, value: HeaderValue) -> Self {
        let headers = self.stranger.get_or_insert_default();
        headers.insert(name, value);
        self
    }

    /// Whether the server's clock is this machine's. Taken for granted on a loopback address, else
    /// not; without it, how late events are is not measured.
    pub fn same_clock(mut self, same: bool) -> Self {
        self.same_clock = same;
        self
    }

    /// The most bytes that a request's body may have there. Default 1 MiB.
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// The most bytes that an event may have there. Default 256 KiB.
    pub fn event_bytes(mut self, bytes: usize) -> Self {
        self.event_bytes = bytes;
        self
    }

    /// The most events that a session may have there.
    pub fn session_events(mut self, events: u64) -> Self {
        self.session_events = Some(events);
        self
    }

    /// The most bytes that the events of a session may have there, the terminal one aside.
    pub fn session_bytes(mut self, bytes: usize) -> Self {
        self.session_bytes = Some(bytes);
        self
    }

    /// How many sessions may run at once there, whoever's they are.
    pub fn running(mut self, sessions: usize) -> Self {
        self.running = Some(sessions);
        self
    }

    /// How many sessions of one owner may run at once there. Goes before [`running`](Self::running)
    /// where there is a [second caller](Self::stranger), and must be less.
    pub fn running_per_owner(mut self, sessions: usize) -> Self {
        self.running_per_owner = Some(sessions);
        self
    }

    /// How long a provider may be silent there.
    pub fn idle(mut self, silence: Duration) -> Self {
        self.idle = Some(silence);
        self
    }

    /// How long a session may run there.
    pub fn age(mut self, age: Duration) -> Self {
        self.age = Some(age);
        self
    }

    /// After how much silence the server shows that it is alive.
    pub fn heartbeat(mut self, period: Duration) -> Self {
        self.heartbeat = Some(period);
        self
    }

    /// How long a request's body may take to arrive there.
    pub fn body_timeout(mut self, timeout: Duration) -> Self {
        self.body_timeout = Some(timeout);
        self
    }

    /// How to make the server give up what runs, as a shutdown does whose deadline is over. The last
    /// thing that the suite does with it.
    pub fn give_up<F, R>(mut self, give_up: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        self.give_up = Some(Arc::new(move || Box::pin(give_up())));
        self
    }

    /// Doesn't run the case of this name, and reports it as not applicable for this reason.
    ///
    /// # Panics
    ///
    /// If no [case](crate::http::CASES) has this name.
    pub fn waive(
        mut self,
        case: impl Into<Cow<'static, str>>,
        reason: impl Into<Cow<'static, str>>,
    ) -> Self {
        let case = case.into();
        assert!(
            crate::http::HttpCase::named(&case).is_some(),
            "there is no case `{case}`; its name is the one in the report"
        );
        self.waived.push((case, reason.into()));
        self
    }

    pub(super) fn waived(&self, case: &str) -> Option<Cow<'static, str>> {
        let waived = self.waived.iter().find(|(name, _)| name == case);
        waived.map(|(_, reason)| reason.clone())
    }

    /// The host and port to connect to.
    pub(super) fn address(&self) -> (&str, u16) {
        let host = self.base.host().unwrap_or_default();
        let port = self.base.port_u16().unwrap_or(80);
        (host.trim_matches(['[', ']']), port)
    }

    /// The path of the mount, without a slash at its end.
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
