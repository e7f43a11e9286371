use std::{
    collections::HashSet,
    convert::Infallible,
    sync::{Arc, Mutex, OnceLock},
};

use axum::{Router, body::Body, extract::Request, http::header, response::Response};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tokio::net::TcpListener;
use tower::{ServiceExt as _, service_fn};
use unbroken::{headers::SESSION_ID, session::Sessions};

use super::{
    items::{apart, together},
    mutant::{Fault, Of},
};
use crate::chat::{AGED, Chat, MOUNT, OPEN, STRICT, Server, aged, open, owned, sessions, strict};

/// The service that is right, for those who ask it for something else.
#[derive(Clone)]
pub(super) struct Upstream {
    chat: Chat,
    pub(super) sessions: Sessions,
    /// The ids that clients made, of what was started.
    started: Arc<Mutex<HashSet<String>>>,
    first: Arc<OnceLock<String>>,
}

impl Upstream {
    pub(super) async fn call(&self, request: Request) -> Response {
        let Ok(response) = self.chat.clone().oneshot(request).await;
        response.map(Body::new)
    }

    /// Whether this start repeats another.
    pub(super) fn repeats(&self, request: &Request) -> bool {
        let id = request.headers().get(SESSION_ID);
        let Some(Ok(id)) = id.map(|id| id.to_str()) else {
            return false;
        };
        !self.started.lock().expect("no panic").insert(id.to_owned())
    }

    /// Whether nobody has named this here before.
    pub(super) fn is_first(&self, name: &str) -> bool {
        self.started
            .lock()
            .expect("no panic")
            .insert(name.to_owned())
    }

    /// The id that was named here first.
    pub(super) fn first(&self, id: &str) -> &str {
        self.first.get_or_init(|| id.to_owned())
    }
}

/// Serves with a fault, by axum.
pub(super) async fn serve(fault: Fault, of: Of) -> Server {
    let sessions = sessions();
    let (at, chat) = match of {
        Of::Owned => (MOUNT, owned(&sessions)),
        Of::Strict => (STRICT, strict()),
        Of::Aged => (AGED, aged()),
        Of::Open => (OPEN, open(&sessions)),
    };
    let upstream = Upstream {
        chat,
        sessions: sessions.clone(),
        started: Arc::default(),
        first: Arc::default(),
    };
    let service = service_fn(move |request| {
        let upstream = upstream.clone();
        async move { Ok::<_, Infallible>(answer(fault, upstream, request).await) }
    });
    let app = Router::new().merge(unbroken_axum::mount(at, service));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("an address");
    let serving = async move { axum::serve(listener, app).await };
    Server {
        addr,
        sessions,
        accepted: Arc::default(),
        task: tokio::spawn(serving).abort_handle(),
    }
}

async fn answer(fault: Fault, upstream: Upstream, request: Request) -> Response {
    let (mut head, body) = request.into_parts();
    let asked = head.clone();
    if let Fault::Request(change) = fault {
        change(&mut head);
    }
    let request = Request::from_parts(head, body);
    let response = match fault {
        Fault::Service(serve) => serve(upstream, request).await,
        _ => upstream.call(request).await,
    };
    let content_type = response.headers().get(header::CONTENT_TYPE);
    let content_type = content_type.map_or(&b""[..], |it| it.as_bytes()).to_owned();
    let server_sent = content_type == b"text/event-stream";
    let (mut head, body) = response.into_parts();
    let body = match fault {
        Fault::Head(change) => {
            change(&asked, &mut head);
            body
        }
        Fault::Stream(change) if server_sent || content_type == b"application/x-ndjson" => {
            together(change(&asked, apart(body, server_sent)))
        }
        Fault::Nowhere if server_sent || content_type == b"application/x-ndjson" => {
            together(apart(body, server_sent))
        }
        Fault::Document(change)
            if content_type == b"application/json"
                || content_type == b"application/problem+json" =>
        {
            let bytes = body.collect().await.expect("a document").to_bytes();
            match serde_json::from_slice::<Value>(&bytes) {
                Ok(mut document) => {
                    change(&asked, &mut document);
                    head.headers.remove(header::CONTENT_LENGTH);
                    Body::from(document.to_string())
                }
                // HEAD.
                Err(_) => Body::empty(),
            }
        }
        _ => body,
    };
    Response::from_parts(head, body)
}
