//! An LLM answer that outlives its connection.
//!
//! `unbroken` is a tower middleware. It wraps any chat-provider service, writes every event of the
//! answer to an append-only log with a log sequence number (LSN), and serves that log as a
//! streaming [`http_body::Body`]. The writer runs in the background and survives every disconnect;
//! any number of readers resume from their last LSN.
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod access;
pub mod chat;
pub mod dialect;
pub mod durable;
pub mod headers;
pub mod provider;
pub mod session;
pub mod store;
#[cfg(feature = "testing")]
#[cfg_attr(docsrs, doc(cfg(feature = "testing")))]
pub mod testing;

/// A boxed error, as tower uses it.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
