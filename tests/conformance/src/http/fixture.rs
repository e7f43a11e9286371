use std::{net::SocketAddr, sync::Arc, time::Duration};

use http::{Request, Response, Uri, header};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::{
    net::{TcpSocket, TcpStream, lookup_host},
    sync::Mutex,
};

use crate::{
    http::{
        answer_reader::{AnswerReader, FullAnswer, SOON},
        body::PacedBody,
        request::TestRequest,
        started::StartedSessions,
        target::HttpTarget,
    },
    report::CaseStop,
};
use unbroken::log::SessionId;

/// What is under way to a client that doesn't read, at the most. Else the kernel would read for it.
const WINDOW: u32 = 64 * 1024;

type Http2 = http2::SendRequest<PacedBody>;

/// What a case works with: a server, and the usual ways to use one.
///
/// Over HTTP/1.1 every request has a connection of its own, over HTTP/2 the requests of a case share
/// one. Either way, dropping an answer cuts it.
#[derive(Clone)]
pub(super) struct HttpFixture {
    pub(super) target: Arc<HttpTarget>,
    started: StartedSessions,
    connection: Arc<Mutex<Option<Http2>>>,
}

impl HttpFixture {
    pub(super) fn new(target: Arc<HttpTarget>, started: StartedSessions) -> Self {
        Self {
            target,
            started,
            connection: Arc::default(),
        }
    }

    /// The head of the answer; its body is read by whoever wants it.
    pub(super) async fn send(&self, call: TestRequest) -> Result<AnswerReader, CaseStop> {
        self.send_within(call, SOON).await
    }

    pub(super) async fn send_within(
        &self,
        call: TestRequest,
        time: Duration,
    ) -> Result<AnswerReader, CaseStop> {
        let asked = format!("{} {}", call.method, call.path);
        let stranger = call.stranger;
        self.started.note(&call.headers, stranger);
        let sent = tokio::time::timeout(time, self.exchange(call)).await;
        match sent {
            Ok(Ok(response)) => {
                self.started.note(response.headers(), stranger);
                Ok(AnswerReader::new(response))
            }
            Ok(Err(CaseStop::Failed(why))) => Err(CaseStop::Failed(format!("{asked}: {why}"))),
            Ok(Err(stop)) => Err(stop),
            Err(_) => Err(CaseStop::Failed(format!(
                "{asked}: no head within {time:?}"
            ))),
        }
    }

    /// The whole of a stream that a session answers with.
    pub(super) async fn whole(&self, call: TestRequest) -> Result<FullAnswer, CaseStop> {
        self.send(call).await?.expect(200).await?.whole().await
    }

    /// Follows a script to its end, and says under which id.
    pub(super) async fn finished(&self, script: &Value) -> Result<(String, FullAnswer), CaseStop> {
        let id = fresh();
        let whole = self.whole(TestRequest::script(script).under(&id)).await?;
        Ok((id, whole))
    }

    /// Stops what any case has started here and left running, and waits until it has ended: what runs
    /// from then on is this case's own, if it runs alone.
    pub(super) async fn stop_all(&self) -> Result<(), CaseStop> {
        for (id, stranger) in self.started.all() {
            eventually!(
                {
                    let mut abort = TestRequest::abort(&id);
                    abort.stranger = stranger;
                    // Where it has ended, where it never began, and where it is deleted.
                    matches!(self.send(abort).await?.status(), 200 | 404 | 410)
                },
                "a session that was stopped has ended"
            );
        }
        Ok(())
    }

    /// What the provider counted under this name: calls, running streams, tokens.
    pub(super) async fn tally(&self, name: &str) -> Result<ProviderCounts, CaseStop> {
        let script = json!({"tell": name, "delayMs": 0});
        let text = self.whole(TestRequest::script(&script)).await?.text();
        let counts: Value = serde_json::from_str(&text).unwrap_or_default();
        match ["calls", "running", "tokens"].map(|name| counts[name].as_u64()) {
            [Some(calls), Some(running), Some(tokens)] => Ok(ProviderCounts {
                calls,
                running,
                tokens,
            }),
            _ => Err(CaseStop::Failed(format!(
                "the scripted provider should tell what it counted, and says {text:?}; \
                 does the layer let the field `script` through?"
            ))),
        }
    }

    async fn exchange(&self, call: TestRequest) -> Result<Response<Incoming>, CaseStop> {
        let request = self.request(call)?;
        if self.target.http2 {
            let mut connection = self.connection.lock().await;
            if connection.as_ref().is_none_or(Http2::is_closed) {
                *connection = Some(self.connect().await?);
            }
            let mut sender = connection.clone().expect("just connected");
            drop(connection);
            sender.ready().await?;
            Ok(sender.send_request(request).await?)
        } else {
            let io = TokioIo::new(self.stream().await?);
            let (mut sender, connection) = http1::handshake(io).await?;
            tokio::spawn(connection);
            Ok(sender.send_request(request).await?)
        }
    }

    /// A connection of its own over HTTP/2.
    async fn connect(&self) -> Result<Http2, CaseStop> {
        let io = TokioIo::new(self.stream().await?);
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(16 * WINDOW);
        let (sender, connection) = builder.handshake(io).await?;
        tokio::spawn(connection);
        Ok(sender)
    }

    async fn stream(&self) -> Result<TcpStream, CaseStop> {
        let (host, port) = self.target.address();
        let failed = |error| CaseStop::Failed(format!("connecting to {host}:{port}: {error}"));
        // A name may have addresses at which nobody listens.
        let mut last = CaseStop::Failed(format!("{host} has no address"));
        for address in lookup_host((host, port)).await.map_err(failed)? {
            match connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = failed(error),
            }
        }
        Err(last)
    }

    fn request(&self, call: TestRequest) -> Result<Request<PacedBody>, CaseStop> {
        let base = &self.target.base;
        let mut path = format!("{}{}", self.target.path(), call.path);
        if !path.starts_with('/') {
            path.insert(0, '/');
        }
        let uri = if self.target.http2 {
            let authority = base.authority().map(http::uri::Authority::as_str);
            format!("http://{}{path}", authority.unwrap_or_default())
        } else {
            path
        };
        let uri: Uri = uri
            .parse()
            .map_err(|error| CaseStop::Failed(format!("the case asks for no URI: {error}")))?;
        let mut request = Request::new(PacedBody::new(call.body, call.pause));
        *request.method_mut() = call.method;
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        if !self.target.http2
            && let Some(authority) = base.authority()
            && let Ok(host) = authority.as_str().parse()
        {
            headers.insert(header::HOST, host);
        }
        let caller = match (call.stranger, &self.target.stranger) {
            (true, Some(stranger)) => stranger,
            _ => &self.target.caller,
        };
        headers.extend(caller.clone());
        headers.extend(call.headers);
        Ok(request)
    }
}

/// What the scripted provider counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ProviderCounts {
    pub(super) calls: u64,
    pub(super) running: u64,
    pub(super) tokens: u64,
}

/// An id that nobody has.
pub(super) fn fresh() -> String {
    SessionId::random().as_str().to_owned()
}

impl From<hyper::Error> for CaseStop {
    fn from(error: hyper::Error) -> Self {
        Self::Failed(format!("the connection broke: {error}"))
    }
}

/// Looks until this holds; ends the case as failed if it takes too long.
macro_rules! eventually {
    ($holds:expr, $what:literal) => {{
        let begun = ::tokio::time::Instant::now();
        while !$holds {
            $crate::report::ensure!(
                begun.elapsed() < $crate::http::answer_reader::SOON,
                "it never came to hold that {}",
                $what
            );
            ::tokio::time::sleep(::std::time::Duration::from_millis(10)).await;
        }
    }};
}

pub(super) use eventually;

async fn connect(address: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    socket.set_recv_buffer_size(WINDOW)?;
    let stream = socket.connect(address).await?;
    let _ = stream.set_nodelay(true);
    Ok(stream)
}
