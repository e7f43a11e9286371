use std::{
    env::{self, VarError},
    fmt,
    time::Duration,
};

use serde_json::{Map, Value};

use super::{Ollama, config::OllamaConfig};
use crate::provider::http::{ConfigError, HttpOptions, Upstream, setters, variable};

const DEFAULT_BASE_URL: &str = "http://127.0.0.1:11434";

/// A builder of an [`Ollama`]. `Debug` doesn't show the key.
#[derive(Clone)]
#[must_use]
pub struct OllamaBuilder {
    options: HttpOptions,
    model_options: Map<String, Value>,
}

setters!(OllamaBuilder);

impl Ollama {
    /// Creates a provider from the environment: `OLLAMA_HOST` (read as Ollama's own client does, an
    /// address with or without scheme and port; `127.0.0.1:11434` unless set), `OLLAMA_API_KEY`
    /// (which only Ollama's cloud needs) and `OLLAMA_MODEL`.
    ///
    /// # Errors
    ///
    /// If a value is missing or malformed. The error never shows the key.
    pub fn from_env() -> Result<Self, ConfigError> {
        OllamaBuilder::from_vars(env::var)?.build()
    }

    /// Builds the provider. It doesn't connect yet.
    ///
    /// # Errors
    ///
    /// If a value is missing or malformed. The error never shows the key.
    pub fn builder() -> OllamaBuilder {
        OllamaBuilder::new()
    }
}

impl OllamaBuilder {
    pub(super) fn new() -> Self {
        Self {
            options: HttpOptions::new(DEFAULT_BASE_URL),
            model_options: Map::new(),
        }
    }

    pub(super) fn from_vars(
        read: impl Fn(&'static str) -> Result<String, VarError>,
    ) -> Result<Self, ConfigError> {
        let mut builder = Self::new();
        if let Some(host) = variable(&read, "OLLAMA_HOST")? {
            builder.options.base_url = base_url(&host);
        }
        builder.options.key = variable(&read, "OLLAMA_API_KEY")?;
        builder.options.model = variable(&read, "OLLAMA_MODEL")?;
        Ok(builder)
    }

    /// Sets the address of the server, up to the part before `/api/chat`. Default
    /// `http://127.0.0.1:11434`.
    pub fn base_url(mut self, base_url: impl Into<String>) -> Self {
        self.options.base_url = base_url.into();
        self
    }

    /// Sets a further field of the request's body, such as `think`, `format` or `keep_alive`.
    /// Fields that this provider writes itself take precedence; its tools are added to `tools`.
    pub fn field(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.options.fields.insert(name.into(), value.into());
        self
    }

    /// Sets one of the model's `options`, such as `num_ctx`, `temperature` or `seed`.
    pub fn option(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.model_options.insert(name.into(), value.into());
        self
    }

    /// Builds it. Nothing is connected yet.
    ///
    /// # Errors
    ///
    /// When something is missing or malformed; the error says what, and never shows the key.
    pub fn build(self) -> Result<Ollama, ConfigError> {
        let upstream = Upstream::new(
            &self.options,
            &["api", "chat"],
            "application/x-ndjson",
            DEFAULT_BASE_URL,
        )?;
        let model = self.options.model.ok_or(ConfigError::NoModel {
            variable: "OLLAMA_MODEL",
        })?;
        Ok(Ollama::new(
            upstream,
            OllamaConfig {
                model,
                fields: self.options.fields,
                options: self.model_options,
                max_event_bytes: self.options.max_event_bytes,
            },
        ))
    }
}

// The server also listens on `OLLAMA_HOST`: it may lack scheme and port, and may be the address of all
// interfaces, to which no client can connect.
fn base_url(host: &str) -> String {
    let (scheme, rest) = host.split_once("://").unwrap_or(("http", host));
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let (name, port) = match authority.rsplit_once(':') {
        // A colon inside brackets is part of an IPv6 address.
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (authority, None),
    };
    let name = match name {
        "" | "0.0.0.0" => "127.0.0.1",
        "[::]" => "[::1]",
        name => name,
    };
    let port = port.unwrap_or(match (scheme, host.contains("://")) {
        ("https", _) => "443",
        ("http", true) => "80",
        _ => "11434",
    });
    format!("{scheme}://{name}:{port}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_read_as_ollama_reads_it() {
        for (host, url) in [
            ("127.0.0.1", "http://127.0.0.1:11434"),
            ("0.0.0.0:8080", "http://127.0.0.1:8080"),
            (":8080", "http://127.0.0.1:8080"),
            ("[::]", "http://[::1]:11434"),
            ("[::1]:8080", "http://[::1]:8080"),
            ("models.example", "http://models.example:11434"),
            ("http://models.example", "http://models.example:80"),
            (
                "https://models.example/ollama",
                "https://models.example:443/ollama",
            ),
            ("http://0.0.0.0:11434/", "http://127.0.0.1:11434/"),
        ] {
            assert_eq!(base_url(host), url, "{host}");
        }
    }

    #[test]
    fn empty_variables_count_as_unset() {
        let builder = OllamaBuilder::from_vars(|name| match name {
            "OLLAMA_MODEL" => Ok(" qwen3\n".to_owned()),
            "OLLAMA_HOST" => Ok("box:1".to_owned()),
            _ => Err(VarError::NotPresent),
        })
        .unwrap();
        assert_eq!(builder.options.model.as_deref(), Some("qwen3"));
        assert_eq!(builder.options.base_url, "http://box:1");
        assert!(builder.build().is_ok());
        let error = Ollama::builder().build().unwrap_err();
        assert!(error.to_string().contains("set OLLAMA_MODEL"), "{error}");
    }

    #[test]
    fn the_key_is_never_shown() {
        let secret = "very-secret";
        let builder = Ollama::builder().model("m").api_key(secret);
        assert!(!format!("{builder:?}").contains(secret));
        let provider = builder.build().unwrap();
        assert!(!format!("{provider:?}").contains(secret));
    }
}
