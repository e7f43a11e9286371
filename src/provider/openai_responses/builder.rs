use std::{
    env::{self, VarError},
    fmt,
    time::Duration,
};

use serde_json::Value;

use super::{ResponsesUpstream, config::ResponsesConfig, protocol::RESPONSES};
use crate::provider::http::{ConfigError, HttpOptions, Upstream, openai_options, setters};

const DEFAULT_BASE_URL: &str = "https://api.openai.com/v1";

/// A builder of a [`ResponsesUpstream`]. `Debug` doesn't show the key.
#[derive(Clone)]
#[must_use]
pub struct ResponsesUpstreamBuilder {
    options: HttpOptions,
    store: bool,
    background: bool,
    encrypted_reasoning: bool,
}

setters!(ResponsesUpstreamBuilder);

impl ResponsesUpstream {
    /// Creates a provider from the environment, as [`ResponsesUpstreamBuilder::from_env`] reads it.
    ///
    /// # Errors
    ///
    /// If a value is missing or malformed. The error never shows the key.
    pub fn from_env() -> Result<Self, ConfigError> {
        ResponsesUpstreamBuilder::from_env()?.build()
    }

    /// Builds the provider. It doesn't connect yet.
    ///
    /// # Errors
    ///
    /// If a value is missing or malformed. The error never shows the key.
    pub fn builder() -> ResponsesUpstreamBuilder {
        ResponsesUpstreamBuilder::new()
    }
}

impl ResponsesUpstreamBuilder {
    pub(super) fn new() -> Self {
        Self {
            options: HttpOptions::new(DEFAULT_BASE_URL),
            store: false,
            background: false,
            encrypted_reasoning: true,
        }
    }

    /// Creates a builder from the environment. The variables are those of OpenAI's SDKs, but for the
    /// model:
    ///
    /// | variable | meaning |
    /// |---|---|
    /// | `OPENAI_MODEL` | the [model](Self::model) |
    /// | `OPENAI_API_KEY` | the [key](Self::api_key), which other servers than OpenAI's may not need |
    /// | `OPENAI_BASE_URL` | the [base URL](Self::base_url); OpenAI's own unless set |
    /// | `OPENAI_ORG_ID`, `OPENAI_PROJECT_ID` | the headers `OpenAI-Organization` and `OpenAI-Project` |
    /// | `OPENAI_CUSTOM_HEADERS` | further [headers](Self::header), each on a line: `Name: value` |
    ///
    /// # Errors
    ///
    /// If a value is malformed. The error never shows the key.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_vars(env::var)
    }

    pub(super) fn from_vars(
        read: impl Fn(&'static str) -> Result<String, VarError>,
    ) -> Result<Self, ConfigError> {
        let mut builder = Self::new();
        openai_options(&mut builder.options, read)?;
        Ok(builder)
    }

    /// Sets the address of the server, up to the part before `/responses`. Default: OpenAI's own. A query
    /// in it is kept, after the path.
    pub fn base_url(mut self, base_url: impl Into<String>) -> Self {
        self.options.base_url = base_url.into();
        self
    }

    /// Sets a further field of the request's body, such as `reasoning`, `service_tier` or
    /// `prompt_cache_key`. Fields that this provider writes itself take precedence; its tools are added to
    /// `tools`, beside those that the server runs, and what it needs to `include`.
    pub fn field(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.options.fields.insert(name.into(), value.into());
        self
    }

    /// Sets whether the server keeps the responses. Default false. The provider hands each turn back whole,
    /// and needs no stored ones.
    pub fn store(mut self, store: bool) -> Self {
        self.store = store;
        self
    }

    /// Sets whether the model's server goes on with an answer whose connection is lost. Default false. The
    /// [module](super#in-the-background) describes what follows from it.
    pub fn background(mut self, background: bool) -> Self {
        self.background = background;
        self
    }

    /// Sets whether the server is asked for the model's reasoning in encrypted form (`include`), which the provider hands back
    /// with the next turn. Default true; set it to false for models that don't reason, such as `gpt-4o`: for them OpenAI's
    /// server refuses it.
    pub fn encrypted_reasoning(mut self, asked: bool) -> Self {
        self.encrypted_reasoning = asked;
        self
    }

    /// Builds it. Nothing is connected yet.
    ///
    /// # Errors
    ///
    /// When something is missing or malformed; the error says what, and never shows the key.
    pub fn build(self) -> Result<ResponsesUpstream, ConfigError> {
        let options = self.options;
        let upstream = Upstream::new(&options, &RESPONSES, DEFAULT_BASE_URL)?;
        options.is_list("tools")?;
        options.is_list("include")?;
        let model = options.model.ok_or(ConfigError::NoModel {
            variable: "OPENAI_MODEL",
        })?;
        if !upstream.has_key() && upstream.host() == Some("api.openai.com") {
            return Err(ConfigError::NoKey {
                variable: "OPENAI_API_KEY",
            });
        }
        Ok(ResponsesUpstream::new(
            upstream,
            ResponsesConfig {
                model,
                fields: options.fields,
                unsupported: options.unsupported,
                // A response that isn't kept can't be read again.
                store: self.store || self.background,
                encrypted_reasoning: self.encrypted_reasoning,
                background: self.background,
                max_event_bytes: options.max_event_bytes,
                think_tags: options.think_tags,
            },
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local() -> ResponsesUpstreamBuilder {
        ResponsesUpstream::builder()
            .base_url("http://127.0.0.1:1/v1/")
            .model("m")
    }

    #[test]
    fn the_error_names_the_missing_value() {
        assert!(local().build().is_ok());
        let error = ResponsesUpstream::builder().api_key("k").build();
        assert!(matches!(error, Err(ConfigError::NoModel { .. })));
        let error = ResponsesUpstream::builder().model("m").build();
        assert!(matches!(error, Err(ConfigError::NoKey { .. })));
        let error = local().base_url("http://h/v1/responses").build();
        assert!(matches!(error, Err(ConfigError::WholeUrl { .. })));
    }

    #[test]
    fn the_environment_is_that_of_the_other_provider() {
        let builder = ResponsesUpstreamBuilder::from_vars(|name| match name {
            "OPENAI_BASE_URL" => Ok("http://127.0.0.1:1/v1\n".into()),
            "OPENAI_MODEL" => Ok("m".into()),
            "OPENAI_API_KEY" => Ok("sk-secret".into()),
            "OPENAI_CUSTOM_HEADERS" => Ok("X-Team: secret".into()),
            _ => Err(VarError::NotPresent),
        })
        .unwrap();
        assert_eq!(builder.options.base_url, "http://127.0.0.1:1/v1");
        let shown = format!("{builder:?} {:?}", builder.clone().build().unwrap());
        assert!(!shown.contains("secret"), "{shown}");
        assert!(shown.contains("X-Team"), "{shown}");
    }
}
