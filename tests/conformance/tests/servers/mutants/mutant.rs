use axum::{
    extract::Request,
    http::{request, response},
    response::Response,
};
use futures_util::future::BoxFuture;
use serde_json::Value;
use unbroken_conformance::http::HttpTarget;

use super::{items::Items, server::Upstream};

/// A server with a fault.
#[derive(Clone, Copy)]
pub(super) struct Mutant {
    /// The fault, as a sentence.
    pub(super) name: &'static str,
    pub(super) fault: Fault,
    /// The cases that must fail.
    pub(super) caught_by: &'static [&'static str],
    /// True if only these cases run, since others would take long.
    pub(super) only: bool,
    pub(super) service: ServiceKind,
    pub(super) http2: bool,
}

/// The service that has the fault.
#[derive(Debug, Clone, Copy)]
pub(super) enum ServiceKind {
    /// The service with owners.
    Owned,
    /// The service with low limits of silence and bytes.
    Strict,
    /// The service with a low limit of age.
    Aged,
    /// The service without owners.
    Open,
}

/// The place of a fault.
#[derive(Clone, Copy)]
pub(super) enum Fault {
    /// No fault. Streams are split and joined as with a fault.
    Nowhere,
    /// Changes the head of a request.
    Request(fn(&mut request::Parts)),
    /// Changes the head of a response.
    Head(fn(&request::Parts, &mut response::Parts)),
    /// Changes a JSON document, refusals included.
    Document(fn(&request::Parts, &mut Value)),
    /// Changes the stream of a session.
    Stream(fn(&request::Parts, Items) -> Items),
    /// Replaces the exchange of a request for a response.
    Exchange(fn(Upstream, Request) -> BoxFuture<'static, Response>),
    /// Changes the description of the server, so that its limits differ.
    Description(fn(HttpTarget) -> HttpTarget),
}

impl Mutant {
    pub(super) const fn new(
        name: &'static str,
        fault: Fault,
        caught_by: &'static [&'static str],
    ) -> Self {
        Self {
            name,
            fault,
            caught_by,
            only: false,
            service: ServiceKind::Owned,
            http2: false,
        }
    }

    /// Puts the fault into another service, against which only the catching cases run.
    pub(super) const fn on(self, service: ServiceKind) -> Self {
        Self { service, ..self }.only()
    }

    /// Runs the catching cases over HTTP/2, where streams share a connection.
    pub(super) const fn over_http2(self) -> Self {
        Self {
            http2: true,
            ..self
        }
        .only()
    }

    pub(super) const fn only(mut self) -> Self {
        self.only = true;
        self
    }
}
