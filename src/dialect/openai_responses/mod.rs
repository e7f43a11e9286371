//! The Responses API of OpenAI, for the official SDKs and whatever else speaks it.
//!
//! ```
//! use tower_layer::Layer;
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
//! | request | meaning | answers |
//! |---|---|---|
//! | `POST /responses` with `stream` | start | 200 and the stream |
//! | `POST /responses` with `background` | start | 200 and the response, in progress |
//! | `POST /responses` with neither | start, and wait for the end | 200 and the response |
//! | `GET /responses/{id}` | the response as it stands | 200 |
//! | `GET /responses/{id}?stream=true` | its stream; `&starting_after=` for what comes after an event | 200 |
//! | `POST /responses/{id}/cancel` | stop, for everyone; safe to repeat | 200 and the response |
//! | `DELETE /responses/{id}` | stop if it runs, then forget | 200 |
//!
//! What a request asks for decides how it is answered, not its `Accept`, which the SDKs always set to
//! JSON. A response goes on when nobody listens, with `background` and without.
//!
//! # Requests
//!
//! `input` is a text or items: messages, function calls and what they gave, the items of an earlier
//! response's `output`. `instructions` are the system prompt, and `model` is the model, so both are
//! refused unless the application [opens](crate::durable::ClientFields) them; but a name that the dialect is
//! [called](OpenAiResponses::called) by stands for the application's own model and is always welcome.
//! Messages of the roles `system` and `developer` have to be opened too, and so have further fields,
//! which are dropped otherwise. `tools` are functions of the client's.
//! `previous_response_id`, `conversation` and `prompt` are refused: the application owns its
//! conversations.
//!
//! With the header `Idempotency-Key` a repeated request attaches to what the first one started, as
//! the SDKs repeat a request whose connection broke. Without one it starts a second response.
//!
//! # Responses
//!
//! | event of the log | in the stream |
//! |---|---|
//! | `session_info` | `response.created`, `response.in_progress` |
//! | `text` | an item `message`, and `response.output_text.delta` |
//! | `thinking` | an item `reasoning`, and `response.reasoning_text.delta` |
//! | `isomorphic_handoff`, and `tool_calls` that nobody runs here | an item `function_call` |
//! | `tool_result`, `tool_error` | an item `mcp_call`: a tool that ran here |
//! | `complete` | `response.completed`; `response.incomplete` where the model was cut short |
//! | `aborted` | `response.incomplete` with the status `cancelled`: the SDKs know no event of that name |
//! | `error` | `response.failed` |
//! | anything else | nothing: the SDKs refuse events that they don't know |
//!
//! While somebody is asked (`input_request`), a stream is silent and a request waits; the answer to the
//! question comes by another dialect's route.
//!
//! Each event has a `sequence_number`, the same one in every replay. A request that waits for the
//! end gets 200 for a response that failed or was cancelled, too: its `status` and `error` say so.
//!
//! # Deployment caveats
//!
//! **Answers are not restarted**, as a client can't be told to drop what it had;
//! [resuming](crate::durable::Policy::Resume) is fine.
//!
//! **A stream holds the text of its answer**, because its last events repeat it. A slow reader of a
//! long answer costs its length.

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

/// The dialect of OpenAI's Responses API. The [module](self) has its routes.
#[derive(Debug, Clone)]
pub struct OpenAiResponses {
    names: BTreeSet<Cow<'static, str>>,
    enabled_tools: Option<EnabledTools>,
}

impl OpenAiResponses {
    /// The dialect, called by no name and without the server's tools.
    pub fn new() -> Self {
        Self {
            names: BTreeSet::new(),
            enabled_tools: None,
        }
    }

    /// A name of the application's own model. A request for it says nothing to the provider; one for
    /// any other is refused unless the layer [opens](crate::durable::ClientFields::model) the model.
    pub fn model(mut self, model: impl Into<Cow<'static, str>>) -> Self {
        self.names.insert(model.into());
        self
    }

    /// Which of the server's tools responses may use: the SDKs' users don't say. Default none.
    pub fn enabled_tools(mut self, tools: EnabledTools) -> Self {
        self.enabled_tools = Some(tools);
        self
    }

    fn answers_to(&self, model: &str) -> bool {
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
            // What isn't OpenAI's own is answered as everywhere.
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
