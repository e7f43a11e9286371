//! Durable Streams, read side: a session as a read-only stream of JSON, for `@durable-streams/client`
//! and whatever else speaks the protocol; with the feature `ai-sdk` also for its transport for
//! `useChat`.
//!
//! ```
//! use tower_layer::Layer;
//! use unbroken::{
//!     access::AnyoneWithTheId, dialect::DurableStreams, durable::DurableLayer, session::Sessions,
//! };
//! # use futures_util::stream;
//! # use unbroken::chat::{ChatEvent, ProviderError, provider_fn};
//! # let provider =
//! #     provider_fn(|_| stream::iter([Ok::<_, ProviderError>(ChatEvent::text("Hello"))]));
//!
//! let streams = DurableLayer::new(Sessions::in_memory(), AnyoneWithTheId::new())
//!     .dialect(DurableStreams::new())
//!     .public_path("/streams")
//!     .layer(provider);
//! let app: axum::Router = axum::Router::new().nest_service("/streams", streams);
//! ```
//!
//! ```js
//! const { headers } = await fetch('/streams', { method: 'POST', … })
//! const answer = await stream({ url: headers.get('location'), live: 'sse' })
//! for await (const event of answer.jsonStream()) …
//! ```
//!
//! | request | meaning | answers |
//! |---|---|---|
//! | `POST /` | start; the body is a [chat request](crate::chat::ChatRequest), `X-Session-Id` may name it | 201, `Location`, and `{"streamUrl"}` |
//! | `GET /{id}?offset=` | what stands after the offset, as far as it goes: a JSON array; without an offset, or with `-1`, from the start; `now` for what is still to come | 200; 304 |
//! | `GET /{id}?offset=&live=long-poll` | the same, and where nothing is there yet it waits | 200; 204 if nothing came |
//! | `GET /{id}?offset=&live=sse` | the same, and goes on: `data` events with an array each, a `control` event after each | 200 |
//! | `HEAD /{id}` | where the stream ends by now | 200 |
//! | anything else on `/{id}` | sessions are written by their providers only | 405 |
//!
//! # What is read
//!
//! An element of the arrays is an event as the native dialect has it, without its LSN. The terminal
//! event is the last element; `Stream-Closed` comes with it. A stream that is closed without one
//! there is none of. After `restarted` only what follows it counts.
//!
//! An offset is an LSN in 20 digits and the tag of its epoch: opaque to clients, and greater than
//! those before it as a string too. One whose record is no longer there is refused with 409.
//!
//! What is read is somebody's chat, so no shared cache may keep it: an answer up to a fixed offset is
//! `private` and asked for again by its `ETag`, everything else is `no-store`. `Stream-Cursor`, which
//! is there to keep requests apart in shared caches, is a counter.
//!
//! An SSE connection ends after a minute, in mid-stream: clients come back with the last offset by
//! themselves. What tells that a stream is over is `streamClosed`, not the end of a connection.
//!
//! # `useChat`
//!
//! With `DurableStreams::ui_messages` the elements are the chunks of the AI SDK's UI message
//! stream, and `POST /` takes what `createDurableChatTransport` of `@durable-streams/aisdk-transport`
//! sends:
//!
//! | request | meaning | answers |
//! |---|---|---|
//! | `POST /` | start; see the dialect [`ai_sdk`](super::ai_sdk), whose names and rules hold | 201, `Location` |
//! | `GET /{chatId}/stream` | the running answer of the chat, after a reload | 200, `Location`; 204 if nothing runs |
//! | `POST /{chatId}/stop` | stop, for everybody who watches | 202; 200 if it had ended; 204 if nothing runs |
//!
//! The transport gives its chat no end before the session has one, so a person can't answer an
//! approval through it: use the dialect of the AI SDK for tools that ask.

mod array;
mod encoder;
mod items;
mod offset;
mod request;
mod response;
mod route;

use std::time::Duration;

use bytes::Bytes;
use http::{Response, request::Parts};

#[cfg(feature = "ai-sdk")]
pub(super) use self::array::JsonArray;
use self::items::StreamItems;
use super::{Dialect, Intent, Refusal, ResponseData, Route};

/// The dialect of Durable Streams. The [module](self) has its routes.
#[derive(Debug, Clone)]
pub struct DurableStreams {
    elements: ElementKind,
    long_poll: Duration,
    connection: Duration,
}

/// What the elements of a stream are.
#[derive(Debug, Clone)]
enum ElementKind {
    Events,
    #[cfg(feature = "ai-sdk")]
    UiMessageChunks(super::AiSdk),
}

impl DurableStreams {
    /// The dialect whose streams are made of events as they are stored.
    pub fn new() -> Self {
        Self::of(ElementKind::Events)
    }

    /// The dialect whose streams are made of the AI SDK's chunks, for its `useChat` over
    /// `@durable-streams/aisdk-transport`. What the AI SDK's own dialect is told about tools and
    /// rivals holds here too.
    #[cfg(feature = "ai-sdk")]
    #[cfg_attr(docsrs, doc(cfg(feature = "ai-sdk")))]
    pub fn ui_messages(sdk: super::AiSdk) -> Self {
        Self::of(ElementKind::UiMessageChunks(sdk))
    }

    fn of(elements: ElementKind) -> Self {
        Self {
            elements,
            long_poll: Duration::from_secs(20),
            connection: Duration::from_secs(60),
        }
    }

    /// How long a long poll waits before it says that nothing came. Default 20 seconds.
    pub fn long_poll(mut self, wait: Duration) -> Self {
        self.long_poll = wait;
        self
    }

    /// How long an SSE connection lasts before its client has to come back. Default a minute.
    pub fn connection(mut self, lifetime: Duration) -> Self {
        self.connection = lifetime;
        self
    }

    #[cfg_attr(
        not(feature = "ai-sdk"),
        expect(unused_variables, reason = "events have no messages")
    )]
    fn items(&self, whole_message: bool) -> StreamItems {
        match self.elements {
            ElementKind::Events => StreamItems::events(),
            #[cfg(feature = "ai-sdk")]
            ElementKind::UiMessageChunks(_) => StreamItems::ui_message_chunks(whole_message),
        }
    }
}

impl Default for DurableStreams {
    fn default() -> Self {
        Self::new()
    }
}

impl Dialect for DurableStreams {
    fn name(&self) -> &'static str {
        match self.elements {
            ElementKind::Events => "durable-streams",
            #[cfg(feature = "ai-sdk")]
            ElementKind::UiMessageChunks(_) => "durable-streams-ai-sdk",
        }
    }

    fn route(&self, head: &Parts) -> Result<Route, Refusal> {
        route::route(self, head)
    }

    fn decode(&self, head: &Parts, body: &Bytes) -> Result<Intent, Refusal> {
        request::decode(self, head, body).map(|start| Intent::Start(Box::new(start)))
    }

    fn refuse(&self, refusal: &Refusal) -> Response<Bytes> {
        response::refuse(refusal)
    }

    fn respond(&self, data: &ResponseData<'_>) -> Response<Bytes> {
        response::respond(self, data)
    }

    // Chunks can't be taken back.
    fn can_restart(&self) -> bool {
        matches!(self.elements, ElementKind::Events)
    }
}
