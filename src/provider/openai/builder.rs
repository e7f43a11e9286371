use std::{
    env::{self, VarError},
    fmt,
    time::Duration,
};

use serde_json::Value;

use super::{OpenAi, config::OpenAiConfig};
use crate::provider::http::{ConfigError, HttpOptions, Upstream, setters, variable};

const DEFAULT_BASE_URL: &str = "https://api.openai.com/v1";

/// A builder of an [`OpenAi`]. `Debug` doesn't show the key.
#[derive(Clone)]
#[must_use]
pub struct OpenAiBuilder {
    options: HttpOptions,
    usage: bool,
}

setters!(OpenAiBuilder);

impl OpenAi {
    /// Creates a provider from the environment: `OPENAI_BASE_URL` (OpenAI's own server unless set),
    /// `OPENAI_API_KEY` (which other servers may not need) and `OPENAI_MODEL`.
    ///
    /// # Errors
    ///
    /// If a value is missing or malformed. The error never shows the key.
    pub fn from_env() -> Result<Self, ConfigError> {
        OpenAiBuilder::from_vars(env::var)?.build()
    }

    /// Builds the provider. It doesn't connect yet.
    ///
    /// # Errors
    ///
    /// If a value is missing or malformed. The error never shows the key.
    pub fn builder() -> OpenAiBuilder {
        OpenAiBuilder::new()
    }
}

impl OpenAiBuilder {
    pub(super) fn new() -> Self {
        Self {
            options: HttpOptions::new(DEFAULT_BASE_URL),
            usage: true,
        }
    }

    pub(super) fn from_vars(
        read: impl Fn(&'static str) -> Result<String, VarError>,
    ) -> Result<Self, ConfigError> {
        let mut builder = Self::new();
        if let Some(base_url) = variable(&read, "OPENAI_BASE_URL")? {
            builder.options.base_url = base_url;
        }
        builder.options.key = variable(&read, "OPENAI_API_KEY")?;
        builder.options.model = variable(&read, "OPENAI_MODEL")?;
        Ok(builder)
    }

    /// Sets the address of the server, up to the part before `/chat/completions`. Default: OpenAI's
    /// own.
    pub fn base_url(mut self, base_url: impl Into<String>) -> Self {
        self.options.base_url = base_url.into();
        self
    }

    /// Sets a further field of the request's body, such as `temperature`, `max_completion_tokens`
    /// or `reasoning_effort`. Fields that this provider writes itself take precedence; its tools
    /// are added to `tools`.
    pub fn field(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.options.fields.insert(name.into(), value.into());
        self
    }

    /// Sets whether to ask for the usage (`stream_options`). Default true; turn it off for servers
    /// that refuse the field.
    pub fn usage(mut self, usage: bool) -> Self {
        self.usage = usage;
        self
    }

    /// Builds it. Nothing is connected yet.
    ///
    /// # Errors
    ///
    /// When something is missing or malformed; the error says what, and never shows the key.
    pub fn build(self) -> Result<OpenAi, ConfigError> {
        let Self { options, usage } = self;
        let upstream = Upstream::new(
            &options,
            &["chat", "completions"],
            "text/event-stream",
            DEFAULT_BASE_URL,
        )?;
        let model = options.model.ok_or(ConfigError::NoModel {
            variable: "OPENAI_MODEL",
        })?;
        if !upstream.has_key() && upstream.host() == Some("api.openai.com") {
            return Err(ConfigError::NoKey {
                variable: "OPENAI_API_KEY",
            });
        }
        Ok(OpenAi::new(
            upstream,
            OpenAiConfig {
                model,
                fields: options.fields,
                usage,
                max_event_bytes: options.max_event_bytes,
            },
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local() -> OpenAiBuilder {
        OpenAi::builder()
            .base_url("http://127.0.0.1:1/v1/")
            .model("m")
    }

    #[test]
    fn the_error_names_the_missing_value() {
        assert!(local().build().is_ok());
        let error = OpenAi::builder().api_key("k").build().unwrap_err();
        assert!(matches!(error, ConfigError::NoModel { .. }));
        assert!(
            format!("{error:?}").contains("set OPENAI_MODEL"),
            "as a `main` shows it"
        );
        let error = OpenAi::builder().model("m").build().unwrap_err();
        assert!(matches!(error, ConfigError::NoKey { .. }));
        for bad in [
            "",
            "localhost:8080",
            "ftp://host/v1",
            "http://",
            "http://h/v1?a=b",
        ] {
            let error = local().base_url(bad).build().unwrap_err();
            assert!(
                matches!(error, ConfigError::BaseUrl { .. }),
                "{bad}: {error}"
            );
        }
    }

    #[test]
    fn empty_variables_count_as_unset() {
        let from = |vars: &'static [(&str, &str)]| {
            OpenAiBuilder::from_vars(|name| {
                let found = vars.iter().find(|(key, _)| *key == name);
                found.map_or(Err(VarError::NotPresent), |(_, value)| {
                    Ok((*value).to_owned())
                })
            })
        };
        let builder = from(&[
            ("OPENAI_BASE_URL", "http://127.0.0.1:1/v1\n"),
            ("OPENAI_API_KEY", ""),
            ("OPENAI_MODEL", "m"),
        ])
        .unwrap();
        assert_eq!(builder.options.key, None);
        assert_eq!(builder.options.base_url, "http://127.0.0.1:1/v1");
        assert!(builder.build().is_ok());

        let builder = from(&[("OPENAI_API_KEY", "k"), ("OPENAI_MODEL", "m")]).unwrap();
        assert_eq!(builder.options.base_url, DEFAULT_BASE_URL);
        assert!(builder.build().is_ok());

        let error = OpenAiBuilder::from_vars(|_| Err(VarError::NotUnicode("x".into())));
        assert!(matches!(error, Err(ConfigError::NotUnicode { .. })));
    }

    #[test]
    fn the_key_is_never_shown() {
        let secret = "sk-very-secret";
        let builder = local().api_key(secret);
        assert!(!format!("{builder:?}").contains(secret));
        let provider = builder.build().unwrap();
        assert!(!format!("{provider:?}").contains(secret));
        let error = local().api_key("sk-very-secret\nx").build().unwrap_err();
        assert!(matches!(error, ConfigError::Key));
        assert!(!format!("{error} {error:?}").contains(secret));
    }
}
