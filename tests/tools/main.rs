//! The layer that runs tools, in process, with a model that follows a script.

mod asking;
mod calls;
mod composed;
mod handoff;
mod interrupted;
mod lease;
mod not_whole;
mod reattach;
mod sealed;
mod second_half;
mod slots;
mod sources;
mod support;
mod text_after_calls;
mod turns;
