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
    items::{join_items, split_items},
    mutant::{Fault, ServiceKind},
};
use crate::chat::{AGED, Chat, MOUNT, OPEN, STRICT, Server, aged, open, owned, sessions, strict};

/// The correct service behind a fault.
#[derive(Clone)]
pub(super) struct Upstream {
    chat: Chat,
    pub(super) sessions: Sessions,
    /// The client-made ids of started sessions.
    started: Arc<Mutex<HashSet<String>>>,
    first: Arc<OnceLock<String>>,
}

impl Upstream {
    pub(super) async fn call(&self, request: Request) -> Response {
        let Ok(response) = self.chat.clone().oneshot(request).await;
        response.map(Body::new)
    }

    /// Returns true if this start has the id of an earlier one.
    pub(super) fn repeats(&self, request: &Request) -> bool {
        let id = request.headers().get(SESSION_ID);
        let Some(Ok(id)) = id.map(|id| id.to_str()) else {
            return false;
        };
        !self.started.lock().expect("no panic").insert(id.to_owned())
    }

    /// Returns true the first time that a name is given.
    pub(super) fn is_new_name(&self, name: &str) -> bool {
        self.started
            .lock()
            .expect("no panic")
            .insert(name.to_owned())
    }

    /// Returns the id that was given first.
    pub(super) fn first(&self, id: &str) -> &str {
        self.first.get_or_init(|| id.to_owned())
    }
}

/// Serves a faulty service with axum.
pub(super) async fn serve(fault: Fault, service_kind: ServiceKind) -> Server {
    let sessions = sessions();
    let (at, chat) = match service_kind {
        ServiceKind::Owned => (MOUNT, owned(&sessions)),
        ServiceKind::Strict => (STRICT, strict()),
        ServiceKind::Aged => (AGED, aged()),
        ServiceKind::Open => (OPEN, open(&sessions)),
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
    let request_head = head.clone();
    if let Fault::Request(change) = fault {
        change(&mut head);
    }
    let request = Request::from_parts(head, body);
    let response = match fault {
        Fault::Exchange(serve) => serve(upstream, request).await,
        _ => upstream.call(request).await,
    };
    let content_type = response.headers().get(header::CONTENT_TYPE);
    let content_type = content_type.map_or(&b""[..], |it| it.as_bytes()).to_owned();
    let server_sent = content_type == b"text/event-stream";
    let (mut head, body) = response.into_parts();
    let body = match fault {
        Fault::Head(change) => {
            change(&request_head, &mut head);
            body
        }
        Fault::Stream(change) if server_sent || content_type == b"application/x-ndjson" => {
            join_items(change(&request_head, split_items(body, server_sent)))
        }
        Fault::Nowhere if server_sent || content_type == b"application/x-ndjson" => {
            join_items(split_items(body, server_sent))
        }
        Fault::Document(change)
            if content_type == b"application/json"
                || content_type == b"application/problem+json" =>
        {
            let bytes = body.collect().await.expect("a document").to_bytes();
            match serde_json::from_slice::<Value>(&bytes) {
                Ok(mut document) => {
                    change(&request_head, &mut document);
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
