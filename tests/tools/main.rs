//! What the layer that runs tools does, in process, with a model that says what it is told.

mod asking;
mod calls;
mod composed;
mod handoff;
mod interrupted;
mod lease;
mod places;
mod sealed;
mod second;
mod spoken_after;
mod support;
