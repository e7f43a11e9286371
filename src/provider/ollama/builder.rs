use std::{
    env::{self, VarError},
    fmt,
    time::Duration,
};

use serde_json::{Map, Value};

use super::{Ollama, config::OllamaConfig, protocol::OLLAMA_CHAT};
use crate::provider::http::{ConfigError, HttpOptions, Upstream, setters, variable};

const DEFAULT_BASE_URL: &str = "http://127.0.0.1:11434";

/// A builder of an [`Ollama`]. `Debug` doesn't show the key.
#[derive(Clone)]
#[must_use]
pub struct OllamaBuilder {
    options: HttpOptions,
    model_options: Map<String, Value>,
    continues: bool,
}

setters!(OllamaBuilder);

impl Ollama {
    /// Creates a provider from the environment, as [`OllamaBuilder::from_env`] reads it.
    ///
    /// # Errors
    ///
    /// If a value is missing or malformed. The error never shows the key.
    pub fn from_env() -> Result<Self, ConfigError> {
        OllamaBuilder::from_env()?.build()
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
            continues: true,
        }
    }

    /// Creates a builder from the environment. The variables are those of Ollama's own clients, but for
    /// the model:
    ///
    /// | variable | meaning |
    /// |---|---|
    /// | `OLLAMA_MODEL` | the [model](Self::model) |
    /// | `OLLAMA_HOST` | the server, with or without scheme and port; `127.0.0.1:11434` unless set. `ollama.com` is Ollama's cloud. The address of all interfaces, to which the server of the same machine may be set, stands for the machine itself |
    /// | `OLLAMA_API_KEY` | the [key](Self::api_key), which only Ollama's cloud needs |
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
        if let Some(host) = variable(&read, "OLLAMA_HOST")? {
            builder.options.base_url = base_url(&host);
        }
        builder.options.key = variable(&read, "OLLAMA_API_KEY")?;
        builder.options.model = variable(&read, "OLLAMA_MODEL")?;
        Ok(builder)
    }

    /// Sets the address of the server, up to the part before `/api/chat`. Default
    /// `http://127.0.0.1:11434`. A query in it is kept, after the path.
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

    /// Sets whether the model goes on from a partial answer at the end of the messages
    /// ([`RecoveryWay::Resume`](crate::durable::RecoveryWay::Resume)). Default true; set it to false for a model whose
    /// template begins a new message, so that the provider [declines](crate::chat::ProviderError::cannot_continue).
    pub fn continue_final_message(mut self, continues: bool) -> Self {
        self.continues = continues;
        self
    }

    /// Builds it. Nothing is connected yet.
    ///
    /// # Errors
    ///
    /// When something is missing or malformed; the error says what, and never shows the key.
    pub fn build(self) -> Result<Ollama, ConfigError> {
        let upstream = Upstream::new(&self.options, &OLLAMA_CHAT, DEFAULT_BASE_URL)?;
        self.options.is_list("tools")?;
        let model = self.options.model.ok_or(ConfigError::NoModel {
            variable: "OLLAMA_MODEL",
        })?;
        Ok(Ollama::new(
            upstream,
            OllamaConfig {
                model,
                fields: self.options.fields,
                options: self.model_options,
                continues: self.continues,
                unsupported: self.options.unsupported,
                max_event_bytes: self.options.max_event_bytes,
                think_tags: self.options.think_tags,
            },
        ))
    }
}

// By the rules of Ollama's `envconfig.Host`. The server also listens on `OLLAMA_HOST`: it may be the
// address of all interfaces, to which no client can connect.
fn base_url(host: &str) -> String {
    const CLOUD: &str = "ollama.com";
    let host = host.trim().trim_matches(['"', '\'']).trim();
    let (scheme, rest) = match host.split_once("://") {
        Some(parts) => parts,
        None if host == CLOUD => ("https", host),
        None => ("http", host),
    };
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let default_port = match (scheme, host.contains("://")) {
        ("https", _) => "443",
        ("http", true) => "80",
        _ => "11434",
    };
    let is_port = |port: &&str| port.parse::<u16>().is_ok();
    let (name, port) = match authority.rsplit_once(':') {
        // More colons are an IPv6 address, whose port stands after brackets.
        Some((name, port)) if !name.contains(':') || name.ends_with(']') => {
            (name, Some(port).filter(is_port))
        }
        _ => (authority, None),
    };
    let name = match name.trim_matches(['[', ']']) {
        "" | "0.0.0.0" => "127.0.0.1".to_owned(),
        "::" => "[::1]".to_owned(),
        name if name.contains(':') => format!("[{name}]"),
        name => name.to_owned(),
    };
    let port = port.unwrap_or(default_port);
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
            ("\"127.0.0.1:1\" ", "http://127.0.0.1:1"),
            ("ollama.com", "https://ollama.com:443"),
            ("::1", "http://[::1]:11434"),
            ("fe80::1:2", "http://[fe80::1:2]:11434"),
            ("::", "http://[::1]:11434"),
            ("https://[::1]", "https://[::1]:443"),
            ("box:no-port", "http://box:11434"),
            ("https://box:70000", "https://box:443"),
            ("", "http://127.0.0.1:11434"),
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
