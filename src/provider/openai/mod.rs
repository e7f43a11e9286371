//! A provider for servers that speak OpenAI's Chat Completions with streaming: OpenAI, OpenRouter,
//! vLLM, llama.cpp, LM Studio, Ollama under `/v1`, and many more.
//!
//! ```no_run
//! use unbroken::provider::OpenAi;
//!
//! # fn main() -> Result<(), unbroken::provider::http::ConfigError> {
//! let from_the_environment = OpenAi::from_env()?;
//! let local = OpenAi::builder()
//!     .base_url("http://127.0.0.1:8080/v1")
//!     .model("qwen3")
//!     .field("top_k", 40)
//!     .build()?;
//! # Ok(())
//! # }
//! ```
//!
//! # Azure
//!
//! A classic deployment has its name in the path, the version of the API in the query, and the key in a
//! header of its own. [`OpenAi::azure_from_env`] and [`azure`](OpenAiBuilder::azure) know all three:
//!
//! ```
//! use unbroken::provider::OpenAi;
//!
//! # fn main() -> Result<(), unbroken::provider::http::ConfigError> {
//! # let key = "key";
//! let deployment = OpenAi::builder()
//!     .azure("https://mine.openai.azure.com", "gpt-5-mini", "2024-10-21")
//!     .api_key(key)
//!     .build()?;
//!
//! // By hand, as for any gateway with wishes of its own.
//! let same = OpenAi::builder()
//!     .base_url("https://mine.openai.azure.com/openai/deployments/gpt-5-mini?api-version=2024-10-21")
//!     .api_key_header("api-key")
//!     .api_key(key)
//!     .header("x-ms-client-request-id", "chat")
//!     .model("gpt-5-mini")
//!     .build()?;
//!
//! // The newer API of the same resource is that of OpenAI, with the deployment as the model.
//! let v1 = OpenAi::builder()
//!     .base_url("https://mine.openai.azure.com/openai/v1")
//!     .api_key_header("api-key")
//!     .api_key(key)
//!     .model("gpt-5-mini")
//!     .build()?;
//! # Ok(())
//! # }
//! ```
//!
//! The deployment alone selects the model of a classic one: for several, use
//! [`by_model`](super::by_model()). A version before `2024-09-01-preview` refuses `stream_options`: turn
//! the [usage](OpenAiBuilder::usage) off.
//!
//! # The request
//!
//! The request's `systemPrompt` becomes the first message, its `model` replaces the provider's own,
//! its tools become functions, and its messages include calls and results of tools. Arguments are
//! sent as the JSON of an object, whatever the model wrote: the templates of local models fail on
//! anything else.
//!
//! The [module of providers](super#what-each-provider-carries) lists the media and options that are sent.
//!
//! Reasoning is handed back where vendors demand it. Data of a server, kept as
//! [`ProviderState`](crate::chat::ProviderState) of the provider `openai`, always goes back: `reasoning_details`
//! (OpenRouter, MiniMax) and `extra_content` (Gemini) in the message, `extra_content` in the call. The text of
//! reasoning goes back by [`reasoning_history`](OpenAiBuilder::reasoning_history), whose default follows the
//! host: DeepSeek and Moonshot refuse a conversation in which a call lacks `reasoning_content`.
//!
//! # The answer
//!
//! The answer has text, reasoning (`reasoning_content` or `reasoning`, parts of the type `thinking`, or by
//! option text between `<think>` tags) as thinking, the tool calls of the turn combined into one
//! `tool_calls` event, and `complete` with usage and finish reason. Calls are told apart by index and id,
//! or by their arguments if the server sends the same index and id for every call, or none. A call
//! without an id gets one.
//!
//! Arguments are shown as they come, as `tool_input` with the id that the call then has. The longer they
//! are, the longer is each piece, up to 128 bytes: a call of n bytes has at most 400 + n/128 pieces, however
//! small those of the server are. From the first call on whose id the server has not said, calls of the turn
//! come whole only, and so do those of the oldest form, `function_call`.
//!
//! Media that the model makes are `media` events:
//!
//! | field of a delta or message | event |
//! |---|---|
//! | `images` (OpenRouter, Gemini), and parts of the type `image_url` in `content` | a picture as its `data:` URL or link says, at once; each URL once a turn |
//! | `audio.transcript` | text |
//! | `audio.data` | one sound at the end of the turn, of the format in the request's `audio.format`. The samples of `pcm16` get the header of a WAV file |
//! | parts of other types with media, and what can't be read | an error that names it, also after the finish reason |
//!
//! They go back in `images` of the message of the model, and sounds as their words.
//!
//! The answer is complete with a finish reason or `[DONE]`. With `[DONE]` alone the finish reason is
//! `unknown`. The usage comes after the finish reason, so a connection that breaks between the two loses
//! the usage, not the answer.
//!
//! There is a `tool_calls` event only if the finish reason says that the turn is
//! [whole](crate::chat::FinishReason::is_whole). After `length`, `content_filter` or a reason that no
//! vendor is known to use, calls are dropped: the last one may be half of one. A reason that isn't whole stays,
//! whatever follows. One that is a [failure](crate::chat::FinishReason::is_failure) is an error, also as the
//! `native_finish_reason` of OpenRouter. A call of a whole turn whose arguments are no JSON
//! [is half](crate::chat::ToolCall::is_half).
//!
//! The answer is the choice of index 0, or else of the index that came first. A choice without an index is one of
//! it, and others are dropped.
//!
//! The stream is read as OpenAI's own packages read it, with these differences:
//!
//! * What can be an error is one, also without the field `error`: `errors`, `detail`, `type: "error"`, a
//!   code, a status, a message, an event named `error`, an object that isn't data of an event, the `error` of a
//!   choice or of `x_groq`, and llama.cpp's line `error: {…}`.
//! * A field of an odd type is dropped if it is bookkeeping, such as usage, ids and indexes, and each is traced
//!   once an answer. Bytes that aren't UTF-8 and halves of characters are replaced.
//! * After the finish reason nothing is an error, but for a part of the answer that can't be passed on.
//! * The last piece of a sound ends an answer without a finish reason, as in the helper for Node.
//! * The last event counts without the empty line after it.
//! * The `text` of a `text_completion` is text.
//!
//! A table of such answers, with the verdicts of OpenAI's packages on the same bytes, is part of the tests
//! (`tests/providers/recorded/shapes.txt`).
//!
//! A server that doesn't stream is understood too: a whole completion in JSON is the answer, at once, and is read
//! as tolerantly.
//! [`http`](super::http) describes errors and retries.

mod builder;
mod calls;
mod cited;
mod config;
mod decoder;
mod protocol;
mod reasoning_history;
mod request;
mod service;
mod sound;
mod state;
mod turn;
mod vendor;
mod wire;

pub use self::{builder::OpenAiBuilder, reasoning_history::ReasoningHistory, service::OpenAi};
