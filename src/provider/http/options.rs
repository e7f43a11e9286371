use std::{env::VarError, time::Duration};

use serde_json::{Map, Value};

use super::ConfigError;

/// Options of any provider over HTTP.
#[derive(Clone)]
pub(crate) struct HttpOptions {
    pub(crate) base_url: String,
    pub(crate) key: Option<String>,
    pub(crate) model: Option<String>,
    pub(crate) fields: Map<String, Value>,
    pub(crate) connect_timeout: Duration,
    pub(crate) idle_timeout: Duration,
    pub(crate) max_event_bytes: usize,
    pub(crate) retries: u32,
}

impl HttpOptions {
    pub(crate) fn new(base_url: &str) -> Self {
        Self {
            base_url: base_url.to_owned(),
            key: None,
            model: None,
            fields: Map::new(),
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(120),
            max_event_bytes: 1024 * 1024,
            retries: 2,
        }
    }
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

/// Defines the methods that set [`HttpOptions`] on a builder with a field `options`.
macro_rules! setters {
    ($Builder:ident) => {
        impl $Builder {
            /// Sets the key, which is sent as a bearer token. Local servers often need none.
            pub fn api_key(mut self, key: impl Into<String>) -> Self {
                self.options.key = Some(key.into());
                self
            }

            /// Sets the model that answers if the request names none.
            pub fn model(mut self, model: impl Into<String>) -> Self {
                self.options.model = Some(model.into());
                self
            }

            /// Sets the time limit of connecting. Default 10 s.
            pub fn connect_timeout(mut self, timeout: Duration) -> Self {
                self.options.connect_timeout = timeout;
                self
            }

            /// Sets the maximum silence of the server, before its response and between two events.
            /// Default 2 minutes: models that think without output, or have to be loaded first, are
            /// silent for long.
            pub fn idle_timeout(mut self, timeout: Duration) -> Self {
                self.options.idle_timeout = timeout;
                self
            }

            /// Sets the maximum size in bytes of one event of the server, and of the tool calls of
            /// a turn together. Default 1 MiB.
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
                // The base URL may hold a password.
                f.debug_struct(stringify!($Builder))
                    .field("has_key", &self.options.key.is_some())
                    .field("model", &self.options.model)
                    .field("connect_timeout", &self.options.connect_timeout)
                    .field("idle_timeout", &self.options.idle_timeout)
                    .field("retries", &self.options.retries)
                    .finish_non_exhaustive()
            }
        }
    };
}
pub(crate) use setters;
