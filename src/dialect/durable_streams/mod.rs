//! The dialect of Durable Streams, read side: a session as a read-only stream of JSON.
//!
//! ```
//! use tower::Layer;
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
//! # Clients
//!
//! `@durable-streams/client` and other clients of the protocol; with the feature `ai-sdk` also the
//! protocol's [transport for `useChat`](#usechat).
//!
//! **Access policy.** As for the [native dialect](super::native): clients name sessions by generated ids
//! or ids of their own. In the mode for `useChat` they name chats, so the policy must name owners, as for
//! the dialect [of the AI SDK](super::ai_sdk): use [`OnlyTheOwner`](crate::access::OnlyTheOwner).
//!
//! # Routes
//!
//! | request | meaning | answers |
//! |---|---|---|
//! | `POST /` | start; the body is a [chat request](crate::chat::ChatRequest), `X-Session-Id` may be its id | 201, `Location`, and `{"streamUrl"}` |
//! | `GET /{id}?offset=` | the elements after the offset that exist now, as a JSON array; without an offset, or with `-1`, from the start; with `now` none | 200; 304 |
//! | `GET /{id}?offset=&live=long-poll` | the elements after the offset; waits if there is none yet | 200; 204 after the wait |
//! | `GET /{id}?offset=&live=sse` | a stream of `data` events with an array each, and a `control` event after each | 200 |
//! | `HEAD /{id}` | the current end of the stream | 200 |
//! | other methods on `/{id}` | refused, because only providers write sessions | 405 |
//!
//! # Elements and offsets
//!
//! An element is an event as in the [native dialect](super::native), without its LSN. The terminal event is the last
//! element, and `Stream-Closed` comes with it. Every closed stream has one. After a `restarted` event,
//! clients drop the elements before it.
//!
//! An offset is an LSN in 20 digits and the tag of its epoch. It is opaque to clients, and offsets are
//! ordered as strings. An offset whose record no longer exists is refused with 409.
//!
//! Shared caches may not store a chat. A response up to a fixed offset is `private` and revalidated by
//! its `ETag`; every other response is `no-store`. `Stream-Cursor`, with which the protocol separates
//! requests in shared caches, is a counter.
//!
//! An SSE connection ends after a minute, in mid-stream, and clients reconnect with the last offset. The
//! end of the stream is `streamClosed`, not the end of a connection.
//!
//! # `useChat`
//!
//! With `DurableStreams::ui_messages` the elements are the chunks of the AI SDK's UI message
//! stream, and `POST /` accepts the body of `createDurableChatTransport` from
//! `@durable-streams/aisdk-transport`:
//!
//! | request | meaning | answers |
//! |---|---|---|
//! | `POST /` | start; the session ids and rules are those of the dialect [`ai_sdk`](super::ai_sdk) | 201, `Location` |
//! | `GET /{chatId}/stream` | the running answer of the chat, after a reload, or by [option](super::AiSdk::resume_after_end) one that ended just now | 200, `Location`; 204 if there is none |
//! | `POST /{chatId}/stop` | abort, for all readers | 202; 200 if it had ended; 204 if nothing runs |
//!
//! This transport ends a message only with its session, so users can't respond to an approval through
//! it. For tools with approvals use the dialect of the AI SDK. Readers of `ai` 7 see the response that was
//! given elsewhere by [option](super::AiSdk::approval_responses).

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
#[cfg(feature = "ai-sdk")]
use super::ChatMessage;
use super::{Dialect, Intent, Refusal, RequestLimits, ResponseData, Route, Subject};
use crate::log::Chunk;
#[cfg(feature = "ai-sdk")]
use crate::log::SessionId;

/// The dialect of Durable Streams. The [module](self) lists its routes.
#[derive(Debug, Clone)]
pub struct DurableStreams {
    elements: ElementKind,
    long_poll: Duration,
    connection: Duration,
}

/// The kind of a stream's elements.
#[derive(Debug, Clone)]
enum ElementKind {
    Events,
    #[cfg(feature = "ai-sdk")]
    UiMessageChunks(super::AiSdk),
}

impl DurableStreams {
    /// Creates the dialect whose elements are events as they are stored.
    pub fn new() -> Self {
        Self::of(ElementKind::Events)
    }

    /// Creates the dialect whose elements are chunks of the AI SDK, for `useChat` over
    /// `@durable-streams/aisdk-transport`. The options of `sdk` apply.
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

    /// Sets the maximum time that a long poll waits. Default 20 seconds.
    pub fn long_poll(mut self, wait: Duration) -> Self {
        self.long_poll = wait;
        self
    }

    /// Sets the maximum duration of an SSE connection. Default one minute.
    pub fn connection(mut self, lifetime: Duration) -> Self {
        self.connection = lifetime;
        self
    }

    #[cfg_attr(
        not(feature = "ai-sdk"),
        expect(unused_variables, reason = "events have no messages")
    )]
    fn items(&self, whole_message: bool) -> StreamItems {
        match &self.elements {
            ElementKind::Events => StreamItems::events(),
            #[cfg(feature = "ai-sdk")]
            ElementKind::UiMessageChunks(sdk) => StreamItems::ui_message_chunks(sdk, whole_message),
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

    fn subject(&self, head: &Parts, body: &Bytes) -> Result<Subject, Refusal> {
        request::subject(self, head, body)
    }

    fn decode(
        &self,
        head: &Parts,
        body: &Bytes,
        limits: &RequestLimits,
    ) -> Result<Intent, Refusal> {
        request::decode(self, head, body, limits)
    }

    fn field_name(&self, field: &'static str) -> &'static str {
        match &self.elements {
            ElementKind::Events => field,
            #[cfg(feature = "ai-sdk")]
            ElementKind::UiMessageChunks(sdk) => sdk.field_name(field),
        }
    }

    fn refuse(&self, refusal: &Refusal) -> Response<Bytes> {
        response::refuse(refusal)
    }

    fn respond(&self, data: &ResponseData<'_>) -> Response<Bytes> {
        response::respond(self, data)
    }

    fn can_restart(&self) -> bool {
        match &self.elements {
            ElementKind::Events => true,
            #[cfg(feature = "ai-sdk")]
            ElementKind::UiMessageChunks(sdk) => sdk.can_restart(),
        }
    }

    fn restart_obstacle(&self, log: &[Chunk]) -> Option<&'static str> {
        let _ = log;
        match &self.elements {
            ElementKind::Events => None,
            #[cfg(feature = "ai-sdk")]
            ElementKind::UiMessageChunks(sdk) => sdk.restart_obstacle(log),
        }
    }

    fn finds_by_chat(&self) -> bool {
        !matches!(self.elements, ElementKind::Events)
    }

    fn message_form(&self) -> Option<&'static str> {
        match &self.elements {
            ElementKind::Events => None,
            #[cfg(feature = "ai-sdk")]
            ElementKind::UiMessageChunks(sdk) => sdk.message_form(),
        }
    }

    #[cfg(feature = "ai-sdk")]
    fn answered(
        &self,
        session: &SessionId,
        asked: Vec<ChatMessage>,
        log: &[Chunk],
    ) -> Vec<ChatMessage> {
        match &self.elements {
            ElementKind::Events => asked,
            ElementKind::UiMessageChunks(sdk) => sdk.answered(session, asked, log),
        }
    }
}
