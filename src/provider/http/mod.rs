//! What the providers that ask a server over HTTP have in common: how they fail, how often they ask,
//! how long they wait.
//!
//! # When it fails
//!
//! Errors are [`ProviderError`](crate::chat::ProviderError)s whose public messages say what clients
//! can do, never what the server said: no response body, address or key. An answer that breaks off
//! before its server said that it is whole is [cut](crate::chat::ProviderError::cut), however clean
//! the end of its body looks. Silence, before the response or between two events, ends in
//! [`ErrorCode::Timeout`](crate::log::ErrorCode::Timeout). Comments that a proxy sends to keep a
//! connection open don't break the silence. Redirects are not followed.
//!
//! # When it is tried again
//!
//! The service's [future](AnswerFuture) is done when the first event is here, not when the
//! response begins. What fails before that, and may succeed if it is asked again, is asked again: a
//! server that can't be reached, is overloaded, or fails; a response that is cut or says that it
//! failed. Two times unless the builder's `retries` says otherwise, after 0.5 s and 1 s, less up to
//! half of it by chance. A `Retry-After` of up to 30 s is waited for; who asks for more is not
//! asked again. Nor is who was silent for too long: he may have worked, and what he did is paid for.
//! From the first event on nothing is ever asked twice. Tool calls are one event, and whole: an answer
//! of nothing else that is cut in their midst is asked for again.
//!
//! So tower's layers around such a provider cover the time until the first event: a `Timeout` how
//! long it takes, a `ConcurrencyLimit` how many wait for theirs, a `Retry` what failed before it.
//!
//! Dropping the future or the stream closes the connection, by which servers know to stop.

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
