use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::chat::{ChatRequest, InputId, ProviderError, ToolCall, as_json::millis};

const MAX_TOKENS: u32 = 10_000_000;
const MAX_STAMPS: u32 = 10_000;
const MAX_NAME: usize = 128;
const MAX_ROUNDS: usize = 100;
const MAX_HOLDS: usize = 100;
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
    /// What to do after each round of tools, instead: the first after one round, and so on; the last
    /// for all that come after.
    pub then: Vec<Script>,
    /// What to ask people after the text, one after the other.
    pub asks: Vec<Ask>,
    /// After how many tokens, those of the thinking included, to wait until a call that says
    /// [`Say::Release`] for the name of [`tally`](Self::tally) lets it go on; in any order, and each
    /// once.
    pub holds: Vec<usize>,
    /// What goes wrong.
    pub fault: Option<ScriptFault>,
    /// The name under which the call is counted; not counted if absent. At most 128 bytes.
    pub tally: Option<String>,
}

/// What a [`Script`] says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Say {
    /// This text, word by word.
    Text(String),
    /// So many tokens, each a number and a space.
    Count(u32),
    /// So many tokens, each the time at which it is said, in microseconds since 1970, and a space.
    Stamps(u32),
    /// What was counted under this name, as JSON.
    Tally(String),
    /// What the tools of the last round gave, word by word, with a space between.
    Results,
    /// `released`, and lets one call that is counted under this name past one of its
    /// [holds](Script::holds): now, or when it gets there.
    Release(String),
}

/// A question in the middle of an answer. What comes of it is said: the answer as JSON, or `timeout`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct Ask {
    /// Names the question.
    pub id: InputId,
    /// What people read.
    #[serde(default)]
    pub message: String,
    /// A JSON Schema of what an acceptance must bring.
    pub schema: Option<Value>,
    /// How long to wait, in milliseconds; for ever if absent.
    #[serde(
        rename = "timeoutMs",
        default,
        deserialize_with = "millis::deserialize"
    )]
    pub timeout: Option<Duration>,
}

/// Something that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ScriptFault {
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

    /// Says what the tools of the last round gave.
    pub fn results() -> Self {
        Self {
            say: Some(Say::Results),
            ..Self::default()
        }
    }

    /// The same, with so long a wait before each token. Zero is as fast as the stream is pulled.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = Some(delay);
        self
    }

    /// The same, with this thinking before the text.
    pub fn thinking(mut self, thinking: impl Into<String>) -> Self {
        self.thinking = Some(thinking.into());
        self
    }

    /// The same, asking for these tools after the text.
    pub fn tool_calls(mut self, calls: impl IntoIterator<Item = ToolCall>) -> Self {
        self.tool_calls = calls.into_iter().collect();
        self
    }

    /// The same, and after the next round of tools this.
    pub fn then(mut self, script: Self) -> Self {
        self.then.push(script);
        self
    }

    /// The same, asking this after the text, and after what was to be asked by now.
    pub fn ask(mut self, ask: Ask) -> Self {
        self.asks.push(ask);
        self
    }

    /// The same, waiting after so many tokens until it is let go on. It needs a name to be
    /// [counted](Self::tally) under.
    pub fn hold(mut self, at: usize) -> Self {
        self.holds.push(at);
        self
    }

    /// The same, counted under this name, of at most 128 bytes.
    pub fn tally(mut self, name: impl Into<String>) -> Self {
        self.tally = Some(name.into());
        self
    }

    /// The same, with something that goes wrong.
    pub fn fault(mut self, fault: ScriptFault) -> Self {
        self.fault = Some(fault);
        self
    }

    /// What is to be done after so many rounds of tools. Pace and tally are those of the beginning
    /// unless it has its own.
    pub(super) fn after(mut self, rounds: usize) -> Self {
        let Some(at) = rounds.min(self.then.len()).checked_sub(1) else {
            return self;
        };
        let mut script = self.then.swap_remove(at);
        script.delay = script.delay.or(self.delay);
        script.tally = script.tally.or(self.tally);
        script
    }

    /// The script that a request brings, if it brings one. What it leaves out of text and pace is
    /// `own`'s.
    pub(super) fn of(request: &ChatRequest, own: &Self) -> Result<Option<Self>, ProviderError> {
        let Some(value) = request.extra.get("script") else {
            return Ok(None);
        };
        let wire = ScriptWire::deserialize(value)
            .map_err(|error| bad(&format!("{error}")).with_source(error))?;
        wire.check().map(|mut script| {
            script.say = script.say.or_else(|| own.say.clone());
            script.delay = script.delay.or(own.delay);
            Some(script)
        })
    }
}

impl Ask {
    /// Asks for anything, for as long as it takes.
    pub fn new(id: InputId, message: impl Into<String>) -> Self {
        Self {
            id,
            message: message.into(),
            schema: None,
            timeout: None,
        }
    }

    /// The same, for something that fits this JSON Schema.
    pub fn schema(mut self, schema: Value) -> Self {
        self.schema = Some(schema);
        self
    }

    /// The same, waiting for so many milliseconds.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

impl ScriptFault {
    /// This goes wrong after so many tokens.
    pub fn new(at: usize, kind: FaultKind) -> Self {
        Self { at, kind }
    }
}

/// A script as a request brings it; the module's documentation has the table.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ScriptWire {
    text: Option<String>,
    tokens: Option<u32>,
    stamps: Option<u32>,
    tell: Option<String>,
    results: Option<bool>,
    release: Option<String>,
    tally: Option<String>,
    delay_ms: Option<u64>,
    thinking: Option<String>,
    #[serde(default)]
    tool_calls: Vec<ScriptCallWire>,
    #[serde(default)]
    then: Vec<ScriptWire>,
    #[serde(default)]
    asks: Vec<Ask>,
    #[serde(default)]
    holds: Vec<usize>,
    fault: Option<ScriptFault>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScriptCallWire {
    id: Option<String>,
    name: String,
    #[serde(default)]
    arguments: Value,
}

impl ScriptWire {
    fn check(self) -> Result<Script, ProviderError> {
        let text = self.text.map(Say::Text);
        let choices = [
            text,
            self.tokens.map(Say::Count),
            self.stamps.map(Say::Stamps),
            self.tell.map(Say::Tally),
            self.results.filter(|wanted| *wanted).map(|_| Say::Results),
            self.release.map(Say::Release),
        ];
        let mut choices = choices.into_iter().flatten();
        let say = choices.next();
        if choices.next().is_some() {
            let one = "give one of `text`, `tokens`, `stamps`, `tell`, `results` and `release`";
            return Err(bad(one));
        }
        match &say {
            Some(Say::Count(tokens)) if *tokens > MAX_TOKENS => {
                return Err(bad(&format!("`tokens` is at most {MAX_TOKENS}")));
            }
            Some(Say::Stamps(tokens)) if *tokens > MAX_STAMPS => {
                return Err(bad(&format!("`stamps` is at most {MAX_STAMPS}")));
            }
            _ => {}
        }
        let release = match &say {
            Some(Say::Release(name)) => Some(name),
            _ => None,
        };
        for (field, name) in [("tally", self.tally.as_ref()), ("release", release)] {
            if name.is_some_and(|name| name.len() > MAX_NAME) {
                return Err(bad(&format!("`{field}` has at most {MAX_NAME} bytes")));
            }
        }
        if self.holds.len() > MAX_HOLDS {
            return Err(bad(&format!("`holds` has at most {MAX_HOLDS}")));
        }
        let delay = self.delay_ms.map(Duration::from_millis);
        if delay.is_some_and(|delay| delay > MAX_DELAY) {
            let most = MAX_DELAY.as_millis();
            return Err(bad(&format!("`delayMs` is at most {most}")));
        }
        if self.then.len() > MAX_ROUNDS || self.then.iter().any(|then| !then.then.is_empty()) {
            return Err(bad(&format!(
                "`then` is one list of at most {MAX_ROUNDS}, with no `then` in it"
            )));
        }
        let then: Result<_, _> = self.then.into_iter().map(Self::check).collect();
        let call = |(at, call): (usize, ScriptCallWire)| {
            let id = call.id.unwrap_or_else(|| format!("call_{}", at + 1));
            ToolCall::new(id, call.name, call.arguments)
        };
        Ok(Script {
            say,
            delay,
            thinking: self.thinking,
            tool_calls: self.tool_calls.into_iter().enumerate().map(call).collect(),
            then: then?,
            asks: self.asks,
            holds: self.holds,
            fault: self.fault,
            tally: self.tally,
        })
    }
}

/// A script that can't be followed, and why.
pub(super) fn bad(why: &str) -> ProviderError {
    ProviderError::new(format!("the field `script` can't be followed: {why}"))
}
