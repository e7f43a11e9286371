//! What people are asked in the middle of an answer, and what they say.
//!
//! Whoever asks says so in the log, as an [`InputRequest`](super::InputRequest), and then waits for
//! the answer at the [`Inputs`] that came with the request. Whoever takes answers in (the durable
//! layer, over HTTP) gives them to the [`InputSource`] behind it. What was asked and is still open
//! is in the log: [`Transcript::open_inputs`](super::Transcript::open_inputs).

mod action;
mod answer;
mod answers;
mod id;
mod inputs;

pub use self::{
    action::InputAction,
    answer::InputAnswer,
    answers::{AlreadyAnswered, InputAnswers},
    id::{InputId, InvalidInputId},
    inputs::{InputSource, Inputs},
};
