use serde::{Deserialize, Serialize};

use super::annotation::Annotation;

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
        /// The provider state, as `SealedState` writes it.
        #[serde(skip_serializing_if = "Option::is_none")]
        encrypted_content: Option<String>,
    },
    /// A picture that the model made.
    ImageGenerationCall {
        id: String,
        status: ItemStatus,
        /// The bytes in base64.
        result: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        output_format: Option<String>,
        #[serde(flatten)]
        own: PictureFields,
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

/// The fields of a picture beside the API.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct PictureFields {
    /// The link to a picture whose bytes are not here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) url: Option<String>,
    /// The media type, if the format and the bytes don't tell it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) media_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) detail: Option<String>,
    /// The picture is in the result of a tool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) of_result: Option<OfResult>,
}

/// The place of a medium in the result of a call that ran on the server.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct OfResult {
    /// The id of the call's item.
    pub(super) item_id: String,
    /// The number of the characters of the result's text before it.
    pub(super) at: usize,
}

/// A part of the content of an item.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum OutputPart {
    OutputText {
        text: String,
        annotations: Vec<Annotation>,
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
            encrypted_content: None,
        }
    }

    pub(super) fn id(&self) -> &str {
        match self {
            Self::Message { id, .. }
            | Self::Reasoning { id, .. }
            | Self::ImageGenerationCall { id, .. }
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
            _ => {}
        }
    }

    /// Adds an annotation to the text, and returns its index.
    pub(super) fn annotate(&mut self, annotation: Annotation) -> Option<usize> {
        match self {
            Self::Message { content, .. } => match content.last_mut()? {
                OutputPart::OutputText { annotations, .. } => {
                    annotations.push(annotation);
                    Some(annotations.len() - 1)
                }
                OutputPart::ReasoningText { .. } => None,
            },
            _ => None,
        }
    }

    /// Returns true for a function call whose arguments never became whole.
    pub(super) fn is_cut_call(&self) -> bool {
        matches!(
            self,
            Self::FunctionCall {
                status: ItemStatus::Incomplete,
                ..
            }
        )
    }

    pub(super) fn part(&self) -> Option<&OutputPart> {
        match self {
            Self::Message { content, .. } | Self::Reasoning { content, .. } => content.last(),
            _ => None,
        }
    }

    pub(super) fn end(&mut self, with: ItemStatus) {
        match self {
            Self::Message { status, .. }
            | Self::Reasoning { status, .. }
            | Self::ImageGenerationCall { status, .. }
            | Self::FunctionCall { status, .. }
            | Self::McpCall { status, .. } => *status = with,
        }
    }
}

/// Returns the response and the turn in the id of an item: `msg_{response}_{index}t{turn}`. The first turn
/// has no number.
pub(super) fn turn_of(id: &str) -> Option<(String, u64)> {
    let (_, rest) = id.split_once('_')?;
    let (response, index) = rest.rsplit_once('_')?;
    let (index, turn) = index.split_once('t').unwrap_or((index, "0"));
    index.parse::<u64>().ok()?;
    Some((response.to_owned(), turn.parse().ok()?))
}

impl OutputPart {
    fn output_text() -> Self {
        Self::OutputText {
            text: String::new(),
            annotations: Vec::new(),
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
