use std::net::IpAddr;

use reqwest::Url;

use super::{WebhookError, address::is_public};

/// Reads the URL of a receiver, if it may be called.
pub(super) fn receiver_url(
    text: &str,
    http: bool,
    private_addresses: bool,
) -> Result<Url, WebhookError> {
    let url = Url::parse(text).map_err(|_| WebhookError::Url)?;
    match url.scheme() {
        "https" => {}
        "http" if http => {}
        "http" => return Err(WebhookError::NotHttps),
        _ => return Err(WebhookError::Url),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(WebhookError::UserInfo);
    }
    // The client sends nothing to a URL that isn't one of these too.
    if url.as_str().parse::<http::Uri>().is_err() {
        return Err(WebhookError::Url);
    }
    let host = url.host_str().ok_or(WebhookError::Url)?;
    // The resolver isn't asked about these.
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<IpAddr>() {
        Ok(address) if !private_addresses && !is_public(address) => {
            Err(WebhookError::PrivateAddress)
        }
        _ => Ok(url),
    }
}

/// Returns the part of a URL that is no secret: scheme, host and port.
pub(super) fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_of(text: &str) -> WebhookError {
        receiver_url(text, false, false).expect_err("it is refused")
    }

    #[test]
    fn only_https_is_allowed_unless_http_is() {
        let http = "http://example.com/hook";
        assert!(matches!(error_of(http), WebhookError::NotHttps));
        receiver_url(http, true, false).unwrap();
        receiver_url("https://example.com/hook", false, false).unwrap();
        for other in [
            "",
            "/hook",
            "example.com/hook",
            "ftp://example.com/hook",
            "file:///etc/passwd",
            "data:,x",
            "https://",
        ] {
            let error = receiver_url(other, true, false).unwrap_err();
            assert!(matches!(error, WebhookError::Url), "{other}: {error}");
        }
    }

    #[test]
    fn a_url_to_which_nothing_can_be_sent_is_refused() {
        let long = format!("https://example.com/{}", "a".repeat(70_000));
        for url in ["https://exa`mple.com/", "https://exa{mple}.com/", &long] {
            assert!(matches!(error_of(url), WebhookError::Url), "{url:.40}");
        }
        // A path is escaped.
        let escaped = receiver_url("https://example.com/`a b{c}?d`e", false, false);
        let escaped = escaped.unwrap();
        assert!(escaped.as_str().parse::<http::Uri>().is_ok(), "{escaped}");
    }

    #[test]
    fn a_url_with_user_info_is_refused() {
        for url in [
            "https://me@example.com/",
            "https://me:pass@example.com/",
            "https://:pass@example.com/",
        ] {
            let error = error_of(url);
            assert!(matches!(error, WebhookError::UserInfo), "{url}");
            assert!(!error.to_string().contains("pass@"), "{error}");
        }
    }

    /// However the address is written.
    #[test]
    fn an_address_in_the_url_is_checked() {
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
            assert!(
                matches!(error_of(&url), WebhookError::PrivateAddress),
                "{url}"
            );
            receiver_url(&url, false, true).unwrap();
        }
        receiver_url("https://93.184.215.14/hook", false, false).unwrap();
        receiver_url("https://[2606:4700::1111]/hook", false, false).unwrap();
    }
}
