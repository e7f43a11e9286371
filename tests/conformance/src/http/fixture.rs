use std::{net::SocketAddr, sync::Arc, time::Duration};

use http::{Request, Response, Uri, header, response::Parts};
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
        answer_reader::{AnswerReader, FullAnswer, RESPONSE_TIMEOUT},
        body::PacedBody,
        request::TestRequest,
        started::StartedSessions,
        target::HttpTarget,
    },
    report::CaseStop,
};
use unbroken::log::SessionId;

/// The most bytes that are on the way to a client that doesn't read: a limit of the buffers of sockets
/// and of the flow control of HTTP/2.
const WINDOW: u32 = 64 * 1024;

type Http2 = http2::SendRequest<PacedBody>;

/// The server that a case tests, with shorthands for common requests.
///
/// Over HTTP/1.1 every request has a connection of its own. Over HTTP/2 the requests of a case share
/// one. A dropped answer ends its connection or stream.
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

    /// Sends a request and returns its answer once the head is there.
    pub(super) async fn send(&self, request: TestRequest) -> Result<AnswerReader, CaseStop> {
        self.send_within(request, RESPONSE_TIMEOUT).await
    }

    pub(super) async fn send_within(
        &self,
        request: TestRequest,
        time: Duration,
    ) -> Result<AnswerReader, CaseStop> {
        let asked = format!("{} {}", request.method, request.path);
        let stranger = request.stranger;
        self.started.note(&request.headers, stranger);
        let sent = tokio::time::timeout(time, self.exchange(request)).await;
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

    /// Sends a request, and fails unless the response has this status.
    pub(super) async fn expect(
        &self,
        request: TestRequest,
        status: u16,
    ) -> Result<AnswerReader, CaseStop> {
        self.send(request).await?.expect(status).await
    }

    /// Sends a request, and expects this status and an empty body.
    pub(super) async fn expect_empty(
        &self,
        request: TestRequest,
        status: u16,
    ) -> Result<Parts, CaseStop> {
        self.send(request).await?.expect_empty(status).await
    }

    /// Sends a request, and expects a refusal of this type.
    pub(super) async fn expect_problem(
        &self,
        request: TestRequest,
        status: u16,
        name: &str,
    ) -> Result<Value, CaseStop> {
        self.send(request).await?.expect_problem(status, name).await
    }

    /// Sends a request and reads the stream to its end.
    pub(super) async fn read_to_end(&self, request: TestRequest) -> Result<FullAnswer, CaseStop> {
        self.expect(request, 200).await?.read_to_end().await
    }

    /// Runs a script to its end. Returns the id of the session, too.
    pub(super) async fn run_to_end(
        &self,
        script: &Value,
    ) -> Result<(String, FullAnswer), CaseStop> {
        let id = new_id();
        let full = self
            .read_to_end(TestRequest::script(script).session_id(&id))
            .await?;
        Ok((id, full))
    }

    /// Aborts every session that a case has left running, and waits until all have ended.
    pub(super) async fn stop_all(&self) -> Result<(), CaseStop> {
        for (id, stranger) in self.started.all() {
            eventually!(
                {
                    let mut abort = TestRequest::abort(&id);
                    abort.stranger = stranger;
                    // Ended, never begun, or deleted.
                    matches!(self.send(abort).await?.status(), 200 | 404 | 410)
                },
                "a session that was stopped has ended"
            );
        }
        Ok(())
    }

    /// Returns the calls, running streams and tokens that the provider counted under a name.
    pub(super) async fn provider_counts(&self, name: &str) -> Result<ProviderCounts, CaseStop> {
        let script = json!({"tell": name, "delayMs": 0});
        let text = self.read_to_end(TestRequest::script(&script)).await?.text();
        let counts: Value = serde_json::from_str(&text).unwrap_or_default();
        match ["calls", "running", "tokens"].map(|name| counts[name].as_u64()) {
            [Some(calls), Some(running), Some(tokens)] => Ok(ProviderCounts {
                calls,
                running,
                tokens,
            }),
            _ => Err(CaseStop::Failed(format!(
                "the scripted provider answers {text:?} instead of its counts; \
                 let clients set the field `script` of the layer"
            ))),
        }
    }

    async fn exchange(&self, request: TestRequest) -> Result<Response<Incoming>, CaseStop> {
        let request = self.build(request)?;
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

    /// Opens an HTTP/2 connection.
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
        // A host may have addresses without a listener.
        let mut last = CaseStop::Failed(format!("{host} has no address"));
        for address in lookup_host((host, port)).await.map_err(failed)? {
            match connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = failed(error),
            }
        }
        Err(last)
    }

    fn build(&self, test: TestRequest) -> Result<Request<PacedBody>, CaseStop> {
        let base = &self.target.base;
        let mut path = format!("{}{}", self.target.path(), test.path);
        if !path.starts_with('/') {
            path.insert(0, '/');
        }
        let uri = if self.target.http2 {
            let authority = base.authority().map(http::uri::Authority::as_str);
            format!("http://{}{path}", authority.unwrap_or_default())
        } else {
            path
        };
        let uri: Uri = uri.parse().map_err(|error| {
            CaseStop::Failed(format!("the path of the request is no URI: {error}"))
        })?;
        let mut request = Request::new(PacedBody::new(test.body, test.pause));
        *request.method_mut() = test.method;
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        if !self.target.http2
            && let Some(authority) = base.authority()
            && let Ok(host) = authority.as_str().parse()
        {
            headers.insert(header::HOST, host);
        }
        let caller = match (test.stranger, &self.target.stranger) {
            (true, Some(stranger)) => stranger,
            _ => &self.target.caller,
        };
        headers.extend(caller.clone());
        headers.extend(test.headers);
        Ok(request)
    }
}

/// The counts of the scripted provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ProviderCounts {
    pub(super) calls: u64,
    pub(super) running: u64,
    pub(super) tokens: u64,
}

/// Returns a random session id.
pub(super) fn new_id() -> String {
    SessionId::random().as_str().to_owned()
}

impl From<hyper::Error> for CaseStop {
    fn from(error: hyper::Error) -> Self {
        Self::Failed(format!("the connection broke: {error}"))
    }
}

/// Waits until the condition holds. Ends the case as failed if it takes too long.
macro_rules! eventually {
    ($holds:expr, $what:literal) => {{
        let begun = ::tokio::time::Instant::now();
        while !$holds {
            $crate::report::ensure!(
                begun.elapsed() < $crate::http::answer_reader::RESPONSE_TIMEOUT,
                "did not come true: {}",
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
