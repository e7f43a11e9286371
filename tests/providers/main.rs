//! Providers that ask a server, against servers on real sockets that say awkward things; and what
//! fits between them and `DurableLayer`.

mod composition;
mod cut_short;
mod ollama;
mod openai;
mod stub;
