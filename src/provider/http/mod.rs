//! Behaviour that the providers over HTTP share: errors, retries and timeouts.
//!
//! # Errors
//!
//! Errors are [`ProviderError`](crate::chat::ProviderError)s. Their public messages tell clients
//! what to do; they contain no response body, address or key. An answer that ends before its server
//! marked it as complete is a [cut](crate::chat::ProviderError::cut), even if its body ends
//! cleanly. Silence, before the response or between two events, ends with
//! [`ErrorCode::Timeout`](crate::log::ErrorCode::Timeout). Comments that a proxy sends to keep a
//! connection open don't count as events. Redirects are not followed.
//!
//! # When it is tried again
//!
//! The service's [future](AnswerFuture) completes with the first event, not with the head of the
//! response. A failure before that is retried if it may be temporary: a server that can't be
//! reached, is overloaded, or fails; a response that is cut or reports a failure. There are two
//! retries unless the builder's `retries` says otherwise, after 0.5 s and 1 s, each reduced at
//! random by up to half. A `Retry-After` of up to 30 s is honoured; with a longer one the request
//! isn't retried. Nor is it after a timeout: the server may have worked, and its work is paid for.
//! After the first event nothing is retried. Tool calls are a single event, sent when they are
//! whole: an answer that consists only of tool calls is retried if it is cut before that.
//!
//! So tower's layers around such a provider cover the time until the first event: a `Timeout`
//! limits that time, a `ConcurrencyLimit` the requests in that state, and a `Retry` repeats
//! failures before it.
//!
//! Dropping the future or the stream closes the connection, which tells the server to stop.

mod call_ids;
mod config_error;
mod decode;
mod failure;
mod functions;
mod future;
#[cfg(test)]
pub(crate) mod fuzz;
mod lines;
mod options;
mod retries;
mod stream;
mod upstream;

pub(crate) use self::{
    call_ids::CallIds,
    decode::Decode,
    failure::{code_of_error, refused, too_long, unreadable},
    functions::{functions, object},
    lines::Lines,
    options::{HttpOptions, setters, variable},
    upstream::Upstream,
};
pub use self::{config_error::ConfigError, future::AnswerFuture, stream::AnswerStream};
