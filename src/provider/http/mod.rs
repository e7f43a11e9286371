//! Behaviour that the providers over HTTP share: errors, retries and timeouts.
//!
//! # Errors
//!
//! Errors are [`ProviderError`](crate::chat::ProviderError)s. Their public messages tell clients
//! what to do; they contain no response body, address or key. An answer that ends before its server
//! marked it as complete is a [cut](crate::chat::ProviderError::cut), even if its body ends
//! cleanly. Redirects are not followed.
//!
//! # In place of a stream
//!
//! A response that says success may hold something else than a stream. Its content type and its first
//! bytes tell:
//!
//! | response | becomes |
//! |---|---|
//! | a stream of any content type, or of none | the answer |
//! | a whole answer in JSON, as of a server that doesn't stream | the answer, at once |
//! | an error in JSON, `application/problem+json` included | a refusal, by its code |
//! | other JSON, plain text, or nothing with such a type | an error that names it |
//! | a web page, of a login or a proxy | an error that says so |
//! | compressed data: a `Content-Encoding`, or the first bytes of gzip or zstd | an error that says so |
//!
//! A body of JSON is read up to the builder's `max_event_bytes`.
//!
//! # Silence
//!
//! The builder's `idle_timeout` is the maximum time before the response, and then between two reads of
//! bytes. All bytes count: comments, pings, and empty events. Past it, the answer ends with
//! [`ErrorCode::Timeout`](crate::log::ErrorCode::Timeout). The provider reports the same bytes to
//! the request's [`Liveness`](crate::chat::Liveness), so that
//! [`Limits::idle`](field@crate::session::Limits::idle) of the session counts from them as well:
//!
//! | limit | default | counts from |
//! |---|---|---|
//! | `idle_timeout` of the builder | 2 minutes | the last bytes of the server, of each try |
//! | [`Limits::idle`](field@crate::session::Limits::idle) | 5 minutes | the last bytes or event, of the server, a tool, or the provider itself |
//! | [`Limits::age`](field@crate::session::Limits::age) | 1 hour | the start; the only one that ends an answer of pings alone |
//!
//! After a finish reason the answer is whole. The usage may follow: the server has one second for it, and
//! for the end of the body, before the connection is closed.
//!
//! # Usage
//!
//! The usage of a turn comes with its end. What a server tells of it before, in the pieces of the answer, is
//! reported to the request's [`TurnUsage`](crate::chat::TurnUsage), so that an answer that is stopped in the
//! middle has it too. A try that is followed by another counts for nothing.
//!
//! # When it is tried again
//!
//! The service's [future](AnswerFuture) completes with the first event, not with the head of the
//! response. A failure before that is retried if it may be temporary:
//!
//! | failure before the first event | retried |
//! |---|---|
//! | the server can't be reached, or the connection breaks before the response | yes |
//! | connecting takes longer than `connect_timeout` | no |
//! | the server's certificate isn't trusted | no |
//! | a status of 429, or of 500 and above but for 504 | yes, but for a quota that is used up |
//! | 408, 504, or another status | no |
//! | a status with the header `x-should-retry` | as it says |
//! | a stream that is cut, or that can't be understood | yes |
//! | an error inside a stream: of the class 5xx, or without a code that is known | yes |
//! | an error inside a stream: about the request (4xx, 429 included) | no |
//! | something in place of a stream, errors in JSON included | no |
//! | silence for the `idle_timeout`: the server may have worked, and its work is paid for | no |
//!
//! There are two retries unless the builder's `retries` says otherwise, after 0.5 s and 1 s, each reduced
//! at random by up to half. A `Retry-After` of up to 30 s is honoured; with a longer one the request
//! isn't retried. After the first event nothing is retried. The first piece of a call's arguments is an
//! event; a call that comes whole is one when its turn is whole, and an answer of nothing else is retried if
//! it is cut before that.
//!
//! So tower's layers around such a provider cover the time until the first event: a `Timeout`
//! limits that time, a `ConcurrencyLimit` the requests in that state, and a `Retry` repeats
//! failures before it.
//!
//! Dropping the future or the stream closes the connection, which tells the server to stop.
//!
//! # An HTTP client of one's own
//!
//! Without one, each provider builds a [`reqwest::Client`] that follows no redirect, limits the time of
//! connecting, calls itself `unbroken/` and the version, and takes proxies from `HTTPS_PROXY`, `HTTP_PROXY`
//! and `NO_PROXY`. A client that is passed to `http_client` replaces all that, and `connect_timeout` has no
//! effect. It brings its own proxies, certificates, default headers and limits of connections:
//!
//! ```
//! use std::time::Duration;
//! use unbroken::provider::{OpenAi, http::reqwest};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # fn ca() -> Vec<reqwest::Certificate> { Vec::new() }
//! let client = reqwest::Client::builder()
//!     .tls_certs_merge(ca()) // of a private CA, in addition to those of the system
//!     .proxy(reqwest::Proxy::all("http://proxy.internal:3128")?)
//!     .connect_timeout(Duration::from_secs(5))
//!     .redirect(reqwest::redirect::Policy::none())
//!     .build()?;
//! let provider = OpenAi::builder()
//!     .http_client(client)
//!     .base_url("https://models.internal/v1")
//!     .model("qwen3")
//!     .build()?;
//! # Ok(()) }
//! ```
//!
//! * Its `timeout` covers the whole answer, and its `read_timeout` competes with `idle_timeout`; leave both
//!   out. Either ends the answer like a silence.
//! * Where redirects are followed, a POST may become a GET, and headers may go to another server.
//! * Headers of the builder, and those that the provider needs, take precedence over its default headers.
//! * With the features of `reqwest` that decompress, it asks for compressed answers and decompresses them.

#![cfg_attr(
    not(any(feature = "openai", feature = "ollama")),
    allow(dead_code, unused_imports, reason = "only these providers need it")
)]

mod call_ids;
mod call_reports;
mod config_error;
mod decode;
mod error_name;
mod failure;
mod functions;
mod future;
#[cfg(test)]
pub(crate) mod fuzz;
pub(crate) mod json;
#[cfg(any(feature = "openai", feature = "openai-responses-upstream"))]
mod kept;
mod lines;
mod made_pictures;
mod model_name;
mod oddities;
mod opening;
mod options;
#[cfg(any(feature = "openai", feature = "openai-responses-upstream"))]
mod partial_call;
mod protocol;
mod reported;
mod retries;
mod said_text;
#[cfg(any(feature = "openai", feature = "openai-responses-upstream"))]
mod sse;
#[cfg(any(feature = "openai", feature = "openai-responses-upstream"))]
mod sse_decoder;
mod stream;
mod think_tags;
mod unsupported;
mod upstream;
mod wtf8;

#[cfg(feature = "openai-responses-upstream")]
pub(crate) use self::error_name::code_of_error;
#[cfg(any(
    feature = "ollama",
    feature = "openai",
    feature = "openai-responses-upstream"
))]
pub(crate) use self::options::setters;
pub(crate) use self::{
    call_ids::CallIds,
    call_reports::CallReports,
    decode::Decode,
    failure::{refused, too_long, too_many, unreadable},
    functions::{argument_bytes, functions, object},
    lines::Lines,
    made_pictures::MadePictures,
    model_name::is_model,
    oddities::Oddities,
    options::{HttpOptions, common_setters, names, variable},
    protocol::Protocol,
    reported::reported,
    said_text::SaidText,
    think_tags::{TaggedPiece, ThinkTags},
    unsupported::Unsupported,
    upstream::Upstream,
    wtf8::{TextPieces, text_of},
};
#[cfg(feature = "unbroken-upstream")]
pub(crate) use self::{failure::refused_as, future::retry_after};
#[cfg(any(feature = "openai-responses-upstream", feature = "unbroken-upstream"))]
pub(crate) use self::{
    failure::{is_of_the_connection, may_have_begun, refusal_status},
    retries::{Failure, Retries},
};
#[cfg(any(feature = "openai", feature = "openai-responses-upstream"))]
pub(crate) use self::{
    kept::kept_object,
    made_pictures::not_passed_on,
    options::openai_options,
    partial_call::PartialCall,
    reported::{error_of, is_ping, reported_error},
    sse_decoder::{SseAnswer, SseDecoder},
};
/// The HTTP client of `http_client`, in the version that it takes.
#[doc(no_inline)]
pub use reqwest;

pub use self::{config_error::ConfigError, future::AnswerFuture, stream::AnswerStream};
