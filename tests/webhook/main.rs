//! The webhook of the outbox, against receivers on real sockets that misbehave.
//!
//! `tests/clients/webhook.mjs` and `webhook_python.py` verify deliveries with the libraries of the specification.

mod addresses;
mod attempts;
#[path = "../support/certificates.rs"]
mod certificates;
mod outbox;
mod receiver;
mod tls;
mod too_large;
