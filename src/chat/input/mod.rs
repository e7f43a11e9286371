//! Questions in the middle of an answer, and their answers.
//!
//! A tool or provider that asks puts the question into the log, as an
//! [`InputRequest`](super::InputRequest), and waits for the answer at the [`Inputs`] of the
//! request. The layer that receives answers (the durable layer, over HTTP) passes them to the
//! [`InputSource`] behind it. The open questions are in the log:
//! [`Transcript::open_inputs`](super::Transcript::open_inputs).

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
