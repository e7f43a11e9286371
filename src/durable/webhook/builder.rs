use std::{fmt, net::IpAddr, time::Duration};

use reqwest::{Certificate, Client, Url, redirect};

use super::{
    Webhook, WebhookContent, WebhookError,
    address::is_public,
    handler::{Receiver, origin},
    resolver::CheckedResolver,
    secret::SigningSecret,
};

/// The time for which an unused connection is kept. It is shorter than what common servers wait, so that no delivery
/// meets a connection that is just being closed.
const POOL_IDLE: Duration = Duration::from_secs(4);

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
            max_body: 1024 * 1024,
            timeout: Duration::from_secs(20),
            connect_timeout: Duration::from_secs(10),
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

    /// Sets the maximum size of a body with content, in bytes. Default 1 MiB, which most receivers take.
    ///
    /// The content of a longer one is left out, and its `contentOmitted` is true. Without that a receiver with a lower
    /// limit would refuse the ending each time, until it is given up.
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// Sets the time limit of one attempt, from the look-up of the host to the head of the response. Default 20
    /// seconds.
    ///
    /// [`Outbox::webhook`](crate::durable::Outbox::webhook) gives a delivery 10 seconds more, for the log.
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
    /// # Errors
    ///
    /// If the URL, a secret or a certificate is malformed, or the URL is not allowed.
    pub fn build(self) -> Result<Webhook, WebhookError> {
        let resolver = CheckedResolver::new(self.private_addresses);
        self.build_with(resolver)
    }

    pub(super) fn build_with(self, resolver: CheckedResolver) -> Result<Webhook, WebhookError> {
        let url = self.checked_url()?;
        let secrets = self.secrets.iter().map(|text| SigningSecret::parse(text));
        let secrets = secrets.collect::<Result<Vec<_>, _>>()?;
        let client = self.client(resolver)?;
        Ok(Webhook::of(Receiver {
            client,
            url,
            secrets,
            content: self.content,
            max_body: self.max_body,
            timeout: self.timeout,
        }))
    }

    fn checked_url(&self) -> Result<Url, WebhookError> {
        let url = Url::parse(&self.url).map_err(|_| WebhookError::Url)?;
        match url.scheme() {
            "https" => {}
            "http" if self.http => {}
            "http" => return Err(WebhookError::NotHttps),
            _ => return Err(WebhookError::Url),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(WebhookError::UserInfo);
        }
        let host = url.host_str().ok_or(WebhookError::Url)?;
        // The resolver isn't asked about these.
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        match bare.parse::<IpAddr>() {
            Ok(address) if !self.private_addresses && !is_public(address) => {
                Err(WebhookError::PrivateAddress)
            }
            _ => Ok(url),
        }
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
            .pool_idle_timeout(POOL_IDLE)
            .redirect(redirect::Policy::none())
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
    fn only_https_is_allowed_unless_http_is() {
        let http = "http://example.com/hook";
        assert!(matches!(
            error_of(Webhook::builder(http, SECRET)),
            WebhookError::NotHttps
        ));
        Webhook::builder(http, SECRET).allow_http().build().unwrap();
        Webhook::new("https://example.com/hook", SECRET).unwrap();
        for other in [
            "",
            "/hook",
            "example.com/hook",
            "ftp://example.com/hook",
            "file:///etc/passwd",
            "data:,x",
            "https://",
        ] {
            let error = error_of(Webhook::builder(other, SECRET).allow_http());
            assert!(matches!(error, WebhookError::Url), "{other}: {error}");
        }
    }

    #[test]
    fn a_url_with_user_info_is_refused() {
        for url in [
            "https://me@example.com/",
            "https://me:pass@example.com/",
            "https://:pass@example.com/",
        ] {
            let error = error_of(Webhook::builder(url, SECRET));
            assert!(matches!(error, WebhookError::UserInfo), "{url}");
            assert!(!error.to_string().contains("pass@"), "{error}");
        }
    }

    /// However the address is written.
    #[test]
    fn an_address_in_the_url_is_checked_when_the_webhook_is_built() {
        for host in [
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0177.0.0.1",
            "127.0.0.1.",
            "10.1.2.3:8443",
            "169.254.169.254",
            "[::1]",
            "[::ffff:10.0.0.1]",
            "[64:ff9b::a9fe:a9fe]",
            "[fd00:ec2::254]",
            "１２７.0.0.1",
        ] {
            let url = format!("https://{host}/hook");
            let error = error_of(Webhook::builder(&*url, SECRET));
            assert!(matches!(error, WebhookError::PrivateAddress), "{url}");
            let allowed = Webhook::builder(url, SECRET).allow_private_addresses();
            allowed.build().unwrap();
        }
        Webhook::new("https://93.184.215.14/hook", SECRET).unwrap();
        Webhook::new("https://[2606:4700::1111]/hook", SECRET).unwrap();
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
