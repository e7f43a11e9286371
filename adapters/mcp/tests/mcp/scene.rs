//! A folder in which a server counts its runs, and the ways to reach that server.

use std::{
    env, fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use axum::{
    body::to_bytes,
    extract::Request,
    http::StatusCode,
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
};
use rmcp::transport::streamable_http_server::{
    StreamableHttpServerConfig, StreamableHttpService, session::local::LocalSessionManager,
};
use tempfile::TempDir;
use tokio::{net::TcpListener, process::Command, task::JoinHandle};
use unbroken_mcp::Mcp;

use crate::server::{self, CountingServer};

/// The file with the log.
const LOG: &str = "log";
/// The file with the status of every answer to a call.
const STATUS: &str = "status";
/// The file that is there until a session is refused.
pub(crate) const EXPIRED: &str = "expired";

/// The longest wait for a condition.
const SOON: Duration = Duration::from_secs(60);

pub(crate) struct Scene {
    folder: TempDir,
    version: Version,
    over_http: bool,
    http: Option<JoinHandle<()>>,
    /// How the server is reached, for messages.
    pub(crate) way: &'static str,
}

/// The protocol that the server speaks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Version {
    /// The version 2026-07-28, without a handshake.
    New,
    /// The version before it.
    Former,
}

impl Scene {
    /// The server is a program.
    pub(crate) fn stdio(version: Version) -> Self {
        let way = match version {
            Version::New => "stdio, new version",
            Version::Former => "stdio, former version",
        };
        Self::new(version, false, way)
    }

    /// The server has an address.
    pub(crate) fn http(version: Version) -> Self {
        let way = match version {
            Version::New => "HTTP, new version",
            Version::Former => "HTTP, former version",
        };
        Self::new(version, true, way)
    }

    fn new(version: Version, over_http: bool, way: &'static str) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            version,
            over_http,
            http: None,
            way,
        }
    }

    /// Returns the server, to be connected to.
    pub(crate) async fn mcp(&mut self) -> Mcp {
        if self.over_http {
            self.address().await
        } else {
            self.program()
        }
    }

    /// Returns the server as a program.
    pub(crate) fn program(&self) -> Mcp {
        let mut command = Command::new(env::current_exe().unwrap());
        command.env(server::LOG, self.log());
        let former = self.version == Version::Former;
        command.env(server::FORMER, if former { "1" } else { "" });
        Mcp::stdio(command)
    }

    /// Returns the server as a program that starts another program, whose id is in the file `other`.
    pub(crate) fn program_with_another(&self) -> Mcp {
        let mut command = Command::new("sh");
        command.args([
            "-c",
            "sleep 1000 2>/dev/null & echo $! >\"$0\"; exec \"$1\"",
        ]);
        command.arg(self.folder.path().join("other"));
        command.arg(env::current_exe().unwrap());
        command.env(server::LOG, self.log());
        Mcp::stdio(command)
    }

    /// Starts the server on a free port.
    async fn address(&mut self) -> Mcp {
        let (log, former) = (self.log(), self.version == Version::Former);
        let service = StreamableHttpService::new(
            move || Ok(CountingServer::new(log.clone(), former)),
            LocalSessionManager::default().into(),
            StreamableHttpServerConfig::default(),
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let folder = self.folder.path().to_owned();
        let app = axum::Router::new().nest_service("/mcp", service);
        let app = app.layer(from_fn(move |request, next| {
            refuse(folder.clone(), request, next)
        }));
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        self.http = Some(task);
        Mcp::http(format!("http://{address}/mcp"))
    }

    /// Creates a file that the server looks for.
    pub(crate) fn set(&self, name: &str) {
        fs::write(self.folder.path().join(name), "").unwrap();
    }

    /// Lets every call of the server over HTTP be refused with a status.
    pub(crate) fn refuse(&self, status: u16) {
        fs::write(self.folder.path().join(STATUS), status.to_string()).unwrap();
    }

    pub(crate) fn accept(&self) {
        self.unset(STATUS);
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap()
    }

    pub(crate) fn unset(&self, name: &str) {
        fs::remove_file(self.folder.path().join(name)).unwrap();
    }

    /// Returns the number of times that the server noted this.
    pub(crate) fn times(&self, what: &str) -> usize {
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        log.lines().filter(|line| *line == what).count()
    }

    /// Waits until the server noted this so many times.
    pub(crate) async fn until(&self, what: &str, times: usize) {
        until(&format!("{}: {what}", self.way), async || {
            self.times(what) >= times
        })
        .await;
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join(LOG)
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if let Some(task) = &self.http {
            task.abort();
        }
    }
}

/// Refuses a call, if the scene says so, and notes it. A session that has expired is refused once.
async fn refuse(folder: PathBuf, request: Request, next: Next) -> Response {
    let has_session = request.headers().contains_key("mcp-session-id");
    let (head, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let is_call = String::from_utf8_lossy(&body).contains("\"tools/call\"");
    let request = Request::from_parts(head, body.into());
    let status = fs::read_to_string(folder.join(STATUS)).ok();
    let mut status = status.and_then(|status| status.parse().ok());
    if is_call && has_session && fs::remove_file(folder.join(EXPIRED)).is_ok() {
        status = Some(StatusCode::NOT_FOUND);
    }
    match status {
        Some(status) if is_call => {
            server::note(&folder.join(LOG), "refused");
            status.into_response()
        }
        _ => next.run(request).await,
    }
}

/// Waits for a condition.
pub(crate) async fn until(what: &str, is_true: impl AsyncFn() -> bool) {
    let began = Instant::now();
    while !is_true().await {
        assert!(began.elapsed() < SOON, "still not: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
