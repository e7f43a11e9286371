use std::time::Duration;

use bytes::Bytes;
use reqwest::{
    Client, RequestBuilder, Url,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue},
    redirect,
};

use super::{ConfigError, HttpOptions};

/// A server to call: its address, credentials and timeouts.
pub(crate) struct Upstream {
    client: Client,
    url: Url,
    accept: &'static str,
    authorization: Option<HeaderValue>,
    idle_timeout: Duration,
    retries: u32,
}

impl Upstream {
    /// Creates an upstream at `path` under the base URL.
    ///
    /// # Errors
    ///
    /// If the options are malformed.
    pub(crate) fn new(
        options: &HttpOptions,
        path: &[&str],
        accept: &'static str,
        example: &'static str,
    ) -> Result<Self, ConfigError> {
        let url = endpoint(&options.base_url, path).ok_or(ConfigError::BaseUrl { example })?;
        let authorization = options
            .key
            .as_deref()
            .filter(|key| !key.is_empty())
            .map(bearer)
            .transpose()?;
        let client = Client::builder()
            .user_agent(concat!("unbroken/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(options.connect_timeout)
            .redirect(redirect::Policy::none())
            .build()
            .map_err(|error| ConfigError::Client {
                source: error.without_url().into(),
            })?;
        Ok(Self {
            client,
            url,
            accept,
            authorization,
            idle_timeout: options.idle_timeout,
            retries: options.retries,
        })
    }

    pub(super) fn post(&self, body: Bytes) -> RequestBuilder {
        let mut request = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, self.accept)
            .body(body);
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        request
    }

    #[cfg(feature = "openai")]
    pub(crate) fn host(&self) -> Option<&str> {
        self.url.host_str()
    }

    pub(crate) fn has_key(&self) -> bool {
        self.authorization.is_some()
    }

    pub(crate) fn idle_timeout(&self) -> Duration {
        self.idle_timeout
    }

    pub(super) fn retries(&self) -> u32 {
        self.retries
    }
}

fn endpoint(base_url: &str, path: &[&str]) -> Option<Url> {
    let mut url = Url::parse(base_url).ok()?;
    let plain = url.query().is_none() && url.fragment().is_none();
    if !plain || !matches!(url.scheme(), "http" | "https") {
        return None;
    }
    url.path_segments_mut().ok()?.pop_if_empty().extend(path);
    Some(url)
}

fn bearer(key: &str) -> Result<HeaderValue, ConfigError> {
    let mut value = HeaderValue::try_from(format!("Bearer {key}")).map_err(|_| ConfigError::Key)?;
    value.set_sensitive(true);
    Ok(value)
}
