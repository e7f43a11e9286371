use genai::{ModelIden, adapter::AdapterKind};

/// The protocol of a model's server, as far as requests and answers differ here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WireFormat {
    /// Anthropic's Messages.
    Anthropic,
    /// Claude behind Vertex AI: Messages, for which genai writes fewer options.
    VertexClaude,
    /// Gemini's `generateContent`.
    Gemini,
    /// OpenAI's Chat Completions.
    Chat,
    /// OpenAI's Responses.
    Responses,
    /// Any other.
    Other,
}

impl WireFormat {
    /// Returns the protocol that genai speaks to a model.
    pub(crate) fn of(model: &ModelIden) -> Self {
        use AdapterKind as Kind;
        match model.adapter_kind {
            Kind::Anthropic | Kind::MiniMax => Self::Anthropic,
            Kind::Vertex if model.model_name.contains("claude") => Self::VertexClaude,
            Kind::Baidu if model.model_name.namespace_is("baidu-coding-anthropic") => {
                Self::Anthropic
            }
            // genai writes as few options for it.
            Kind::OpenCodeGo if is_minimax(model) => Self::VertexClaude,
            Kind::Gemini | Kind::Vertex => Self::Gemini,
            Kind::OpenAIResp => Self::Responses,
            Kind::OpenAI
            | Kind::Fireworks
            | Kind::Together
            | Kind::Groq
            | Kind::Aihubmix
            | Kind::Kimi
            | Kind::Mimo
            | Kind::Moonshot
            | Kind::Nebius
            | Kind::Xai
            | Kind::DeepSeek
            | Kind::Mistral
            | Kind::Zai
            | Kind::BigModel
            | Kind::Aliyun
            | Kind::QwenCloud
            | Kind::GithubCopilot
            | Kind::OpenRouter
            | Kind::AtlasCloud
            | Kind::Requesty
            | Kind::ApiRoute
            | Kind::Heabsy
            | Kind::Runcrate
            | Kind::CloudGpu
            | Kind::Omlx
            | Kind::Baidu
            | Kind::OpenCodeGo
            | Kind::Custom(_) => Self::Chat,
            _ => Self::Other,
        }
    }

    /// Returns the name under which data of the model's server is kept and handed back.
    pub(crate) fn state_name(self, model: &ModelIden) -> &'static str {
        match self {
            Self::Anthropic | Self::VertexClaude => "anthropic",
            Self::Gemini => "gemini",
            _ => model.adapter_kind.as_lower_str(),
        }
    }

    /// Returns true if frames of the server are read, and genai's own events aren't.
    pub(crate) fn is_read_from_frames(self) -> bool {
        self != Self::Other
    }

    pub(crate) fn is_claude(self) -> bool {
        matches!(self, Self::Anthropic | Self::VertexClaude)
    }
}

fn is_minimax(model: &ModelIden) -> bool {
    let (_, name) = model.model_name.namespace_and_name();
    name.to_lowercase().starts_with("minimax-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_of_two_protocols_are_told_apart_by_the_model() {
        for (kind, name, wire) in [
            (AdapterKind::Baidu, "ernie-4.5", WireFormat::Chat),
            (
                AdapterKind::Baidu,
                "baidu-coding-openai::a",
                WireFormat::Chat,
            ),
            (
                AdapterKind::Baidu,
                "baidu-coding-anthropic::a",
                WireFormat::Anthropic,
            ),
            (AdapterKind::OpenCodeGo, "glm-5", WireFormat::Chat),
            (
                AdapterKind::OpenCodeGo,
                "opencode_go::MiniMax-M2",
                WireFormat::VertexClaude,
            ),
        ] {
            assert_eq!(WireFormat::of(&ModelIden::new(kind, name)), wire, "{name}");
        }
    }
}
