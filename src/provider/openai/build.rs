use std::{env::VarError, fmt, time::Duration};

use reqwest::{Client, Url, header::HeaderValue, redirect};
use serde_json::{Map, Value};

use super::{OpenAi, service::Config};
use crate::BoxError;

const DEFAULT_BASE_URL: &str = "https://api.openai.com/v1";

/// Builds an [`OpenAi`]. Its `Debug` doesn't show the key.
#[derive(Clone)]
#[must_use]
pub struct OpenAiBuilder {
    base_url: String,
    key: Option<String>,
    model: Option<String>,
    fields: Map<String, Value>,
    usage: bool,
    connect_timeout: Duration,
    idle_timeout: Duration,
    max_event_bytes: usize,
}

/// Why an [`OpenAi`] could not be built.
///
/// Its `Debug` is its `Display`, with the cause: that is what a `main` that returns it shows.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// No model was named.
    #[error("no model is named; set OPENAI_MODEL, or call `model` on the builder")]
    NoModel,
    /// OpenAI's own server was meant, and no key was given.
    #[error(
        "OpenAI's server wants a key; set OPENAI_API_KEY, or OPENAI_BASE_URL to another server"
    )]
    NoKey,
    /// The base URL is not an address.
    #[error(
        "the base URL is not an http or https address without query; it looks like \
         {DEFAULT_BASE_URL}"
    )]
    BaseUrl,
    /// The key holds what a header can't.
    #[error("the key holds characters that a header can't; was it copied with a line break?")]
    Key,
    /// An environment variable is not text.
    #[error("the environment variable {name} is not valid UTF-8")]
    NotUnicode {
        /// Which.
        name: &'static str,
    },
    /// The HTTP client could not be set up.
    #[error("the HTTP client could not be set up")]
    Client {
        /// What it said.
        source: BoxError,
    },
}

impl OpenAiBuilder {
    pub(super) fn new() -> Self {
        Self {
            base_url: DEFAULT_BASE_URL.to_owned(),
            key: None,
            model: None,
            fields: Map::new(),
            usage: true,
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(120),
            max_event_bytes: 1024 * 1024,
        }
    }

    pub(super) fn from_vars(
        read: impl Fn(&'static str) -> Result<String, VarError>,
    ) -> Result<Self, ConfigError> {
        // A variable that is set to nothing is as good as unset.
        let variable = |name| match read(name) {
            Ok(value) => Ok(Some(value.trim().to_owned()).filter(|value| !value.is_empty())),
            Err(VarError::NotPresent) => Ok(None),
            Err(VarError::NotUnicode(_)) => Err(ConfigError::NotUnicode { name }),
        };
        let mut builder = Self::new();
        if let Some(base_url) = variable("OPENAI_BASE_URL")? {
            builder.base_url = base_url;
        }
        builder.key = variable("OPENAI_API_KEY")?;
        builder.model = variable("OPENAI_MODEL")?;
        Ok(builder)
    }

    /// Where the server is, up to the part before `/chat/completions`. OpenAI's own unless named.
    pub fn base_url(mut self, base_url: impl Into<String>) -> Self {
        self.base_url = base_url.into();
        self
    }

    /// The key, sent as a bearer token. Servers on one's own machine often want none.
    pub fn api_key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// The model that answers where the request names none.
    pub fn model(mut self, model: impl Into<String>) -> Self {
        self.model = Some(model.into());
        self
    }

    /// A further field of the request's body, such as `temperature`, `max_completion_tokens` or
    /// `reasoning_effort`. What this provider writes by itself wins over it; tools are added to its
    /// `tools`.
    pub fn field(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.fields.insert(name.into(), value.into());
        self
    }

    /// Whether to ask for the usage (`stream_options`); on unless turned off, for servers that
    /// refuse to be asked.
    pub fn usage(mut self, usage: bool) -> Self {
        self.usage = usage;
        self
    }

    /// How long connecting may take. 10 s unless set.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long the server may say nothing, before its response and between two events. 2 minutes
    /// unless set: models that think in secret are silent for long.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = timeout;
        self
    }

    /// How many bytes one event of the server may have, and the tool calls of a turn together. 1 MiB
    /// unless set.
    pub fn max_event_bytes(mut self, max: usize) -> Self {
        self.max_event_bytes = max;
        self
    }

    /// Builds it. Nothing is connected yet.
    ///
    /// # Errors
    ///
    /// When something is missing or malformed; the error says what, and never shows the key.
    pub fn build(self) -> Result<OpenAi, ConfigError> {
        let model = self.model.ok_or(ConfigError::NoModel)?;
        let url = endpoint(&self.base_url).ok_or(ConfigError::BaseUrl)?;
        let authorization = self
            .key
            .as_deref()
            .filter(|key| !key.is_empty())
            .map(bearer)
            .transpose()?;
        if authorization.is_none() && url.host_str() == Some("api.openai.com") {
            return Err(ConfigError::NoKey);
        }
        let client = Client::builder()
            .user_agent(concat!("unbroken/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(self.connect_timeout)
            .redirect(redirect::Policy::none())
            .build()
            .map_err(|error| ConfigError::Client {
                source: error.without_url().into(),
            })?;
        Ok(OpenAi::new(
            client,
            Config {
                url,
                authorization,
                model,
                fields: self.fields,
                usage: self.usage,
                idle_timeout: self.idle_timeout,
                max_event_bytes: self.max_event_bytes,
            },
        ))
    }
}

impl fmt::Debug for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client { source } => write!(f, "{self}: {source}"),
            _ => fmt::Display::fmt(self, f),
        }
    }
}

impl fmt::Debug for OpenAiBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The base URL may hold a password.
        f.debug_struct("OpenAiBuilder")
            .field("has_key", &self.key.is_some())
            .field("model", &self.model)
            .field("connect_timeout", &self.connect_timeout)
            .field("idle_timeout", &self.idle_timeout)
            .finish_non_exhaustive()
    }
}

fn endpoint(base_url: &str) -> Option<Url> {
    let mut url = Url::parse(base_url).ok()?;
    let plain = url.query().is_none() && url.fragment().is_none();
    if !plain || !matches!(url.scheme(), "http" | "https") {
        return None;
    }
    url.path_segments_mut()
        .ok()?
        .pop_if_empty()
        .extend(["chat", "completions"]);
    Some(url)
}

fn bearer(key: &str) -> Result<HeaderValue, ConfigError> {
    let mut value = HeaderValue::try_from(format!("Bearer {key}")).map_err(|_| ConfigError::Key)?;
    value.set_sensitive(true);
    Ok(value)
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
    fn what_is_missing_is_said() {
        assert!(local().build().is_ok());
        let error = OpenAi::builder().api_key("k").build().unwrap_err();
        assert!(matches!(error, ConfigError::NoModel));
        assert!(
            format!("{error:?}").contains("set OPENAI_MODEL"),
            "as a `main` shows it"
        );
        let error = OpenAi::builder().model("m").build().unwrap_err();
        assert!(matches!(error, ConfigError::NoKey));
        for bad in [
            "",
            "localhost:8080",
            "ftp://host/v1",
            "http://",
            "http://h/v1?a=b",
        ] {
            let error = local().base_url(bad).build().unwrap_err();
            assert!(matches!(error, ConfigError::BaseUrl), "{bad}: {error}");
        }
    }

    #[test]
    fn variables_are_taken_where_they_are_set_to_something() {
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
        assert_eq!(builder.key, None);
        assert_eq!(builder.base_url, "http://127.0.0.1:1/v1");
        assert!(builder.build().is_ok());

        let builder = from(&[("OPENAI_API_KEY", "k"), ("OPENAI_MODEL", "m")]).unwrap();
        assert_eq!(builder.base_url, DEFAULT_BASE_URL);
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
