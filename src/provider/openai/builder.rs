use std::{
    env::{self, VarError},
    fmt,
    time::Duration,
};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::{
    OpenAi, ReasoningHistory, config::OpenAiConfig, protocol::CHAT_COMPLETIONS, vendor::Vendor,
};
use crate::provider::http::{
    ConfigError, HttpOptions, Upstream, openai_options, setters, variable,
};

// Which characters of a deployment's name can't stand in a path.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');
const DEFAULT_BASE_URL: &str = "https://api.openai.com/v1";

/// A builder of an [`OpenAi`]. `Debug` doesn't show the key.
#[derive(Clone)]
#[must_use]
pub struct OpenAiBuilder {
    options: HttpOptions,
    usage: bool,
    tool_media: bool,
    continues: bool,
    newer_max_tokens: Option<bool>,
    reasoning_history: Option<ReasoningHistory>,
    reasoning_field: String,
}

setters!(OpenAiBuilder);

impl OpenAi {
    /// Creates a provider from the environment, as [`OpenAiBuilder::from_env`] reads it.
    ///
    /// # Errors
    ///
    /// If a value is missing or malformed. The error never shows the key.
    pub fn from_env() -> Result<Self, ConfigError> {
        OpenAiBuilder::from_env()?.build()
    }

    /// Creates a provider of an Azure deployment from the environment, as
    /// [`OpenAiBuilder::azure_from_env`] reads it.
    ///
    /// # Errors
    ///
    /// If a value is missing or malformed. The error never shows the key.
    pub fn azure_from_env() -> Result<Self, ConfigError> {
        OpenAiBuilder::azure_from_env()?.build()
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
            tool_media: false,
            continues: false,
            newer_max_tokens: None,
            reasoning_history: None,
            reasoning_field: "reasoning_content".to_owned(),
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

    /// Creates a builder of an [Azure deployment](Self::azure) from the environment. The variables
    /// are those of OpenAI's SDKs, but for the deployment, which those are told in code:
    ///
    /// | variable | meaning |
    /// |---|---|
    /// | `AZURE_OPENAI_ENDPOINT` | the resource, such as `https://mine.openai.azure.com` |
    /// | `AZURE_OPENAI_DEPLOYMENT` | the deployment; `OPENAI_MODEL` unless set |
    /// | `OPENAI_API_VERSION` | the version of the API, such as `2024-10-21` |
    /// | `AZURE_OPENAI_API_KEY` | the key, sent as `api-key` |
    /// | `AZURE_OPENAI_AD_TOKEN` | a token of Entra ID, sent as a bearer token; it takes precedence |
    ///
    /// # Errors
    ///
    /// If a value is missing or malformed. The error never shows the key.
    pub fn azure_from_env() -> Result<Self, ConfigError> {
        Self::azure_from_vars(env::var)
    }

    pub(super) fn from_vars(
        read: impl Fn(&'static str) -> Result<String, VarError>,
    ) -> Result<Self, ConfigError> {
        let mut builder = Self::new();
        openai_options(&mut builder.options, read)?;
        Ok(builder)
    }

    pub(super) fn azure_from_vars(
        read: impl Fn(&'static str) -> Result<String, VarError>,
    ) -> Result<Self, ConfigError> {
        let needed = |name, instead| {
            variable(&read, name)?.ok_or(ConfigError::Unset {
                variable: name,
                instead,
            })
        };
        let endpoint = needed("AZURE_OPENAI_ENDPOINT", "call `azure` on the builder")?;
        let version = needed("OPENAI_API_VERSION", "call `azure` on the builder")?;
        let deployment = match variable(&read, "AZURE_OPENAI_DEPLOYMENT")? {
            Some(deployment) => deployment,
            None => variable(&read, "OPENAI_MODEL")?.ok_or(ConfigError::Unset {
                variable: "AZURE_OPENAI_DEPLOYMENT",
                instead: "call `azure` on the builder",
            })?,
        };
        let builder = Self::new().azure(&endpoint, &deployment, version);
        if let Some(token) = variable(&read, "AZURE_OPENAI_AD_TOKEN")? {
            let mut builder = builder.api_key(token);
            builder.options.key_header = None;
            return Ok(builder);
        }
        let key = needed("AZURE_OPENAI_API_KEY", "set AZURE_OPENAI_AD_TOKEN")?;
        Ok(builder.api_key(key))
    }

    /// Sets the address and the header of the key to those of a classic Azure deployment:
    /// `{endpoint}/openai/deployments/{deployment}/chat/completions?api-version={version}`, with the
    /// [key](Self::api_key) as `api-key`. The model is the deployment's: a request's `model` doesn't
    /// change it. The [module](super) has an example.
    pub fn azure(
        mut self,
        endpoint: impl AsRef<str>,
        deployment: impl AsRef<str>,
        version: impl Into<String>,
    ) -> Self {
        let (endpoint, deployment) = (endpoint.as_ref(), deployment.as_ref());
        let segment = utf8_percent_encode(deployment, SEGMENT);
        let endpoint = endpoint.trim_end_matches('/');
        self.options.base_url = format!("{endpoint}/openai/deployments/{segment}");
        self.options.model = Some(deployment.to_owned());
        self.query("api-version", version).api_key_header("api-key")
    }

    /// Sets the address of the server, up to the part before `/chat/completions`. Default: OpenAI's
    /// own. A query in it is kept, after the path.
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

    /// Sets whether to ask for the usage (`stream_options.include_usage`). Default true; turn it off for
    /// servers that refuse the field.
    ///
    /// Of an answer that is stopped in the middle, the usage is known only if the server tells it in the
    /// pieces. Some do so by themselves, as Gemini, xAI and Perplexity do. vLLM has to be asked for it:
    /// `.field("stream_options", json!({"continuous_usage_stats": true}))`.
    pub fn usage(mut self, usage: bool) -> Self {
        self.usage = usage;
        self
    }

    /// Sets whether the option `maxOutputTokens` is sent as `max_completion_tokens`, or as the older
    /// `max_tokens`. Default: the newer one for OpenAI and Azure, the older one for all others, many of
    /// which ignore the newer.
    pub fn max_completion_tokens(mut self, newer: bool) -> Self {
        self.newer_max_tokens = Some(newer);
        self
    }

    /// Sets whether the model goes on from a partial answer at the end of the messages
    /// ([`RecoveryWay::Resume`](crate::durable::RecoveryWay::Resume)). Default false: OpenAI's models begin anew, and the
    /// provider [declines](crate::chat::ProviderError::cannot_continue). With true, `continue_final_message` and
    /// `add_generation_prompt` are sent as vLLM has them, and the model's chat template has to allow it.
    pub fn continue_final_message(mut self, continues: bool) -> Self {
        self.continues = continues;
        self
    }

    /// Sets whether media in results of tools are sent. Default false: OpenAI takes text there, and such a
    /// result is an error that names the part. OpenRouter and others take pictures.
    pub fn tool_media(mut self, sent: bool) -> Self {
        self.tool_media = sent;
        self
    }

    /// Sets the messages of the model whose reasoning is sent back as text. Default
    /// [`WithCalls`](ReasoningHistory::WithCalls) for DeepSeek and Moonshot, which demand it, and
    /// [`LeaveOut`](ReasoningHistory::LeaveOut) for all others.
    pub fn reasoning_history(mut self, history: ReasoningHistory) -> Self {
        self.reasoning_history = Some(history);
        self
    }

    /// Sets the field for the [reasoning](Self::reasoning_history) that is sent back. Default
    /// `reasoning_content`; newer versions of vLLM read `reasoning`.
    pub fn reasoning_field(mut self, name: impl Into<String>) -> Self {
        self.reasoning_field = name.into();
        self
    }

    /// Builds it. Nothing is connected yet.
    ///
    /// # Errors
    ///
    /// When something is missing or malformed; the error says what, and never shows the key.
    pub fn build(self) -> Result<OpenAi, ConfigError> {
        let options = self.options;
        let upstream = Upstream::new(&options, &CHAT_COMPLETIONS, DEFAULT_BASE_URL)?;
        options.is_list("tools")?;
        if self.usage {
            options.is_object("stream_options")?;
        }
        let model = options.model.ok_or(ConfigError::NoModel {
            variable: "OPENAI_MODEL",
        })?;
        if !upstream.has_key() && upstream.host() == Some("api.openai.com") {
            return Err(ConfigError::NoKey {
                variable: "OPENAI_API_KEY",
            });
        }
        let vendor = Vendor::of(upstream.host().unwrap_or_default());
        let max_tokens_field = if self.newer_max_tokens.unwrap_or(vendor == Vendor::OpenAi) {
            "max_completion_tokens"
        } else {
            "max_tokens"
        };
        Ok(OpenAi::new(
            upstream,
            OpenAiConfig {
                model,
                fields: options.fields,
                usage: self.usage,
                unsupported: options.unsupported,
                tool_media: self.tool_media,
                continues: self.continues,
                max_tokens_field,
                reasoning_history: self.reasoning_history.unwrap_or(match vendor {
                    Vendor::WantsReasoning => ReasoningHistory::WithCalls,
                    Vendor::OpenAi | Vendor::Other => ReasoningHistory::LeaveOut,
                }),
                reasoning_field: self.reasoning_field,
                max_event_bytes: options.max_event_bytes,
                think_tags: options.think_tags,
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

    fn vars(
        vars: &'static [(&'static str, &'static str)],
    ) -> impl Fn(&'static str) -> Result<String, VarError> {
        |name| {
            let found = vars.iter().find(|(key, _)| *key == name);
            found.map_or(Err(VarError::NotPresent), |(_, value)| {
                Ok((*value).to_owned())
            })
        }
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
            "http://h/v1#a",
        ] {
            let error = local().base_url(bad).build().unwrap_err();
            assert!(
                matches!(error, ConfigError::BaseUrl { .. }),
                "{bad}: {error}"
            );
        }
        for whole in [
            "http://h/v1/chat/completions",
            "http://h/chat/completions/?a=b",
        ] {
            let error = local().base_url(whole).build().unwrap_err();
            assert!(error.to_string().contains("leave that out"), "{error}");
        }
    }

    #[test]
    fn a_header_that_can_not_be_sent_is_an_error_that_says_what_to_do() {
        for (name, value, says) in [
            ("X Team", "a", "use letters"),
            ("", "a", "use letters"),
            ("X-Team", "a\nb", "x-team holds characters"),
            (
                "Content-Type",
                "text/plain",
                "content-type is up to the provider",
            ),
            ("accept-encoding", "gzip", "leave it out"),
        ] {
            let error = local().header(name, value).build().unwrap_err();
            assert!(error.to_string().contains(says), "{name}: {error}");
        }
        let error = local().api_key("k").api_key_header("api key").build();
        assert!(matches!(error, Err(ConfigError::HeaderName)));
    }

    #[test]
    fn empty_variables_count_as_unset() {
        let builder = OpenAiBuilder::from_vars(vars(&[
            ("OPENAI_BASE_URL", "http://127.0.0.1:1/v1\n"),
            ("OPENAI_API_KEY", ""),
            ("OPENAI_MODEL", "m"),
            ("OPENAI_ORG_ID", " "),
            ("OPENAI_CUSTOM_HEADERS", ""),
        ]))
        .unwrap();
        assert_eq!(builder.options.key, None);
        assert_eq!(builder.options.base_url, "http://127.0.0.1:1/v1");
        assert!(builder.options.headers.is_empty());
        assert!(builder.build().is_ok());

        let builder =
            OpenAiBuilder::from_vars(vars(&[("OPENAI_API_KEY", "k"), ("OPENAI_MODEL", "m")]));
        let builder = builder.unwrap();
        assert_eq!(builder.options.base_url, DEFAULT_BASE_URL);
        assert!(builder.build().is_ok());

        let error = OpenAiBuilder::from_vars(|_| Err(VarError::NotUnicode("x".into())));
        assert!(matches!(error, Err(ConfigError::NotUnicode { .. })));
    }

    #[test]
    fn the_environment_has_headers() {
        let builder = OpenAiBuilder::from_vars(vars(&[
            ("OPENAI_ORG_ID", "org-1"),
            ("OPENAI_PROJECT_ID", "proj-1"),
            (
                "OPENAI_CUSTOM_HEADERS",
                "X-Team: a:b\n\n openai-project : mine \n",
            ),
        ]))
        .unwrap();
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            builder.options.headers,
            [
                header("OpenAI-Organization", "org-1"),
                header("X-Team", "a:b"),
                header("openai-project", "mine"),
            ]
        );
        let error = OpenAiBuilder::from_vars(vars(&[("OPENAI_CUSTOM_HEADERS", "sk-secret")]));
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains("`Name: value`") && !error.contains("secret"),
            "{error}"
        );
    }

    #[test]
    fn azure_is_read_from_the_environment() {
        const ALL: [(&str, &str); 4] = [
            ("AZURE_OPENAI_ENDPOINT", "https://mine.openai.azure.com/"),
            ("OPENAI_API_VERSION", "2024-10-21"),
            ("OPENAI_MODEL", "gpt 5"),
            ("AZURE_OPENAI_API_KEY", "k"),
        ];
        let builder = OpenAiBuilder::azure_from_vars(vars(&ALL)).unwrap();
        assert_eq!(
            builder.options.base_url,
            "https://mine.openai.azure.com/openai/deployments/gpt%205"
        );
        assert_eq!(builder.options.key_header.as_deref(), Some("api-key"));
        assert!(builder.build().is_ok());
        for (missing, (name, _)) in ALL.iter().enumerate() {
            let read = |asked: &'static str| {
                let mut set = ALL.iter().enumerate().filter(|(at, _)| *at != missing);
                let found = set.find(|(_, (name, _))| *name == asked);
                let (_, (_, value)) = found.ok_or(VarError::NotPresent)?;
                Ok((*value).to_owned())
            };
            let error = OpenAiBuilder::azure_from_vars(read)
                .unwrap_err()
                .to_string();
            let name = name.replace("OPENAI_MODEL", "AZURE_OPENAI_DEPLOYMENT");
            assert!(error.starts_with(&format!("{name} is not set")), "{error}");
        }
        let token = vars(&[
            ("AZURE_OPENAI_ENDPOINT", "https://mine.openai.azure.com"),
            ("OPENAI_API_VERSION", "2024-10-21"),
            ("AZURE_OPENAI_DEPLOYMENT", "d"),
            ("AZURE_OPENAI_AD_TOKEN", "t"),
        ]);
        let builder = OpenAiBuilder::azure_from_vars(token).unwrap();
        assert_eq!(builder.options.key_header, None);
        assert!(builder.build().is_ok());
    }

    #[test]
    fn the_key_is_never_shown() {
        let secret = "sk-very-secret";
        let builder = local()
            .api_key(secret)
            .header("X-Key", secret)
            .query("key", secret);
        let shown = format!("{builder:?}");
        assert!(!shown.contains(secret), "{shown}");
        assert!(shown.contains("X-Key"), "{shown}");
        let provider = builder.build().unwrap();
        assert!(!format!("{provider:?}").contains(secret));
        let error = local().api_key("sk-very-secret\nx").build().unwrap_err();
        assert!(matches!(error, ConfigError::Key));
        assert!(!format!("{error} {error:?}").contains(secret));
        let swapped = local().header("Bearer sk-very-secret", "authorization");
        let error = swapped.build().unwrap_err();
        assert!(!format!("{error} {error:?}").contains(secret));
    }

    #[test]
    fn a_field_that_the_provider_adds_to_must_have_its_form() {
        for (name, wrong, right) in [
            (
                "stream_options",
                Value::from(true),
                serde_json::json!({"a": 1}),
            ),
            ("tools", Value::from("web"), serde_json::json!([])),
        ] {
            let error = local().field(name, wrong.clone()).build().unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
            local().field(name, right).build().unwrap();
        }
        // What it doesn't add to is the server's.
        let builder = local().usage(false).field("stream_options", true);
        builder.build().unwrap();
    }
}
