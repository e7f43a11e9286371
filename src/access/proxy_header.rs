use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, header};

/// The header in which the trusted proxies of [`PerPeer`](super::PerPeer) name the addresses of their
/// clients.
///
/// Only the one header that the proxies write may be read. A proxy passes on the other one as the
/// client sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ProxyHeader {
    /// `X-Forwarded-For: 203.0.113.9, 10.0.0.2`, which most proxies write.
    #[default]
    XForwardedFor,
    /// `Forwarded: for=203.0.113.9, for=10.0.0.2` of RFC 7239.
    Forwarded,
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

impl ProxyHeader {
    /// Returns the addresses that the header names, the one that was added last first. `None` is an
    /// element that isn't an address, or a line that can't be read.
    pub(super) fn hops(self, headers: &HeaderMap) -> impl Iterator<Item = Option<IpAddr>> {
        let name = match self {
            Self::XForwardedFor => X_FORWARDED_FOR,
            Self::Forwarded => header::FORWARDED,
        };
        let lines = headers.get_all(name).iter().rev();
        lines.flat_map(move |line| {
            let line = line.to_str().ok();
            let mut hops = line.and_then(|line| self.line(line)).unwrap_or(vec![None]);
            hops.reverse();
            hops
        })
    }

    /// Returns the addresses of one line, in its order. `None` if a quote isn't closed: what belongs to
    /// which element is open then.
    fn line(self, line: &str) -> Option<Vec<Option<IpAddr>>> {
        match self {
            Self::XForwardedFor => Some(line.split(',').map(node).collect()),
            Self::Forwarded => {
                let elements = split(line, ',')?.into_iter();
                Some(elements.map(forwarded_for).collect())
            }
        }
    }
}

/// Returns the address of the parameter `for` of an element, if it has one. The quotes of the element are
/// closed.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let pairs = split(element, ';')?.into_iter();
    let mut values = pairs.filter_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then_some(value)
    });
    // Of two values it is open which one the proxy wrote.
    match (values.next(), values.next()) {
        (Some(value), None) => node(value.trim().trim_matches('"')),
        _ => None,
    }
}

/// Splits at a separator that isn't in quotes. `None` if a quote isn't closed.
fn split(text: &str, separator: char) -> Option<Vec<&str>> {
    let (mut quoted, mut escaped, mut start) = (false, false, 0);
    let mut parts = Vec::new();
    for (at, char) in text.char_indices() {
        match char {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if char == separator && !quoted => {
                parts.push(&text[start..at]);
                start = at + char.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    (!quoted).then_some(parts)
}

/// Returns the address of a hop: with or without a port, and of IPv6 with or without brackets.
fn node(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let address = match bare.unwrap_or(text).parse() {
        Ok(address) => address,
        Err(_) => text.parse::<SocketAddr>().ok()?.ip(),
    };
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn hops(header: ProxyHeader, name: &HeaderName, lines: &[&str]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(
                name.clone(),
                HeaderValue::from_bytes(line.as_bytes()).unwrap(),
            );
        }
        let text = |hop: Option<IpAddr>| hop.map_or("?".to_owned(), |hop| hop.to_string());
        header.hops(&headers).map(text).collect()
    }

    fn forwarded(lines: &[&str]) -> Vec<String> {
        hops(ProxyHeader::Forwarded, &header::FORWARDED, lines)
    }

    #[test]
    fn the_hops_of_x_forwarded_for_come_from_the_right() {
        let lines = [
            "203.0.113.9, [2001:db8::1]:443",
            "::ffff:10.0.0.2,unknown, 10.0.0.3:80",
        ];
        assert_eq!(
            hops(ProxyHeader::XForwardedFor, &X_FORWARDED_FOR, &lines),
            ["10.0.0.3", "?", "10.0.0.2", "2001:db8::1", "203.0.113.9"]
        );
        let odd = hops(
            ProxyHeader::XForwardedFor,
            &X_FORWARDED_FOR,
            &["1.2.3.4", "\u{e9}"],
        );
        assert_eq!(odd, ["?", "1.2.3.4"]);
    }

    #[test]
    fn the_hops_of_forwarded_come_from_the_right() {
        let lines = [
            r#"For="[2001:db8::1]:47", proto=https;for=203.0.113.9;by="a,b""#,
            "for=_x",
        ];
        assert_eq!(forwarded(&lines), ["?", "203.0.113.9", "2001:db8::1"]);
        assert_eq!(forwarded(&["proto=https"]), ["?"]);
    }

    #[test]
    fn a_quote_of_the_client_does_not_hide_what_a_proxy_adds() {
        for client in [
            r#"for=192.0.2.1;x=""#,
            r#"for=192.0.2.1;x="\"#,
            r#"for=192.0.2.1;x="\""#,
            r#"for=192.0.2.1, for=192.0.2.1;x=""#,
        ] {
            for proxy in ["for=203.0.113.9", r#"for="[2001:db8::9]""#] {
                let line = format!("{client}, {proxy}");
                let hop = forwarded(&[&line]).remove(0);
                assert_ne!(hop, "192.0.2.1", "{line}");
            }
        }
        let twice = forwarded(&["for=192.0.2.1;for=203.0.113.9"]);
        assert_eq!(twice, ["?"]);
    }

    #[test]
    fn a_client_without_the_header_has_no_hops() {
        assert!(forwarded(&[]).is_empty());
    }
}
