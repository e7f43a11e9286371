use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The capabilities of a session: `session_info`. Always the first event of a log.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SessionInfo {
    /// The session's capabilities.
    #[serde(default)]
    pub capabilities: Capabilities,
    /// The persona of the model, as the application names it; `null` if there is none.
    #[serde(default)]
    pub persona: Option<Value>,
    /// Fields that this version doesn't know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The capabilities of a session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Capabilities {
    /// True if its events may include thinking.
    pub thinking: bool,
    /// True if its answer comes piece by piece.
    pub streaming: bool,
    /// The names of the tools that may be called.
    pub tools: Vec<String>,
    /// The names of those among them that only the client can run. The durable layer sets them.
    #[serde(rename = "clientTools", skip_serializing_if = "Vec::is_empty")]
    pub client_tools: Vec<String>,
    /// Fields that this version doesn't know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// An event that drops everything before it: `restarted`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Restarted {
    /// The reason, for people.
    #[serde(default)]
    pub reason: String,
    /// Fields that this version doesn't know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl SessionInfo {
    /// Creates the event, without a persona.
    pub fn new(capabilities: Capabilities) -> Self {
        Self {
            capabilities,
            ..Self::default()
        }
    }

    /// Sets the persona.
    pub fn persona(mut self, persona: impl Into<Value>) -> Self {
        self.persona = Some(persona.into());
        self
    }
}

impl Capabilities {
    /// Creates capabilities with streaming and thinking, without tools.
    pub fn new() -> Self {
        Self {
            thinking: true,
            streaming: true,
            tools: Vec::new(),
            client_tools: Vec::new(),
            extra: Map::new(),
        }
    }

    /// Sets whether events may include thinking.
    pub fn thinking(mut self, thinking: bool) -> Self {
        self.thinking = thinking;
        self
    }

    /// Sets the names of the tools that may be called.
    pub fn tools<T>(mut self, tools: impl IntoIterator<Item = T>) -> Self
    where
        T: Into<String>,
    {
        self.tools = tools.into_iter().map(Into::into).collect();
        self
    }
}

impl Default for Capabilities {
    fn default() -> Self {
        Self::new()
    }
}

impl Restarted {
    /// Creates the event, with a reason for people.
    pub fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            extra: Map::new(),
        }
    }
}
