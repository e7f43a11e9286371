use std::env;

use unbroken::{
    BoxError,
    provider::{ByModel, Ollama, OpenAi, Scripted, by_model},
};

/// The model of an example.
#[derive(Debug, Clone)]
pub struct Model {
    /// The provider.
    pub provider: ByModel,
    /// The name: `openai`, `ollama` or `scripted`.
    pub name: &'static str,
}

impl Model {
    /// Creates the provider that the environment names.
    ///
    /// ```text
    /// OPENAI_BASE_URL, OPENAI_MODEL, OPENAI_API_KEY    a server that speaks Chat Completions
    /// OLLAMA_MODEL, OLLAMA_HOST                        otherwise, a model of Ollama
    /// ```
    ///
    /// Without `OPENAI_BASE_URL` and `OLLAMA_MODEL` the provider is scripted.
    ///
    /// # Errors
    ///
    /// Returns an error if a variable is missing or malformed.
    pub fn from_env() -> Result<Self, BoxError> {
        let is_set = |name| env::var_os(name).is_some();
        // A router without models wraps a provider of any type.
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
