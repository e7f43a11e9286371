//! A provider that calls another server of this library, over its native protocol: a chain of servers that is
//! durable end to end.
//!
//! ```
//! use std::time::Duration;
//!
//! use unbroken::{
//!     access::AnyoneWithTheId,
//!     durable::{DurableLayer, Recovery},
//!     provider::UnbrokenUpstream,
//!     session::Sessions,
//! };
//! use tower::Layer;
//!
//! # fn main() -> Result<(), unbroken::provider::http::ConfigError> {
//! // The address at which the other server has mounted its native dialect.
//! let inner = UnbrokenUpstream::new("https://inner.example/api/chat")?;
//!
//! let with_a_key = UnbrokenUpstream::builder("https://inner.example/api/chat")
//!     .api_key("…") // `Authorization: Bearer …`
//!     .header("x-team", "search")
//!     .idle_timeout(Duration::from_secs(60))
//!     .build()?;
//!
//! let chat = DurableLayer::new(Sessions::in_memory(), AnyoneWithTheId::new())
//!     .recovery(Recovery::new().reattach().restart())
//!     .layer(inner);
//! # fn mounts<S>(_: S) where S: Clone + Send + Sync + 'static {}
//! # mounts(chat);
//! # mounts(with_a_key);
//! # Ok(())
//! # }
//! ```
//!
//! One server keeps the model's answer, close to the model; another one, close to the users, passes it on. Either may
//! be lost, and so may the connection between them: the answer goes on, no event is missing or comes twice, and the
//! model isn't called again. llama.cpp's server and others that keep no stream beyond their connection get this by a
//! server of this library in front of them.
//!
//! # The request
//!
//! A call is `POST` to the address, with `Accept: application/x-ndjson` and an `X-Session-Id` that follows from the
//! session here, its owner, and the bytes of the request. So a call that is repeated attaches to the session that the first one started. An answer of the same request that had failed, was
//! aborted there, or is gone (410) isn't attached to: the call is made under another id, up to 8 times. A call outside
//! of a session has a random id.
//!
//! | of the request | is sent as |
//! |---|---|
//! | `messages`, all parts and roles | `messages` |
//! | `systemPrompt`, `model`, `options` | the same; the builder's `model` if the request names none |
//! | `enabledTools` | the same: it selects tools of both servers |
//! | `isomorphicTools`, `isomorphicClientOutputs` | the same |
//! | `chatId` | a hash of it and the owner, or of the session: names of clients here aren't names there |
//! | further fields that the application opened | the same |
//! | tools of the layers above | no: an error before the first event; an answer that was begun without them isn't read on |
//!
//! The other server must open what is sent ([`ClientFields`](crate::durable::ClientFields)): `history` for a
//! conversation with earlier turns, `client_tools` for tools of the client, and each option. What it doesn't open it
//! refuses (422). It shouldn't let clients of this server in: give it an access policy of its own, such as
//! [`OnlyTheOwner`](crate::access::OnlyTheOwner) with this server as the owner.
//!
//! # The answer
//!
//! | event of the other server | event |
//! |---|---|
//! | `session_info` | none: this server writes its own |
//! | text, thinking, sources, media, `tool_input`, `tool_calls`, `tool_progress`, `tool_result`, `tool_error`, `turn`, `provider_state`, `custom` | the same |
//! | events of types that this version doesn't know | the same: clients ignore them |
//! | `provider_state` of its provider's stream | none: it is for that server |
//! | `input_request`, `input_resolved` | the same; an answer that a client gives here is passed on to `POST /{id}/inputs/{inputId}` |
//! | `isomorphic_handoff`, `conversation_state` | the same |
//! | `restarted` | dropped with what came before, if clients have nothing of that, as when a log of up to 4 MiB is attached to; else an error of the code `interrupted`, since this server can't take back what they have |
//! | `complete` | the same, with usage and finish reason |
//! | `aborted` | `aborted`, with its usage and without its reason |
//! | `error` | an error of the same code, recoverable as that was; `internal` becomes `provider`. The message is one of this provider |
//! | lines without an LSN (`unavailable`), empty lines | signs of life of the connection |
//!
//! A body that ends without a terminal event was cut, and is read on. LSNs must follow one another.
//!
//! # Connections and servers that are lost
//!
//! * **A lost connection**, and one that is silent for the `idle_timeout`, is made good by
//!   `GET /{id}` with the LSN of the last event as `X-Last-LSN`. A server that can't be reached, or answers 408, 429 or
//!   5xx, is tried again for some two minutes, and as long as it asks for by `Retry-After`, up to an hour. Each event and
//!   each heartbeat begins that time anew: a wait for a person may be cut as often as proxies like.
//!   The cursor is a bare LSN: that a store has lost acknowledged records is noticed if its log is shorter.
//! * **A lost server of ours.** The log has the id there and the LSN as `provider_state` of the stream, before the
//!   first event and then after each 64, also between turns
//!   ([`spans_turns`](field@crate::chat::ProviderStateEvent::spans_turns)). Another server reads on by the way
//!   [`reattach`](crate::durable::Recovery::reattach), and leaves out what the log has after that. Until something new is
//!   passed on, an answer that is gone (204, 400, 404, 409, 410), has failed and may succeed when it is repeated, or was
//!   begun anew there is [declined](crate::chat::ProviderError::cannot_continue). For that, up to 4 MiB of what the log
//!   there has already are held until its end. An answer that is declined is left as it is there: the next way may attach
//!   to it. Without a next one it runs to its end, which nobody reads. The usage of a turn that failed and was declined
//!   isn't counted here.
//!   The way `restart` attaches to the answer if that runs or is complete, also where the server was lost before its log had
//!   the place: name both. The way `resume` is declined once clients have
//!   anything of the answer.
//! * **A lost server of theirs** is a matter of its own [`Recovery`](crate::durable::Recovery): with `reattach` or `resume`
//!   the answer goes on there and here, with `restart` it ends here as described above.
//! * **A stop** of the session here aborts the session there (`POST /{id}/abort`), also for one that was stopped while
//!   it had no server; a hand-over at shutdown doesn't ([`Liveness::may_go_on`](crate::chat::Liveness::may_go_on)). It is
//!   repeated for some two minutes; a process that ends before takes the stop with it. Without `reattach` in the list of
//!   recovery, a session that is stopped while it has no server isn't aborted there.
//!
//! Heartbeats of the other server keep the connection. They are no progress of the answer:
//! [`Limits::idle`](field@crate::session::Limits::idle) of this server counts from the last event.
//!
//! A request is retried by the builder's `retries` on 408, 429, 5xx and lost connections, whatever became of it: the
//! model is called once. The service's [future](UnbrokenFuture) completes once the other server has stored the
//! session, so that tower's layers cover no more than that. Where the answer is read on it completes at once.
//!
//! # Tools
//!
//! The other server runs its own tools, and asks its own questions; this one sees their calls and results, and passes them
//! on. Tools of this server can't be offered to the model there: a [`ToolLayer`](crate::tools::ToolLayer) around this
//! provider gets an error before the first event. Give the tools to the other server, or keep them there as
//! those of an MCP server. Tools of the client work: the other server's tool layer hands their calls over, the client sends
//! the outputs to this server, and they are passed on. They need `reattach` in the list of recovery: after a `restart`, a call
//! whose arguments had begun to stream may have another id here, by which the other server doesn't know it. The other server finds the calls that it handed over by the
//! conversation: its access policy names owners, or it has
//! [`secret_chat_ids`](crate::durable::DurableLayer::secret_chat_ids), and the request has a `chatId`.

mod answer;
mod builder;
mod config;
mod decoder;
mod future;
mod inner_id;
mod position;
mod protocol;
mod questions;
mod refusal;
mod request;
mod run;
mod service;
mod stream;

pub use self::{
    builder::UnbrokenUpstreamBuilder, future::UnbrokenFuture, service::UnbrokenUpstream,
    stream::UnbrokenStream,
};
