use serde::Serialize;

/// An item of a response's `output`.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum OutputItem {
    /// A run of text.
    Message {
        id: String,
        status: ItemStatus,
        role: &'static str,
        content: Vec<OutputPart>,
    },
    /// A run of thinking.
    Reasoning {
        id: String,
        status: ItemStatus,
        summary: [(); 0],
        content: Vec<OutputPart>,
    },
    /// A call that the client is to run.
    FunctionCall {
        id: String,
        status: ItemStatus,
        call_id: String,
        name: String,
        arguments: String,
    },
    /// A call that ran on the server, under OpenAI's name for such calls.
    McpCall {
        id: String,
        status: ItemStatus,
        server_label: &'static str,
        name: String,
        arguments: String,
        output: Option<String>,
        error: Option<String>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ItemStatus {
    InProgress,
    Completed,
    Incomplete,
    Failed,
}

/// A part of the content of an item.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum OutputPart {
    OutputText {
        text: String,
        annotations: [(); 0],
        logprobs: [(); 0],
    },
    ReasoningText {
        text: String,
    },
}

impl OutputItem {
    pub(super) fn message(id: String) -> Self {
        Self::Message {
            id,
            status: ItemStatus::InProgress,
            role: "assistant",
            content: Vec::new(),
        }
    }

    pub(super) fn reasoning(id: String) -> Self {
        Self::Reasoning {
            id,
            status: ItemStatus::InProgress,
            summary: [],
            content: Vec::new(),
        }
    }

    pub(super) fn id(&self) -> &str {
        match self {
            Self::Message { id, .. }
            | Self::Reasoning { id, .. }
            | Self::FunctionCall { id, .. }
            | Self::McpCall { id, .. } => id,
        }
    }

    /// Appends to the text of the last part.
    pub(super) fn push_str(&mut self, more: &str) {
        if let Self::Message { content, .. } | Self::Reasoning { content, .. } = self
            && let Some(OutputPart::OutputText { text, .. } | OutputPart::ReasoningText { text }) =
                content.last_mut()
        {
            text.push_str(more);
        }
    }

    /// Adds the single part of a message or a reasoning.
    pub(super) fn open(&mut self) {
        match self {
            Self::Message { content, .. } => content.push(OutputPart::output_text()),
            Self::Reasoning { content, .. } => content.push(OutputPart::reasoning_text()),
            Self::FunctionCall { .. } | Self::McpCall { .. } => {}
        }
    }

    pub(super) fn part(&self) -> Option<&OutputPart> {
        match self {
            Self::Message { content, .. } | Self::Reasoning { content, .. } => content.last(),
            Self::FunctionCall { .. } | Self::McpCall { .. } => None,
        }
    }

    pub(super) fn end(&mut self, with: ItemStatus) {
        match self {
            Self::Message { status, .. }
            | Self::Reasoning { status, .. }
            | Self::FunctionCall { status, .. }
            | Self::McpCall { status, .. } => *status = with,
        }
    }
}

impl OutputPart {
    fn output_text() -> Self {
        Self::OutputText {
            text: String::new(),
            annotations: [],
            logprobs: [],
        }
    }

    fn reasoning_text() -> Self {
        Self::ReasoningText {
            text: String::new(),
        }
    }

    pub(super) fn text(&self) -> &str {
        match self {
            Self::OutputText { text, .. } | Self::ReasoningText { text } => text,
        }
    }
}
