use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::chat::{
    ChatRequest, Citation, InputId, Media, ProviderError, ToolCall, as_json::millis, values_in_text,
};

const MAX_TOKENS: u32 = 10_000_000;
const MAX_STAMPS: u32 = 10_000;
const MAX_NAME: usize = 128;
const MAX_ROUNDS: usize = 100;
const MAX_HOLDS: usize = 100;
const MAX_SHOWN: usize = 100;
/// The most JSON values in the texts of the arguments of a request's calls.
pub(super) const MAX_VALUES: usize = 10_000;
const MAX_DELAY: Duration = Duration::from_secs(600);

/// A script: the text, the pace and the faults of an answer.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Script {
    /// The text; an answer that mentions the question if absent.
    pub say: Option<Say>,
    /// The time before each token; 40 ms if absent.
    pub delay: Option<Duration>,
    /// The thinking before the text.
    pub thinking: Option<String>,
    /// The media that the model makes, after the text.
    pub media: Vec<Media>,
    /// The sources that the text rests on, after the media.
    pub sources: Vec<Citation>,
    /// The tools to ask for after the text.
    pub tool_calls: Vec<ToolCall>,
    /// True if the arguments of the calls come before them, piece by piece
    /// ([`ToolInput`](crate::chat::ToolInput)). A piece is a token.
    pub tool_input: bool,
    /// The name of the model, in the event [`TurnEnd`](crate::chat::TurnEnd) at the end. Without a name
    /// there is no such event.
    pub model: Option<String>,
    /// True if the usage is reported from the start on, and with each token
    /// ([`TurnUsage`](crate::chat::TurnUsage)).
    pub usage_so_far: bool,
    /// The scripts of later turns: the first for the turn after one round of tools, and so on; the
    /// last for all turns after that.
    pub then: Vec<Script>,
    /// The questions to the user after the text, one after the other.
    pub asks: Vec<Ask>,
    /// Numbers of tokens, those of thinking and arguments included. After each, the call waits until another
    /// call with [`Say::Release`] of the name in [`tally`](field@Self::tally) lets it continue. In
    /// any order, each used once.
    pub holds: Vec<usize>,
    /// The fault.
    pub fault: Option<ScriptFault>,
    /// The name under which the call is counted; not counted if absent. At most 128 bytes.
    pub tally: Option<String>,
}

/// The text of a [`Script`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Say {
    /// This text, word by word.
    Text(String),
    /// This number of tokens, each a number and a space.
    Count(u32),
    /// This number of tokens, each the time at which it is sent, in microseconds since 1970, and a
    /// space.
    Stamps(u32),
    /// The counts under this name, as JSON.
    Tally(String),
    /// The results of the last round of tools, word by word, with a space between them.
    Results,
    /// The text `released`. One call that is counted under this name may pass one of its
    /// [holds](field@Script::holds), now or when it gets there.
    Release(String),
}

/// A question in the middle of an answer. The text of its outcome follows: the answer as JSON, or
/// `timeout`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct Ask {
    /// The id of the question.
    pub id: InputId,
    /// The text that the user reads.
    #[serde(default)]
    pub message: String,
    /// A JSON Schema for the content of an acceptance.
    pub schema: Option<Value>,
    /// The time to wait; without limit if absent. In whole milliseconds, as `timeoutMs`, in JSON.
    #[serde(
        rename = "timeoutMs",
        default,
        deserialize_with = "millis::deserialize"
    )]
    pub timeout: Option<Duration>,
}

/// A fault and its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ScriptFault {
    /// The number of tokens before the fault, those of thinking and arguments included.
    pub at: usize,
    /// The kind of the fault.
    pub kind: FaultKind,
}

/// The kind of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FaultKind {
    /// The stream fails, with a message for clients.
    Error,
    /// Polling the stream panics.
    Panic,
    /// There is no further event.
    Hang,
    /// The stream fails like one whose connection broke off.
    Cut,
}

impl Script {
    /// Creates a script with this text.
    pub fn say(text: impl Into<String>) -> Self {
        Self {
            say: Some(Say::Text(text.into())),
            ..Self::default()
        }
    }

    /// Creates a script with this number of tokens: `1 2 3 …`.
    pub fn count(tokens: u32) -> Self {
        Self {
            say: Some(Say::Count(tokens)),
            ..Self::default()
        }
    }

    /// Creates a script whose text is the results of the last round of tools.
    pub fn results() -> Self {
        Self {
            say: Some(Say::Results),
            ..Self::default()
        }
    }

    /// Sets the time before each token. With zero, a token is ready whenever the stream is polled.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = Some(delay);
        self
    }

    /// Sets the thinking before the text.
    pub fn thinking(mut self, thinking: impl Into<String>) -> Self {
        self.thinking = Some(thinking.into());
        self
    }

    /// Adds a medium that the model makes, after the text.
    pub fn media(mut self, media: Media) -> Self {
        self.media.push(media);
        self
    }

    /// Adds a source that the text rests on.
    pub fn source(mut self, source: Citation) -> Self {
        self.sources.push(source);
        self
    }

    /// Sets the tools to ask for after the text.
    pub fn tool_calls(mut self, calls: impl IntoIterator<Item = ToolCall>) -> Self {
        self.tool_calls = calls.into_iter().collect();
        self
    }

    /// Sends the arguments of the calls before them, piece by piece.
    pub fn tool_input(mut self) -> Self {
        self.tool_input = true;
        self
    }

    /// Sets the name of the model, for the event at the end of the turn.
    pub fn model(mut self, model: impl Into<String>) -> Self {
        self.model = Some(model.into());
        self
    }

    /// Reports the usage from the start on, and with each token.
    pub fn usage_so_far(mut self) -> Self {
        self.usage_so_far = true;
        self
    }

    /// Adds a script for the turn after the next round of tools.
    pub fn then(mut self, script: Self) -> Self {
        self.then.push(script);
        self
    }

    /// Adds a question to the user after the text.
    pub fn ask(mut self, ask: Ask) -> Self {
        self.asks.push(ask);
        self
    }

    /// Adds a hold after this number of tokens. It needs a name under which the call is
    /// [counted](Self::tally()).
    pub fn hold(mut self, at: usize) -> Self {
        self.holds.push(at);
        self
    }

    /// Sets the name under which the call is counted, of at most 128 bytes.
    pub fn tally(mut self, name: impl Into<String>) -> Self {
        self.tally = Some(name.into());
        self
    }

    /// Sets the fault.
    pub fn fault(mut self, fault: ScriptFault) -> Self {
        self.fault = Some(fault);
        self
    }

    /// Returns the script for the turn after so many rounds of tools. It has the delay, tally and model
    /// of the first script unless it has its own, and reports its usage as the first one does.
    pub(super) fn after(mut self, rounds: usize) -> Self {
        let Some(at) = rounds.min(self.then.len()).checked_sub(1) else {
            return self;
        };
        let mut script = self.then.swap_remove(at);
        script.delay = script.delay.or(self.delay);
        script.tally = script.tally.or(self.tally);
        script.model = script.model.or(self.model);
        script.usage_so_far |= self.usage_so_far;
        script
    }

    /// Returns the script in a request, if there is one. Text and delay that it leaves out are
    /// those of `own`.
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
    /// Creates a question that any content fits, without a time limit.
    pub fn new(id: InputId, message: impl Into<String>) -> Self {
        Self {
            id,
            message: message.into(),
            schema: None,
            timeout: None,
        }
    }

    /// Sets a JSON Schema for the content of an acceptance.
    pub fn schema(mut self, schema: Value) -> Self {
        self.schema = Some(schema);
        self
    }

    /// Sets the time to wait.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

impl ScriptFault {
    /// Creates a fault after this number of tokens.
    pub fn new(at: usize, kind: FaultKind) -> Self {
        Self { at, kind }
    }
}

/// A script in a request, as the module's table describes it.
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
    media: Vec<Media>,
    #[serde(default)]
    sources: Vec<Citation>,
    #[serde(default)]
    tool_calls: Vec<ScriptCallWire>,
    #[serde(default)]
    tool_input: bool,
    model: Option<String>,
    #[serde(default)]
    usage_so_far: bool,
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
    /// Returns the number of JSON values in texts that are decoded as JSON.
    fn values_in_texts(&self) -> usize {
        let texts = self
            .tool_calls
            .iter()
            .filter_map(|it| it.arguments.as_str());
        let then = self.then.iter().map(Self::values_in_texts);
        texts.map(values_in_text).chain(then).sum()
    }

    fn check(self) -> Result<Script, ProviderError> {
        if self.values_in_texts() > MAX_VALUES {
            return Err(bad(&format!(
                "the texts in `arguments` have at most {MAX_VALUES} JSON values"
            )));
        }
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
        let names = [
            ("tally", self.tally.as_ref()),
            ("release", release),
            ("model", self.model.as_ref()),
        ];
        for (field, name) in names {
            if name.is_some_and(|name| name.len() > MAX_NAME) {
                return Err(bad(&format!("`{field}` has at most {MAX_NAME} bytes")));
            }
        }
        if self.holds.len() > MAX_HOLDS {
            return Err(bad(&format!("`holds` has at most {MAX_HOLDS}")));
        }
        for (field, count) in [("media", self.media.len()), ("sources", self.sources.len())] {
            if count > MAX_SHOWN {
                return Err(bad(&format!("`{field}` has at most {MAX_SHOWN}")));
            }
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
            match call.arguments {
                Value::String(text) => ToolCall::from_text(id, call.name, &text),
                arguments => ToolCall::new(id, call.name, arguments),
            }
        };
        Ok(Script {
            say,
            delay,
            thinking: self.thinking,
            media: self.media,
            sources: self.sources,
            tool_input: self.tool_input,
            model: self.model,
            usage_so_far: self.usage_so_far,
            tool_calls: self.tool_calls.into_iter().enumerate().map(call).collect(),
            then: then?,
            asks: self.asks,
            holds: self.holds,
            fault: self.fault,
            tally: self.tally,
        })
    }
}

/// Creates the error of an invalid script.
pub(super) fn bad(why: &str) -> ProviderError {
    ProviderError::new(format!("the field `script` can't be followed: {why}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_values_in_texts_are_limited_on_both_sides() {
        let list = |values: usize| json!(vec![0; values - 1]).to_string();
        let script = |values: usize| {
            let calls = json!([{"name": "t", "arguments": list(values)}]);
            let script = json!({"toolCalls": calls, "then": [{"toolCalls": calls}]});
            ScriptWire::deserialize(script).unwrap().check()
        };
        let fits = script(MAX_VALUES / 2).unwrap();
        assert_eq!(
            fits.tool_calls[0].arguments,
            json!(vec![0; MAX_VALUES / 2 - 1])
        );
        let error = script(MAX_VALUES / 2 + 1).unwrap_err().to_string();
        assert!(error.contains("10000 JSON values"), "{error}");
    }
}
