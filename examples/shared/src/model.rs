use std::env;

use unbroken::{
    BoxError,
    provider::{ByModel, Ollama, OpenAi, Scripted, by_model},
};

/// Who answers the chats of an example.
#[derive(Debug, Clone)]
pub struct Model {
    /// The provider, of whichever type.
    pub provider: ByModel,
    /// `openai`, `ollama` or `scripted`.
    pub name: &'static str,
}

impl Model {
    /// The one that the environment names.
    ///
    /// ```text
    /// OPENAI_BASE_URL, OPENAI_MODEL, OPENAI_API_KEY    a server that speaks Chat Completions
    /// OLLAMA_MODEL, OLLAMA_HOST                        else, one of Ollama's
    /// ```
    ///
    /// Without `OPENAI_BASE_URL` and `OLLAMA_MODEL` a script plays the model.
    ///
    /// # Errors
    ///
    /// If they don't say enough.
    pub fn of_environment() -> Result<Self, BoxError> {
        let is_set = |name| env::var_os(name).is_some();
        // A router without models is a provider of any type.
        let (name, provider) = if is_set("OPENAI_BASE_URL") {
            ("openai", by_model().fallback(OpenAi::from_env()?))
        } else if is_set("OLLAMA_MODEL") {
            ("ollama", by_model().fallback(Ollama::from_env()?))
        } else {
            println!("OPENAI_BASE_URL is not set: a scripted provider plays the model");
            ("scripted", by_model().fallback(Scripted::default()))
        };
        Ok(Self { provider, name })
    }
}
