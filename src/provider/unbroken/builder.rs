use std::{fmt, time::Duration};

use serde_json::Value;

use super::{UnbrokenUpstream, config::UnbrokenConfig, protocol::NATIVE};
use crate::{
    headers::{LAST_EVENT_ID, LAST_LSN, SESSION_ID},
    provider::http::{ConfigError, HttpOptions, Upstream, common_setters},
};

const EXAMPLE: &str = "https://inner.example/api/chat";

/// A builder of an [`UnbrokenUpstream`]. `Debug` doesn't show the key.
#[derive(Clone)]
#[must_use]
pub struct UnbrokenUpstreamBuilder {
    options: HttpOptions,
}

common_setters!(UnbrokenUpstreamBuilder);

impl UnbrokenUpstream {
    /// Creates a provider that calls the server whose native dialect is mounted at this address.
    ///
    /// # Errors
    ///
    /// If it is no address. The error doesn't show it.
    pub fn new(address: impl Into<String>) -> Result<Self, ConfigError> {
        Self::builder(address).build()
    }

    /// Builds a provider that calls the server whose native dialect is mounted at this address. It doesn't connect yet.
    /// A query in the address is kept, after the path.
    pub fn builder(address: impl Into<String>) -> UnbrokenUpstreamBuilder {
        UnbrokenUpstreamBuilder {
            options: HttpOptions::new(&address.into()),
        }
    }
}

impl UnbrokenUpstreamBuilder {
    /// Sets a further field of the request's body, which the other server has to
    /// [open](crate::durable::ClientFields::field). Fields that this provider writes itself, and those of the request,
    /// take precedence.
    pub fn field(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.options.fields.insert(name.into(), value.into());
        self
    }

    /// Builds it. Nothing is connected yet.
    ///
    /// # Errors
    ///
    /// When something is malformed; the error says what, and never shows the key.
    pub fn build(self) -> Result<UnbrokenUpstream, ConfigError> {
        let options = self.options;
        // They name the session and the place in it.
        for own in [SESSION_ID, LAST_LSN, LAST_EVENT_ID] {
            let is_own = |name: &str| name.eq_ignore_ascii_case(own.as_str());
            if options.headers.iter().any(|(name, _)| is_own(name)) {
                return Err(ConfigError::ReservedHeader {
                    name: own.to_string(),
                });
            }
        }
        let upstream = Upstream::new(&options, &NATIVE, EXAMPLE)?;
        let config = UnbrokenConfig {
            model: options.model,
            fields: options.fields,
            max_event_bytes: options.max_event_bytes,
        };
        Ok(UnbrokenUpstream::from_parts(upstream, config))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_says_what_is_wrong() {
        for address in [
            "http://h",
            "http://h/",
            "https://h/api/chat/",
            "http://h/a?b=c",
        ] {
            assert!(UnbrokenUpstream::new(address).is_ok(), "{address}");
        }
        for address in ["", "h/api", "ftp://h", "http://h/#a"] {
            let error = UnbrokenUpstream::new(address).unwrap_err();
            assert!(matches!(error, ConfigError::BaseUrl { .. }), "{error}");
        }
        for header in [
            "X-Session-Id",
            "x-last-lsn",
            "Last-Event-ID",
            "Content-Type",
        ] {
            let error = UnbrokenUpstream::builder("http://h").header(header, "x");
            let error = error.build().unwrap_err();
            assert!(
                matches!(error, ConfigError::ReservedHeader { .. }),
                "{error}"
            );
        }
    }

    #[test]
    fn debug_shows_neither_key_nor_address() {
        let builder = UnbrokenUpstream::builder("http://user:secret@secret/api")
            .api_key("secret")
            .header("X-Team", "secret")
            .query("q", "secret");
        let shown = format!("{builder:?} {:?}", builder.clone().build().unwrap());
        assert!(!shown.contains("secret"), "{shown}");
        assert!(shown.contains("X-Team"), "{shown}");
    }
}
