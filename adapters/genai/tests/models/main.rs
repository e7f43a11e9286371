//! Models through genai, against servers on real sockets that speak their protocols.

#![allow(
    clippy::needless_pass_by_value,
    reason = "values are written where they are used"
)]
#![allow(clippy::too_many_lines, reason = "tables of cases")]

mod chat_completions;
mod claude;
mod cuts;
mod durable;
mod errors;
mod gemini;
mod kinds;
mod limits;
mod openai;
mod refused;
mod requests;
mod responses;
mod rounds;
mod sampling;
mod seam;
mod shapes;
mod stub;
mod tools;
mod usage;
