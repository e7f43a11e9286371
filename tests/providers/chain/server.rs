//! Another server of this library on a real socket. Connections can be cut, and the server behind the address replaced.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{Router, body::Body};
use futures_util::StreamExt;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use tokio::net::TcpListener;
use tower::ServiceExt;

/// A request to the server.
#[derive(Debug, Clone)]
pub(crate) struct SeenRequest {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
}

/// The bytes of a stream after which it breaks, by its number.
pub(crate) type CutAfter = Box<dyn Fn(usize) -> Option<usize> + Send + Sync>;

struct Shared {
    app: Mutex<Option<Router>>,
    seen: Mutex<Vec<SeenRequest>>,
    cut: CutAfter,
    streams: Mutex<usize>,
}

pub(crate) struct InnerServer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl InnerServer {
    pub(crate) async fn start(app: Router) -> Self {
        Self::start_with_cuts(app, |_| None).await
    }

    pub(crate) async fn start_with_cuts(
        app: Router,
        cut: impl Fn(usize) -> Option<usize> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            app: Mutex::new(Some(app)),
            seen: Mutex::default(),
            cut: Box::new(cut),
            streams: Mutex::default(),
        });
        let served = Arc::clone(&shared);
        let service = Router::new().fallback(move |request: Request<Body>| {
            let shared = Arc::clone(&served);
            async move { shared.answer(request).await }
        });
        tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
        Self { address, shared }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/api/chat", self.address)
    }

    /// Replaces the server behind the address; without one, requests are refused with 503.
    pub(crate) fn replace(&self, app: Option<Router>) {
        *self.shared.app.lock().unwrap() = app;
    }

    pub(crate) fn seen(&self) -> Vec<SeenRequest> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// Returns the number of requests with this method whose path ends so.
    pub(crate) fn count(&self, method: &str, end: &str) -> usize {
        let seen = self.seen();
        let of = |it: &&SeenRequest| it.method == method && it.path.ends_with(end);
        seen.iter().filter(of).count()
    }

    /// Returns the LSNs after which logs were read on.
    pub(crate) fn reads(&self) -> Vec<u64> {
        let reads = self.seen().into_iter().filter(|it| it.method == "GET");
        let lsn = |it: SeenRequest| it.headers["x-last-lsn"].to_str().unwrap().parse().unwrap();
        reads.map(lsn).collect()
    }
}

impl Shared {
    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        self.seen.lock().unwrap().push(SeenRequest {
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            headers: request.headers().clone(),
        });
        let app = self.app.lock().unwrap().clone();
        let Some(app) = app else {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            return response;
        };
        let response = app.oneshot(request).await.unwrap();
        let content_type = response.headers().get("content-type");
        if content_type.is_none_or(|it| it != "application/x-ndjson") {
            return response;
        }
        let number = {
            let mut streams = self.streams.lock().unwrap();
            *streams += 1;
            *streams - 1
        };
        let Some(mut left) = (self.cut)(number) else {
            return response;
        };
        // What is sent before the cut arrives; the last chunk doesn't.
        let (head, body) = response.into_parts();
        let cut = body.into_data_stream().flat_map(move |chunk| {
            let chunk = chunk.unwrap();
            let sent = chunk.slice(..left.min(chunk.len()));
            let is_cut = left <= chunk.len();
            left -= sent.len();
            let mut items = vec![Ok(sent)];
            items.extend(is_cut.then(|| Err(std::io::Error::other("cut"))));
            futures_util::stream::iter(items)
        });
        // The bytes leave before the connection breaks.
        let cut = cut.then(|item| async move {
            if item.is_err() {
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
            item
        });
        Response::from_parts(head, Body::from_stream(cut))
    }
}
