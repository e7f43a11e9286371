use std::{env::VarError, time::Duration};

use serde_json::{Map, Value};

use super::{ConfigError, Unsupported};
use crate::log::DEFAULT_SESSION_BYTES;

/// Options of any provider over HTTP.
#[derive(Clone)]
pub(crate) struct HttpOptions {
    pub(crate) base_url: String,
    pub(crate) key: Option<String>,
    /// The header that carries the key, in place of a bearer token.
    pub(crate) key_header: Option<String>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) client: Option<reqwest::Client>,
    pub(crate) model: Option<String>,
    pub(crate) fields: Map<String, Value>,
    pub(crate) connect_timeout: Duration,
    pub(crate) idle_timeout: Duration,
    pub(crate) max_event_bytes: usize,
    pub(crate) think_tags: bool,
    pub(crate) retries: u32,
    pub(crate) unsupported: Unsupported,
}

impl HttpOptions {
    pub(crate) fn new(base_url: &str) -> Self {
        Self {
            base_url: base_url.to_owned(),
            key: None,
            key_header: None,
            headers: Vec::new(),
            query: Vec::new(),
            client: None,
            model: None,
            fields: Map::new(),
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(120),
            max_event_bytes: DEFAULT_SESSION_BYTES,
            think_tags: false,
            retries: 2,
            unsupported: Unsupported::Refuse,
        }
    }

    /// Sets a header; a later value replaces an earlier one of the same name.
    pub(crate) fn header(&mut self, name: String, value: String) {
        self.headers
            .retain(|(other, _)| !other.eq_ignore_ascii_case(&name));
        self.headers.push((name, value));
    }

    /// Sets a query parameter; a later value replaces an earlier one of the same name.
    pub(crate) fn query(&mut self, name: String, value: String) {
        self.query.retain(|(other, _)| *other != name);
        self.query.push((name, value));
    }
}

impl HttpOptions {
    /// Checks that a field is an object or not set.
    ///
    /// # Errors
    ///
    /// If it is something else.
    #[cfg(feature = "openai")]
    pub(crate) fn is_object(&self, name: &'static str) -> Result<(), ConfigError> {
        match self.fields.get(name) {
            None | Some(Value::Object(_)) => Ok(()),
            Some(_) => Err(ConfigError::FieldForm {
                name,
                form: "object",
            }),
        }
    }

    /// Checks that a field is a list or not set.
    ///
    /// # Errors
    ///
    /// If it is something else.
    pub(crate) fn is_list(&self, name: &'static str) -> Result<(), ConfigError> {
        match self.fields.get(name) {
            None | Some(Value::Array(_)) => Ok(()),
            Some(_) => Err(ConfigError::FieldForm { name, form: "list" }),
        }
    }
}

/// Returns the names in a list of names and values, for `Debug`: the values may be secret.
pub(crate) fn names(pairs: &[(String, String)]) -> Vec<&str> {
    pairs.iter().map(|(name, _)| name.as_str()).collect()
}

/// Reads an environment variable. An empty one counts as unset.
pub(crate) fn variable(
    read: impl Fn(&'static str) -> Result<String, VarError>,
    name: &'static str,
) -> Result<Option<String>, ConfigError> {
    match read(name) {
        Ok(value) => Ok(Some(value.trim().to_owned()).filter(|value| !value.is_empty())),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => Err(ConfigError::NotUnicode { name }),
    }
}

/// Reads the variables of OpenAI's SDKs, and the model's.
#[cfg(any(feature = "openai", feature = "openai-responses-upstream"))]
pub(crate) fn openai_options(
    options: &mut HttpOptions,
    read: impl Fn(&'static str) -> Result<String, VarError>,
) -> Result<(), ConfigError> {
    const CUSTOM_HEADERS: &str = "OPENAI_CUSTOM_HEADERS";
    if let Some(base_url) = variable(&read, "OPENAI_BASE_URL")? {
        options.base_url = base_url;
    }
    options.key = variable(&read, "OPENAI_API_KEY")?;
    options.model = variable(&read, "OPENAI_MODEL")?;
    for (variable_name, header) in [
        ("OPENAI_ORG_ID", "OpenAI-Organization"),
        ("OPENAI_PROJECT_ID", "OpenAI-Project"),
    ] {
        if let Some(value) = variable(&read, variable_name)? {
            options.header(header.to_owned(), value);
        }
    }
    let lines = variable(&read, CUSTOM_HEADERS)?.unwrap_or_default();
    for line in lines.lines().filter(|line| !line.trim().is_empty()) {
        let (name, value) = line.split_once(':').ok_or(ConfigError::HeaderLines {
            variable: CUSTOM_HEADERS,
        })?;
        options.header(name.trim().to_owned(), value.trim().to_owned());
    }
    Ok(())
}

/// Defines the methods that set [`HttpOptions`] of a model's server on a builder with a field `options`.
#[cfg(any(
    feature = "ollama",
    feature = "openai",
    feature = "openai-responses-upstream"
))]
macro_rules! setters {
    ($Builder:ident) => {
        $crate::provider::http::common_setters!($Builder);

        impl $Builder {
            /// Sets whether text between `<think>` and `</think>` is thinking. Default false. Turn it
            /// on for a server that leaves the tags of its model in the text; it holds for all text,
            /// so that a model that writes about these tags is misread.
            pub fn think_tags(mut self, think_tags: bool) -> Self {
                self.options.think_tags = think_tags;
                self
            }

            /// Leaves parts and options out for which the server has no form, with a warning in the
            /// traces. By default a request with one fails before its first event, with an error that
            /// names it.
            pub fn lenient(mut self) -> Self {
                self.options.unsupported = $crate::provider::http::Unsupported::LeaveOut;
                self
            }
        }
    };
}
#[cfg(any(
    feature = "ollama",
    feature = "openai",
    feature = "openai-responses-upstream"
))]
pub(crate) use setters;

/// Defines the methods that set [`HttpOptions`] of any server on a builder with a field `options`.
macro_rules! common_setters {
    ($Builder:ident) => {
        impl $Builder {
            /// Sets the key, which is sent as a bearer token, or in the
            /// [header of your choice](Self::api_key_header). Local servers often need none.
            pub fn api_key(mut self, key: impl Into<String>) -> Self {
                self.options.key = Some(key.into());
                self
            }

            /// Sets the header that carries the key, in place of `Authorization: Bearer …`. Azure
            /// and some gateways want `api-key` or `x-api-key`.
            pub fn api_key_header(mut self, name: impl Into<String>) -> Self {
                self.options.key_header = Some(name.into());
                self
            }

            /// Sets a header of each request. It replaces one that the provider would send itself,
            /// `Accept`, `User-Agent` and `Authorization` included. Those that describe the body
            /// can't be set. `Debug` shows the name and never the value.
            pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
                self.options.header(name.into(), value.into());
                self
            }

            /// Sets a parameter of the URL's query, such as `api-version`. It replaces one of the
            /// same name in the base URL. `Debug` shows the name and never the value.
            pub fn query(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
                self.options.query(name.into(), value.into());
                self
            }

            /// Sets the HTTP client, for a proxy, a private CA, a client certificate, or connections
            /// that several providers share. The
            /// [module `http`](crate::provider::http#an-http-client-of-ones-own) has an example, and
            /// what such a client replaces.
            pub fn http_client(mut self, client: $crate::provider::http::reqwest::Client) -> Self {
                self.options.client = Some(client);
                self
            }

            /// Sets the model that answers if the request names none.
            pub fn model(mut self, model: impl Into<String>) -> Self {
                self.options.model = Some(model.into());
                self
            }

            /// Sets the time limit of connecting. Default 10 s. A client of your own
            /// ([`http_client`](Self::http_client)) has its own limit.
            pub fn connect_timeout(mut self, timeout: Duration) -> Self {
                self.options.connect_timeout = timeout;
                self
            }

            /// Sets the maximum silence of the server: the time before its response, and the time
            /// without a byte of it. Default 2 minutes: models that think without output, or have to
            /// be loaded first, are silent for long. Comments, pings and empty events count as heard.
            pub fn idle_timeout(mut self, timeout: Duration) -> Self {
                self.options.idle_timeout = timeout;
                self
            }

            /// Sets the maximum size in bytes of one event of the server, of the tool calls of a turn
            /// together, and of an answer in one piece of JSON. Default 16 MiB, as much as a session
            /// takes ([`Limits`](crate::session::Limits#sizes)).
            pub fn max_event_bytes(mut self, max: usize) -> Self {
                self.options.max_event_bytes = max;
                self
            }

            /// Sets the maximum number of retries of a request that failed before its first event.
            /// Default 2. [`http`](crate::provider::http#when-it-is-tried-again) describes which
            /// failures are retried.
            pub fn retries(mut self, retries: u32) -> Self {
                self.options.retries = retries;
                self
            }
        }

        impl fmt::Debug for $Builder {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                use $crate::provider::http::names;
                // The base URL may hold a password.
                f.debug_struct(stringify!($Builder))
                    .field("has_key", &self.options.key.is_some())
                    .field("headers", &names(&self.options.headers))
                    .field("query", &names(&self.options.query))
                    .field("has_client", &self.options.client.is_some())
                    .field("model", &self.options.model)
                    .field("connect_timeout", &self.options.connect_timeout)
                    .field("idle_timeout", &self.options.idle_timeout)
                    .field("retries", &self.options.retries)
                    .finish_non_exhaustive()
            }
        }
    };
}
pub(crate) use common_setters;
