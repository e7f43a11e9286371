//! Providers over HTTP against servers on real sockets that misbehave, and the layers between them
//! and `DurableLayer`.

mod composition;
mod cut_short;
mod ollama;
mod openai;
mod stub;
