//! Providers over HTTP against servers on real sockets that misbehave, and the layers between them
//! and `DurableLayer`.

#[path = "../support/certificates.rs"]
mod certificates;
mod chain;
mod composition;
mod continuation;
mod cut_short;
mod in_place;
mod media;
mod ollama;
mod openai;
mod openai_responses;
mod seam;
mod shapes;
mod silence;
mod stub;
mod takeover;
mod tls;
mod tolerance;
#[path = "../support/traces.rs"]
mod traces;
mod turns;

mod usage;
mod verdicts;
