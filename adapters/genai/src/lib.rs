//! A provider over the crate [genai](https://docs.rs/genai): Claude, Gemini, and the other models that it
//! speaks to.
//!
//! ```no_run
//! use unbroken_genai::{GenAi, genai::Client};
//!
//! # fn main() -> Result<(), unbroken_genai::genai::Error> {
//! let claude = GenAi::new(Client::new()?).model("claude-sonnet-4-5");
//! let gemini = GenAi::new(Client::new()?).model("gemini-3-pro");
//! # Ok(())
//! # }
//! ```
//!
//! The client finds a model's server by the model's name, and the key in the variable of the environment that
//! genai documents. Keys, addresses and proxies of your own belong into the client
//! ([`Client::builder`](genai::Client::builder)); options that requests leave open into its chat options.
//!
//! # What is read, and by whom
//!
//! genai writes the request. Answers of Claude, of Gemini and of OpenAI's protocols are read from the frames that
//! genai hands over, since its events lack much: the place of encrypted reasoning, thoughts, refusals, pictures,
//! sources, errors of many forms, and calls that aren't as genai expects them. Answers of other models are read from
//! its events. The README lists what was tested.
//!
//! * **The end.** An answer without the end that its protocol has is cut, and recoverable. After a finish reason of
//!   Chat Completions nothing makes an error of the answer, and the stream may go on for a second.
//! * **What isn't understood** is an error if it can be one. What is bookkeeping is dropped, with a trace for each kind.
//! * **Calls** come whole, and only of a turn that is whole. Pieces of their arguments come before, as `tool_input`.
//! * **Reasoning** is handed back with its signatures, in its order: as
//!   [`ProviderState`](unbroken::chat::ProviderState) of the provider `anthropic` or `gemini`, or of the name that
//!   genai has for another one. Reasoning without a signature isn't sent to Claude and Gemini, which don't take it.
//! * **Options and parts** for which genai or the model's server has no form are refused, unless the provider is
//!   [`lenient`](GenAi::lenient).
//!
//! # Retries and limits
//!
//! Nothing is retried here. The future waits for the first event of the answer, so a retrying layer of tower fits
//! around it ([`provider`](unbroken::provider#layers-in-between)); errors tell whether and when to try again. genai
//! puts no limit on the size of one event of a server.
//!
//! # Traces of genai
//!
//! The messages of errors contain no text of a server. genai itself writes such texts to its traces, at the levels
//! `WARN` and `ERROR`: filter the target `genai` where traces are read by others.

mod call_ids;
mod decode;
mod failure;
mod frames;
mod future;
mod nesting;
mod prefill;
mod provider;
mod request;
mod stream;
mod turn;
mod wire_format;

pub use genai;

pub use self::{future::GenAiFuture, provider::GenAi, stream::GenAiStream};

const _: () = {
    const fn provider<P: unbroken::chat::Provider + Sync>() {}
    provider::<GenAi>();
};
