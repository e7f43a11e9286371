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
//! `Idempotency-Key` and the owner. [`AnyoneWithTheId`](crate::access::AnyoneWithTheId) is enough: a key
//! of fewer than 22 characters is refused there, and the SDKs make longer ones. To check the API key of the SDK, use a policy that identifies owners, such as
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
//! * Items of the assistant are refused unless the application opens
//!   [`history`](crate::durable::ClientFields::history).
//! * `tools` are functions of the client, if the application opens
//!   [`client_tools`](crate::durable::ClientFields::client_tools).
//! * Function call outputs at the end count for calls of a response whose log has them, once, with the
//!   log's arguments. The `id` of a `function_call` item names that response, or `previous_response_id` does.
//! * Otherwise `previous_response_id`, and always `conversation` and `prompt`, are refused, because the
//!   application owns its conversations. A [`History`](crate::durable::History) can't keep them in this dialect.
//! * Content is `input_text`, `input_image`, `input_file` and `input_audio`, with `data:` URLs, base64 or
//!   links; a `file_id` is refused. Outputs of functions may have such parts too.
//! * `temperature`, `top_p`, `max_output_tokens`, `text.format`, `tool_choice`, `parallel_tool_calls` and
//!   `reasoning.effort` become [options](crate::chat::ChatOptions), and the response repeats them. So it
//!   does `metadata`, which has at most 16 pairs.
//! * `top_k`, `presence_penalty` and `frequency_penalty`, which other servers of the API take, are fields of the
//!   request to the model's server, and refused unless the application
//!   [opens](crate::durable::ClientFields::provider_field) them.
//! * The items of a response's `output` that a client sends back become the turns of the model that they
//!   were, with the `encrypted_content` of `reasoning`: what the provider must be handed back, in base64.
//!   This library does not encrypt it. `encrypted_content` of another server is refused.
//! * Fields of the API that no provider gets are refused by name: `max_tool_calls`, `top_logprobs`,
//!   `truncation`, `service_tier`, `include` of other things than `reasoning.encrypted_content`, and
//!   others, unless their value asks for nothing: `null`, or what the API does without them. `store` is
//!   accepted; the response is kept for its session's retention in any case. `strict` of a
//!   tool is accepted and not passed on: the client's tools check their arguments.
//! * Settings that other APIs have, such as `max_tokens` and `min_p`, are refused too; the application may open them as
//!   [fields of the model's server](crate::durable::ClientFields::provider_field). Other fields are dropped unless
//!   it opens them.
//!
//! What becomes of each field of the SDKs' `ResponseCreateParams`:
//!
//! | fields | |
//! |---|---|
//! | `background`, `input`, `max_output_tokens`, `metadata`, `parallel_tool_calls`, `reasoning`, `stream`, `temperature`, `text`, `tool_choice`, `tools`, `top_p` | read; members that aren't are refused |
//! | `instructions`, `model`, `previous_response_id` | read, or refused as above |
//! | `access_programs`, `context_management`, `conversation`, `image`, `include`, `max_tool_calls`, `moderation`, `prompt`, `service_tier`, `stream_options`, `top_logprobs`, `truncation` | refused, unless the value asks for nothing |
//! | `prompt_cache_key`, `prompt_cache_options`, `prompt_cache_retention` | dropped: they change what an answer costs OpenAI's customers, and no answer |
//! | `safety_identifier`, `user` | dropped: they name the client's user to OpenAI, and this server has an access policy |
//! | `store` | dropped: the retention of sessions decides |
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
//! | `source` | an annotation of the text: `url_citation`, or `file_citation` without an address |
//! | `media` | an item `image_generation_call`, beside the API with `name`, `detail`, and for a link `url` and `media_type`; other files are annotations `url_citation` with the field `file` |
//! | `provider_state` | the `encrypted_content` of a `reasoning` item; of a stream, nothing |
//! | `tool_input` | an item `function_call` with `response.function_call_arguments.delta`, if only the client has the tool, as a function of its request; `incomplete` if the call hasn't come by the end of the turn |
//! | `turn` | `usage` and `model` of the response, also of one that was cancelled or failed |
//! | `isomorphic_handoff`, and `tool_calls` that no tool layer runs | an item `function_call` |
//! | `tool_result`, `tool_error` | an item `mcp_call`, for a tool that ran on the server; media of a result follow as those of the model, each with the field `of_result`, by which it goes back into the result |
//! | `complete` | `response.completed`; `response.incomplete` unless the model [ended its turn by itself](crate::chat::FinishReason::is_whole) |
//! | `aborted` | `response.incomplete` with the status `cancelled`, because the SDKs have no event of that name |
//! | `error` | `response.failed` |
//! | `restarted` | `response.created`, `response.in_progress`; see [below](#deployment-caveats) |
//! | other events | nothing, because the SDKs refuse unknown events |
//!
//! While a question is open (`input_request`), a stream is silent and a waiting request waits. The
//! question is answered by a route of another dialect.
//!
//! `incomplete_details.reason` is `max_output_tokens`, `content_filter`, or a word that the API doesn't have: the
//! finish reason of the log, such as `unknown` where the model's server gave none. The SDKs pass it on. Python's
//! `get_final_response` raises for every response that isn't `completed`, whatever the reason.
//!
//! Beside the API, a response has `unbroken.mismatch` where its text doesn't fit `text.format`: the
//! [first places](field@crate::chat::Complete::mismatch) at which it doesn't; or `unbroken.unchecked`, the
//! [reason](field@crate::chat::Complete::unchecked) why it wasn't checked.
//!
//! Each event has a `sequence_number`, which is equal in every replay. A request that waits for the end
//! gets 200 for a failed or cancelled response too, with its `status` and `error`.
//!
//! # Deployment caveats
//!
//! **Answers are restarted** by [option](OpenAiResponses::restarts) only. A restart is a second
//! `response.created` and `response.in_progress`, with the same id and no items; what was open is ended as
//! `incomplete` before. Indexes of items go on, so that no SDK takes a new item for a former one, and the
//! response at the end has the new items only. `finalResponse` and `get_final_response` of the SDKs give that
//! one, and so does a retrieval at any time. A client that reads the events by itself has to drop what it has at
//! the second `response.created`. Without the option such sessions end as `interrupted`;
//! [resuming](crate::durable::RecoveryWay::Resume) is possible either way. A session that another dialect
//! started may have a restart in any case.
//!
//! **A stream holds the text of its answer in memory**, because its last events repeat it. A slow reader
//! of a long answer costs that much memory.

mod annotation;
mod content;
mod encoder;
mod error;
mod event;
mod fold;
mod history;
mod input;
mod item;
mod pieces;
mod request;
mod response;
mod route;
mod settings;
mod tools;

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use bytes::Bytes;
use http::{HeaderValue, Response, header, request::Parts};
use serde_json::{Map, Value};

use self::{fold::ResponseFold, request::CreateResponse, response::ResponseIdentity};
use super::{
    Dialect, Intent, NO_RESTART, Native, Refusal, RequestLimits, ResponseData, Route, SessionView,
    handed_over::{HANDED_OVER, may_have_run},
    head::{describe, no_store},
};
use crate::{
    chat::{EnabledTools, Media},
    log::Chunk,
};

/// The dialect of OpenAI's Responses API. The [module](self) lists its routes.
#[derive(Debug, Clone)]
pub struct OpenAiResponses {
    names: BTreeSet<Cow<'static, str>>,
    enabled_tools: EnabledTools,
    restarts: bool,
}

impl OpenAiResponses {
    /// Creates the dialect, without model names and with all tools of the server.
    pub fn new() -> Self {
        Self {
            names: BTreeSet::new(),
            enabled_tools: EnabledTools::All,
            restarts: false,
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

    /// Sets the server's tools that responses may use; clients don't name any. Default all.
    pub fn enabled_tools(mut self, tools: EnabledTools) -> Self {
        self.enabled_tools = tools;
        self
    }

    /// Sets whether interrupted answers may be [restarted](crate::durable::RecoveryWay::Restart), for clients
    /// that drop what they have at a second `response.created`. Default false, because a client that shows
    /// deltas and nothing else would show the former text and the new one. The SDKs' own folds
    /// (`responses.stream`, `finalResponse`, `get_final_response`) end with the new answer alone. An answer
    /// that has handed over a call is not restarted then either.
    pub fn restarts(mut self, restart: bool) -> Self {
        self.restarts = restart;
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

    fn decode(
        &self,
        head: &Parts,
        body: &Bytes,
        limits: &RequestLimits,
    ) -> Result<Intent, Refusal> {
        route::decode(self, head, CreateResponse::read(body, limits)?, limits)
    }

    fn field_name(&self, field: &'static str) -> &'static str {
        match field {
            "systemPrompt" => "instructions",
            "isomorphicTools" => "tools",
            "options.topP" => "top_p",
            "options.maxOutputTokens" => "max_output_tokens",
            "options.toolChoice" => "tool_choice",
            "options.parallelToolCalls" => "parallel_tool_calls",
            "options.responseFormat" => "text.format",
            "options.responseFormat.name" => "text.format.name",
            "options.responseFormat.schema" => "text.format.schema",
            "options.providerFields.top_k" => "top_k",
            "options.providerFields.presence_penalty" => "presence_penalty",
            "options.providerFields.frequency_penalty" => "frequency_penalty",
            other => other.strip_prefix("options.").unwrap_or(other),
        }
    }

    fn media_name(&self, media: &Media) -> &'static str {
        if media.is_of("image/*") {
            "input_image"
        } else if media.is_of("audio/*") {
            "input_audio"
        } else {
            "input_file"
        }
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
        self.restarts
    }

    fn metadata(&self, notes: &Map<String, Value>) -> BTreeMap<String, String> {
        ResponseIdentity::of(notes).metadata
    }

    fn restart_obstacle(&self, log: &[Chunk]) -> Option<&'static str> {
        if !self.restarts {
            return Some(NO_RESTART);
        }
        // Both SDKs fail at a second item of one call.
        may_have_run(log).then_some(HANDED_OVER)
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
