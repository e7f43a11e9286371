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
    /// What is wrong with it, as a sentence.
    pub(super) name: &'static str,
    pub(super) fault: Fault,
    /// The cases that must fail.
    pub(super) caught_by: &'static [&'static str],
    /// Whether it is shown these cases only: others would wait for long.
    pub(super) only: bool,
    pub(super) of: Of,
    pub(super) http2: bool,
}

/// Which service has the fault.
#[derive(Debug, Clone, Copy)]
pub(super) enum Of {
    /// That of which only owners read their own.
    Owned,
    /// That in which a provider may not be silent for long, nor say much.
    Strict,
    /// That in which an answer may not take long.
    Aged,
    /// That which knows nobody's names.
    Open,
}

/// Where something goes wrong.
#[derive(Clone, Copy)]
pub(super) enum Fault {
    /// Nowhere: streams are taken apart and put together again, as for the others.
    Nowhere,
    /// In what the service is asked.
    Request(fn(&mut request::Parts)),
    /// In how it answers.
    Head(fn(&request::Parts, &mut response::Parts)),
    /// In a document, a refusal included.
    Document(fn(&request::Parts, &mut Value)),
    /// In the stream of a session.
    Stream(fn(&request::Parts, Items) -> Items),
    /// In what is done at all.
    Service(fn(Upstream, Request) -> BoxFuture<'static, Response>),
    /// In what it says of itself: its limits are others.
    Told(fn(HttpTarget) -> HttpTarget),
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
            of: Of::Owned,
            http2: false,
        }
    }

    /// The same of another service, which is shown the cases that are to catch it only.
    pub(super) const fn of(self, of: Of) -> Self {
        Self { of, ..self }.only()
    }

    /// The same over HTTP/2, where streams share a connection.
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
