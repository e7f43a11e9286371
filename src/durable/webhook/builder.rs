use std::{fmt, time::Duration};

use reqwest::{Certificate, Client, Url, redirect, retry};

use super::{
    Webhook, WebhookContent, WebhookError,
    handler::DeliveryOptions,
    receiver_url::{origin, receiver_url},
    resolver::CheckedResolver,
    secret::SigningSecret,
};

/// The time for which an unused connection is kept. It is shorter than what common servers wait, so that no delivery
/// meets a connection that is just being closed.
const POOL_IDLE: Duration = Duration::from_secs(4);

/// Less than common receivers take: body-parser of Express takes 100 kB by default.
const MAX_BODY: usize = 64 * 1024;

/// A builder of a [`Webhook`].
///
/// `Debug` shows neither a secret nor the path of the URL.
#[must_use = "a builder does nothing until `build`"]
pub struct WebhookBuilder {
    url: String,
    // The current one first.
    secrets: Vec<String>,
    content: WebhookContent,
    max_body: usize,
    timeout: Duration,
    connect_timeout: Duration,
    pool_idle: Duration,
    roots: Vec<Vec<u8>>,
    http: bool,
    private_addresses: bool,
}

impl WebhookBuilder {
    pub(super) fn new(url: String, secret: String) -> Self {
        Self {
            url,
            secrets: vec![secret],
            content: WebhookContent::default(),
            max_body: MAX_BODY,
            timeout: Duration::from_secs(20),
            connect_timeout: Duration::from_secs(10),
            pool_idle: POOL_IDLE,
            roots: Vec::new(),
            http: false,
            private_addresses: false,
        }
    }

    /// Adds a former secret, with which deliveries are signed too, until all receivers have the new one. A receiver
    /// takes a delivery if one of its signatures fits.
    pub fn former_secret(mut self, secret: impl Into<String>) -> Self {
        self.secrets.push(secret.into());
        self
    }

    /// Sets the content that is sent. Default [`WebhookContent::Answer`].
    pub fn content(mut self, content: WebhookContent) -> Self {
        self.content = content;
        self
    }

    /// Sets the maximum size of a body with content, in bytes. Default 64 KiB, which common receivers take.
    ///
    /// The content of a longer one is left out, and its `contentOmitted` is true. A receiver that answers 413 to a
    /// body with content gets the ending once more without it, in the same attempt.
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// Sets the time limit of one attempt, from the look-up of the host to the head of the response. Default 20
    /// seconds.
    ///
    /// [`Outbox::webhook`](crate::durable::Outbox::webhook) gives a delivery 10 seconds more, for the log. A handler of
    /// your own that calls [`deliver`](Webhook::deliver) sets [`Outbox::timeout`](crate::durable::Outbox::timeout) above
    /// this, or attempts are cut short.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the time limit of connecting, the look-up and TLS included. Default 10 seconds.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Adds root certificates in PEM, of a private CA, to those of the system.
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.roots.push(pem.into());
        self
    }

    /// Allows a URL of `http`, for a receiver in a network of your own. All on the way can read what is sent.
    ///
    /// That includes the id of the session, with [`WebhookContent::Omit`] too. Under
    /// [`AnyoneWithTheId`](crate::access::AnyoneWithTheId) it is all that reading, stopping or deleting the session
    /// takes.
    pub fn allow_http(mut self) -> Self {
        self.http = true;
        self
    }

    /// Allows addresses that are not of the public internet: loopback, private networks, link-local and others. Only
    /// for a receiver of your own, never for URLs that users choose: they would reach what only this server can.
    pub fn allow_private_addresses(mut self) -> Self {
        self.private_addresses = true;
        self
    }

    /// Builds the webhook. It doesn't connect yet.
    ///
    /// It reads the certificates of the system and has its own connections: build once, and keep it. For further
    /// receivers there is [`Webhook::to`].
    ///
    /// # Errors
    ///
    /// If the URL, a secret or a certificate is malformed, or the URL is not allowed.
    pub fn build(self) -> Result<Webhook, WebhookError> {
        let resolver = CheckedResolver::new(self.private_addresses);
        self.build_with(resolver)
    }

    pub(super) fn build_with(self, resolver: CheckedResolver) -> Result<Webhook, WebhookError> {
        let url = receiver_url(&self.url, self.http, self.private_addresses)?;
        let secrets = self.secrets.iter().map(|text| SigningSecret::parse(text));
        let secrets = secrets.collect::<Result<Vec<_>, _>>()?;
        let client = self.client(resolver)?;
        let options = DeliveryOptions {
            client,
            http: self.http,
            private_addresses: self.private_addresses,
            content: self.content,
            max_body: self.max_body,
            timeout: self.timeout,
        };
        Ok(Webhook::of(url, secrets, options))
    }

    fn client(&self, resolver: CheckedResolver) -> Result<Client, WebhookError> {
        let mut roots = Vec::new();
        for pem in &self.roots {
            let found = Certificate::from_pem_bundle(pem);
            let found = found.map_err(|_| WebhookError::RootCertificates)?;
            if found.is_empty() {
                return Err(WebhookError::RootCertificates);
            }
            roots.extend(found);
        }
        let client = Client::builder()
            .user_agent(concat!("unbroken/", env!("CARGO_PKG_VERSION")))
            .timeout(self.timeout)
            .connect_timeout(self.connect_timeout)
            .pool_idle_timeout(self.pool_idle)
            .redirect(redirect::Policy::none())
            // The outbox tries again, and counts.
            .retry(retry::never())
            // Other crates may turn on other versions of HTTP, and other libraries for TLS.
            .http1_only()
            .tls_backend_rustls()
            // A proxy would connect in our place, to an address that nobody has checked.
            .no_proxy()
            .dns_resolver(resolver)
            .https_only(!self.http);
        let client = if roots.is_empty() {
            client
        } else {
            client.tls_certs_merge(roots)
        };
        client.build().map_err(|error| WebhookError::Client {
            source: error.without_url().into(),
        })
    }
}

#[cfg(test)]
impl WebhookBuilder {
    /// Sets the time for which an unused connection is kept.
    pub(super) fn pool_idle(mut self, idle: Duration) -> Self {
        self.pool_idle = idle;
        self
    }
}

impl fmt::Debug for WebhookBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = Url::parse(&self.url).ok();
        f.debug_struct("WebhookBuilder")
            .field("origin", &url.as_ref().map(origin))
            .field("secrets", &self.secrets.len())
            .field("content", &self.content)
            .field("max_body", &self.max_body)
            .field("timeout", &self.timeout)
            .field("connect_timeout", &self.connect_timeout)
            .field("pool_idle", &self.pool_idle)
            .field("root_certificates", &self.roots.len())
            .field("http", &self.http)
            .field("private_addresses", &self.private_addresses)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn error_of(builder: WebhookBuilder) -> WebhookError {
        builder.build().expect_err("it is refused")
    }

    #[test]
    fn the_url_is_checked_and_each_allowance_is_its_own() {
        let build = |url: &str, http: bool, private: bool| {
            let builder = Webhook::builder(url, SECRET);
            let builder = if http { builder.allow_http() } else { builder };
            let builder = if private {
                builder.allow_private_addresses()
            } else {
                builder
            };
            builder.build()
        };
        let refused = build("http://127.0.0.1/", false, true);
        assert!(matches!(refused, Err(WebhookError::NotHttps)));
        let refused = build("http://127.0.0.1/", true, false);
        assert!(matches!(refused, Err(WebhookError::PrivateAddress)));
        build("http://127.0.0.1/", true, true).unwrap();
        let never_sent = build("https://exa`mple.com/", true, true);
        assert!(matches!(never_sent, Err(WebhookError::Url)));
    }

    #[test]
    fn each_secret_is_checked() {
        let url = "https://example.com/";
        assert!(matches!(
            error_of(Webhook::builder(url, "secret")),
            WebhookError::Secret
        ));
        let former = Webhook::builder(url, SECRET).former_secret("whsec_AAAA");
        let error = error_of(former);
        assert!(matches!(error, WebhookError::SecretLength { bytes: 3 }));
    }

    #[test]
    fn root_certificates_are_pem() {
        for pem in [
            "",
            "no certificate",
            "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----",
        ] {
            let builder = Webhook::builder("https://example.com/", SECRET);
            let error = error_of(builder.root_certificates(pem));
            assert!(matches!(error, WebhookError::RootCertificates), "{pem}");
        }
    }

    #[test]
    fn debug_shows_neither_a_secret_nor_the_path() {
        let url = "https://example.com:8443/path-key?query-key";
        let builder = Webhook::builder(url, SECRET).former_secret(SECRET.replace('M', "N"));
        let shown = format!("{builder:?}");
        let shown = format!("{shown} {:?}", builder.build().unwrap());
        for hidden in ["path-key", "query-key", "KQ9r8GKYq"] {
            assert!(!shown.contains(hidden), "{shown}");
        }
        let origins = shown.matches("https://example.com:8443").count();
        assert_eq!(origins, 2, "{shown}");
    }
}
