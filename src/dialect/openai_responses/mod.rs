//! The dialect of OpenAI's Responses API, for the official SDKs and other clients of the API.
//!
//! ```
//! use tower::Layer;
//! use unbroken::{
//!     access::AnyoneWithTheId, dialect::OpenAiResponses, durable::DurableLayer, session::Sessions,
//! };
//! # use futures_util::stream;
//! # use unbroken::chat::{ChatEvent, ProviderError, provider_fn};
//! # let provider =
//! #     provider_fn(|_| stream::iter([Ok::<_, ProviderError>(ChatEvent::text("Hello"))]));
//!
//! let responses = DurableLayer::new(Sessions::in_memory(), AnyoneWithTheId::new())
//!     .dialect(OpenAiResponses::new().model("assistant"))
//!     .layer(provider);
//! let app: axum::Router = axum::Router::new().nest_service("/v1", responses);
//! ```
//!
//! ```python
//! client = OpenAI(base_url="http://localhost:3000/v1", api_key="…")
//! stream = client.responses.create(model="assistant", input="Hi", stream=True)
//! # … the connection breaks after the event with the number 17
//! stream = client.responses.retrieve(id, stream=True, starting_after=17)
//! ```
//!
//! # Clients
//!
//! OpenAI's SDKs, with their `base_url` set to the mount path.
//!
//! **Access policy.** The ids are generated and have 128 random bits, or are a hash of the
//! `Idempotency-Key` and the owner. [`AnyoneWithTheId`](crate::access::AnyoneWithTheId) is enough if
//! those keys are random. To check the API key of the SDK, use a policy that identifies owners, such as
//! [`OnlyTheOwner`](crate::access::OnlyTheOwner).
//!
//! # Routes
//!
//! | request | meaning | answers |
//! |---|---|---|
//! | `POST /responses` with `stream` | start | 200 and the stream |
//! | `POST /responses` with `background` | start | 200 and the response, in progress |
//! | `POST /responses` with neither | start, and wait for the end | 200 and the response |
//! | `GET /responses/{id}` | the response in its current state | 200 |
//! | `GET /responses/{id}?stream=true` | its stream; with `&starting_after=` only the events after a number | 200 |
//! | `POST /responses/{id}/cancel` | abort, for all readers; safe to repeat | 200 and the response |
//! | `DELETE /responses/{id}` | abort if it runs, then delete | 200 |
//!
//! The body and the query select the form of the response, not the header `Accept`, which the SDKs
//! always set to JSON. A response continues after its client disconnects, with `background` and without.
//!
//! # Requests
//!
//! * `input` is a text, or items: messages, function calls and their outputs, and the items of an
//!   earlier response's `output`.
//! * `instructions` is the system prompt, and `model` the model. Both are refused unless the application
//!   [opens](crate::durable::ClientFields) them. A [name of the application's model](OpenAiResponses::model)
//!   is always accepted.
//! * Messages of the roles `system` and `developer` are refused unless the application opens them.
//! * `tools` are functions of the client.
//! * `previous_response_id`, `conversation` and `prompt` are refused, because the application owns its
//!   conversations.
//! * Other fields are dropped unless the application opens them.
//!
//! With the header `Idempotency-Key` a repeated request attaches to the response of the first one. The
//! SDKs repeat a request whose connection broke. Without the header it starts a second response.
//!
//! # Responses
//!
//! | event of the log | in the stream |
//! |---|---|
//! | `session_info` | `response.created`, `response.in_progress` |
//! | `text` | an item `message`, and `response.output_text.delta` |
//! | `thinking` | an item `reasoning`, and `response.reasoning_text.delta` |
//! | `isomorphic_handoff`, and `tool_calls` that no tool layer runs | an item `function_call` |
//! | `tool_result`, `tool_error` | an item `mcp_call`, for a tool that ran on the server |
//! | `complete` | `response.completed`; `response.incomplete` if the output was cut short |
//! | `aborted` | `response.incomplete` with the status `cancelled`, because the SDKs have no event of that name |
//! | `error` | `response.failed` |
//! | other events | nothing, because the SDKs refuse unknown events |
//!
//! While a question is open (`input_request`), a stream is silent and a waiting request waits. The
//! question is answered by a route of another dialect.
//!
//! Each event has a `sequence_number`, which is equal in every replay. A request that waits for the end
//! gets 200 for a failed or cancelled response too, with its `status` and `error`.
//!
//! # Deployment caveats
//!
//! **Answers are not restarted**, because the API has no event that tells a client to drop earlier
//! ones; [resuming](crate::durable::RecoveryPolicy::Resume) is possible.
//!
//! **A stream holds the text of its answer in memory**, because its last events repeat it. A slow reader
//! of a long answer costs that much memory.

mod encoder;
mod error;
mod event;
mod fold;
mod input;
mod item;
mod request;
mod response;
mod route;
mod tools;

use std::{borrow::Cow, collections::BTreeSet};

use bytes::Bytes;
use http::{HeaderValue, Response, header, request::Parts};

use self::{fold::ResponseFold, request::CreateResponse};
use super::{
    Dialect, Intent, Native, Refusal, ResponseData, Route, SessionView,
    head::{describe, no_store},
};
use crate::{chat::EnabledTools, log::Chunk};

/// The dialect of OpenAI's Responses API. The [module](self) lists its routes.
#[derive(Debug, Clone)]
pub struct OpenAiResponses {
    names: BTreeSet<Cow<'static, str>>,
    enabled_tools: Option<EnabledTools>,
}

impl OpenAiResponses {
    /// Creates the dialect, without model names and without the server's tools.
    pub fn new() -> Self {
        Self {
            names: BTreeSet::new(),
            enabled_tools: None,
        }
    }

    /// Adds a name of the application's own model.
    ///
    /// The provider gets a request for this name without a model. Any other name is refused unless the
    /// layer [opens](crate::durable::ClientFields::model) the model.
    pub fn model(mut self, model: impl Into<Cow<'static, str>>) -> Self {
        self.names.insert(model.into());
        self
    }

    /// Sets the server's tools that responses may use; clients don't name any. Default none.
    pub fn enabled_tools(mut self, tools: EnabledTools) -> Self {
        self.enabled_tools = Some(tools);
        self
    }

    fn is_own_model(&self, model: &str) -> bool {
        self.names.contains(model)
    }
}

impl Default for OpenAiResponses {
    fn default() -> Self {
        Self::new()
    }
}

impl Dialect for OpenAiResponses {
    fn name(&self) -> &'static str {
        "openai-responses"
    }

    fn route(&self, head: &Parts) -> Result<Route, Refusal> {
        route::route(head)
    }

    fn decode(&self, head: &Parts, body: &Bytes) -> Result<Intent, Refusal> {
        route::decode(self, head, CreateResponse::read(body)?)
    }

    fn refuse(&self, refusal: &Refusal) -> Response<Bytes> {
        error::refuse(refusal)
    }

    fn respond(&self, data: &ResponseData<'_>) -> Response<Bytes> {
        match data {
            ResponseData::FullLog {
                session, records, ..
            }
            | ResponseData::Aborted {
                session,
                records: Some(records),
                ..
            } => document(session, records),
            ResponseData::Stream {
                session, encoder, ..
            } => about(session, encoder.content_type(), Bytes::new()),
            ResponseData::Deleted { id } => {
                let deleted = serde_json::json!({
                    "id": id.as_str(), "object": "response", "deleted": true,
                });
                let mut response = Response::new(deleted.to_string().into());
                let headers = response.headers_mut();
                no_store(headers);
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(JSON));
                response
            }
            data => Native::new().respond(data),
        }
    }

    fn can_restart(&self) -> bool {
        false
    }
}

const JSON: &str = "application/json";

fn document(session: &SessionView<'_>, records: &[Chunk]) -> Response<Bytes> {
    about(
        session,
        JSON,
        ResponseFold::document(session.id.as_str(), records),
    )
}

fn about(session: &SessionView<'_>, content_type: &'static str, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    describe(session, headers);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
