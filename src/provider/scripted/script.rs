use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::chat::{ChatRequest, ProviderError, ToolCall};

const MAX_TOKENS: u32 = 10_000_000;
const MAX_DELAY: Duration = Duration::from_secs(600);

/// What to say, how fast, and what goes wrong.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Script {
    /// What to say; an answer that mentions the question if absent.
    pub say: Option<Say>,
    /// How long to wait before each token; 40 ms if absent.
    pub delay: Option<Duration>,
    /// What to think before the text.
    pub thinking: Option<String>,
    /// The tools to ask for after the text.
    pub tool_calls: Vec<ToolCall>,
    /// What goes wrong.
    pub fault: Option<Fault>,
}

/// What a [`Script`] says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Say {
    /// This text, word by word.
    Text(String),
    /// So many tokens, each a number and a space.
    Count(u32),
}

/// Something that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Fault {
    /// After how many tokens, those of the thinking included.
    pub at: usize,
    /// What.
    pub kind: FaultKind,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FaultKind {
    /// The stream fails, with a message for clients.
    Error,
    /// Polling the stream panics.
    Panic,
    /// Nothing comes any more.
    Hang,
    /// The stream fails as one whose connection broke off.
    Cut,
}

impl Script {
    /// Says this text.
    pub fn say(text: impl Into<String>) -> Self {
        Self {
            say: Some(Say::Text(text.into())),
            ..Self::default()
        }
    }

    /// Says so many tokens: `1 2 3 …`.
    pub fn count(tokens: u32) -> Self {
        Self {
            say: Some(Say::Count(tokens)),
            ..Self::default()
        }
    }

    /// The same, with so long a wait before each token. Zero is as fast as the stream is pulled.
    pub fn with_delay(mut self, delay: Duration) -> Self {
        self.delay = Some(delay);
        self
    }

    /// The same, with this thinking before the text.
    pub fn with_thinking(mut self, thinking: impl Into<String>) -> Self {
        self.thinking = Some(thinking.into());
        self
    }

    /// The same, asking for these tools after the text.
    pub fn with_tool_calls(mut self, calls: impl IntoIterator<Item = ToolCall>) -> Self {
        self.tool_calls = calls.into_iter().collect();
        self
    }

    /// The same, with something that goes wrong.
    pub fn with_fault(mut self, fault: Fault) -> Self {
        self.fault = Some(fault);
        self
    }

    /// The script that a request brings, if it brings one. What it leaves out of text and pace is
    /// `own`'s.
    pub(super) fn of(request: &ChatRequest, own: &Self) -> Result<Option<Self>, ProviderError> {
        let Some(value) = request.extra.get("script") else {
            return Ok(None);
        };
        let wire = Wire::deserialize(value)
            .map_err(|error| bad(&format!("{error}")).with_source(error))?;
        wire.check().map(|mut script| {
            script.say = script.say.or_else(|| own.say.clone());
            script.delay = script.delay.or(own.delay);
            Some(script)
        })
    }
}

impl Fault {
    /// This goes wrong after so many tokens.
    pub fn new(at: usize, kind: FaultKind) -> Self {
        Self { at, kind }
    }
}

/// A script as a request brings it; the module's documentation has the table.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wire {
    text: Option<String>,
    tokens: Option<u32>,
    delay_ms: Option<u64>,
    thinking: Option<String>,
    #[serde(default)]
    tool_calls: Vec<WireCall>,
    fault: Option<Fault>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireCall {
    id: Option<String>,
    name: String,
    #[serde(default)]
    arguments: Value,
}

impl Wire {
    fn check(self) -> Result<Script, ProviderError> {
        let say = match (self.text, self.tokens) {
            (Some(_), Some(_)) => return Err(bad("give `text` or `tokens`, not both")),
            (Some(text), None) => Some(Say::Text(text)),
            (None, Some(tokens)) if tokens <= MAX_TOKENS => Some(Say::Count(tokens)),
            (None, Some(_)) => return Err(bad(&format!("`tokens` is at most {MAX_TOKENS}"))),
            (None, None) => None,
        };
        let delay = self.delay_ms.map(Duration::from_millis);
        if delay.is_some_and(|delay| delay > MAX_DELAY) {
            let most = MAX_DELAY.as_millis();
            return Err(bad(&format!("`delayMs` is at most {most}")));
        }
        let call = |(at, call): (usize, WireCall)| {
            let id = call.id.unwrap_or_else(|| format!("call_{}", at + 1));
            ToolCall::new(id, call.name, call.arguments)
        };
        Ok(Script {
            say,
            delay,
            thinking: self.thinking,
            tool_calls: self.tool_calls.into_iter().enumerate().map(call).collect(),
            fault: self.fault,
        })
    }
}

/// A script that can't be followed, and why.
pub(super) fn bad(why: &str) -> ProviderError {
    ProviderError::new(format!("the field `script` can't be followed: {why}"))
}
