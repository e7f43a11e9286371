use std::time::Duration;

use bytes::Bytes;
use reqwest::{
    Client, RequestBuilder, Url,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
    redirect,
};

use super::{ConfigError, HttpOptions, Protocol};

// They describe the body of the request, or ask for a response that isn't understood here.
const RESERVED: [&str; 6] = [
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "transfer-encoding",
];

/// A server to call: its address, credentials and timeouts.
pub(crate) struct Upstream {
    client: Client,
    url: Url,
    headers: HeaderMap,
    protocol: &'static Protocol,
    max_body_bytes: usize,
    idle_timeout: Duration,
    retries: u32,
    has_key: bool,
}

impl Upstream {
    /// Creates an upstream of a server that speaks this protocol.
    ///
    /// # Errors
    ///
    /// If the options are malformed.
    pub(crate) fn new(
        options: &HttpOptions,
        protocol: &'static Protocol,
        example: &'static str,
    ) -> Result<Self, ConfigError> {
        let url = endpoint(options, protocol.path, example)?;
        let headers = headers(options, protocol.accept)?;
        let key_header = options.key_header.as_deref().unwrap_or("authorization");
        let client = match &options.client {
            Some(client) => client.clone(),
            None => default_client(options.connect_timeout)?,
        };
        Ok(Self {
            client,
            url,
            has_key: headers.contains_key(key_header),
            headers,
            protocol,
            max_body_bytes: options.max_event_bytes,
            idle_timeout: options.idle_timeout,
            retries: options.retries,
        })
    }

    pub(crate) fn post(&self, body: Bytes) -> RequestBuilder {
        let request = self.client.post(self.url.clone());
        request.headers(self.headers.clone()).body(body)
    }

    /// Creates a request of what stands under the path of the protocol.
    #[cfg(any(feature = "openai-responses-upstream", feature = "unbroken-upstream"))]
    pub(crate) fn get(&self, path: &[&str], query: &[(&str, &str)]) -> RequestBuilder {
        let mut headers = self.headers.clone();
        headers.remove(CONTENT_TYPE);
        let mut url = self.under(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.client.get(url).headers(headers)
    }

    /// Creates a request without a body to what stands under the path of the protocol.
    #[cfg(any(feature = "openai-responses-upstream", feature = "unbroken-upstream"))]
    pub(crate) fn post_to(&self, path: &[&str]) -> RequestBuilder {
        let request = self.client.post(self.under(path));
        request.headers(self.headers.clone()).body("{}")
    }

    #[cfg(any(feature = "openai-responses-upstream", feature = "unbroken-upstream"))]
    fn under(&self, path: &[&str]) -> Url {
        let mut url = self.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.extend(path);
        }
        url
    }

    pub(super) fn protocol(&self) -> &'static Protocol {
        self.protocol
    }

    /// Returns the maximum size of a body that is no stream.
    pub(super) fn max_body_bytes(&self) -> usize {
        self.max_body_bytes
    }

    #[cfg(any(feature = "openai", feature = "openai-responses-upstream"))]
    pub(crate) fn host(&self) -> Option<&str> {
        self.url.host_str()
    }

    pub(crate) fn has_key(&self) -> bool {
        self.has_key
    }

    pub(crate) fn idle_timeout(&self) -> Duration {
        self.idle_timeout
    }

    pub(crate) fn retries(&self) -> u32 {
        self.retries
    }
}

fn default_client(connect_timeout: Duration) -> Result<Client, ConfigError> {
    Client::builder()
        .user_agent(concat!("unbroken/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(connect_timeout)
        .redirect(redirect::Policy::none())
        // Another crate of the program may turn these features of reqwest on. A compressed answer is an error
        // that names it, and none is asked for: its events would wait for the compressor.
        .no_gzip()
        .no_brotli()
        .no_zstd()
        .no_deflate()
        .build()
        .map_err(|error| ConfigError::Client {
            source: error.without_url().into(),
        })
}

fn endpoint(
    options: &HttpOptions,
    path: &[&str],
    example: &'static str,
) -> Result<Url, ConfigError> {
    let malformed = || ConfigError::BaseUrl { example };
    let mut url = Url::parse(&options.base_url).map_err(|_| malformed())?;
    if url.fragment().is_some() || !matches!(url.scheme(), "http" | "https") {
        return Err(malformed());
    }
    let added = format!("/{}", path.join("/"));
    if url.path().trim_end_matches('/').ends_with(&added) {
        return Err(ConfigError::WholeUrl { path: added });
    }
    let mut segments = url.path_segments_mut().map_err(|()| malformed())?;
    segments.pop_if_empty().extend(path);
    drop(segments);
    if !options.query.is_empty() {
        let replaced = |name: &str| options.query.iter().any(|(other, _)| other == name);
        let kept: Vec<(String, String)> = url
            .query_pairs()
            .filter(|(name, _)| !replaced(name))
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        url.query_pairs_mut()
            .clear()
            .extend_pairs(kept.iter().chain(&options.query));
    }
    Ok(url)
}

fn headers(options: &HttpOptions, accept: &'static str) -> Result<HeaderMap, ConfigError> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT, HeaderValue::from_static(accept));
    if let Some(key) = options.key.as_deref().filter(|key| !key.is_empty()) {
        let (name, value) = match &options.key_header {
            Some(name) => (header_name(name)?, HeaderValue::try_from(key)),
            None => (
                AUTHORIZATION,
                HeaderValue::try_from(format!("Bearer {key}")),
            ),
        };
        headers.insert(name, secret(value.map_err(|_| ConfigError::Key)?));
    }
    for (name, value) in &options.headers {
        let name = header_name(name)?;
        let value = HeaderValue::try_from(value).map_err(|_| ConfigError::HeaderValue {
            name: name.to_string(),
        })?;
        headers.insert(name, secret(value));
    }
    Ok(headers)
}

fn header_name(name: &str) -> Result<HeaderName, ConfigError> {
    let name = HeaderName::try_from(name).map_err(|_| ConfigError::HeaderName)?;
    if RESERVED.contains(&name.as_str()) {
        return Err(ConfigError::ReservedHeader {
            name: name.to_string(),
        });
    }
    Ok(name)
}

fn secret(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}
