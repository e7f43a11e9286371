//! The query of a request, in the encoding of forms.

use std::borrow::Cow;

use http::request::Parts;
use percent_encoding::percent_decode;

/// Returns the first value of `name` in the query, decoded.
pub(super) fn query(head: &Parts, name: &str) -> Option<String> {
    head.uri
        .query()?
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .find(|(key, _)| decoded(key) == name)
        .map(|(_, value)| decoded(value).into_owned())
}

/// Returns the query without the parameters of these names, as it was sent otherwise.
pub(crate) fn query_without(head: &Parts, names: &[&str]) -> String {
    let pairs = head.uri.query().unwrap_or_default().split('&');
    let kept: Vec<_> = pairs
        .filter(|pair| {
            let name = pair.split_once('=').map_or(*pair, |(name, _)| name);
            !names.contains(&&*decoded(name))
        })
        .collect();
    kept.join("&")
}

fn decoded(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|byte| byte == b'+' || byte == b'%') {
        return Cow::Borrowed(text);
    }
    let spaced = text.replace('+', " ");
    let bytes: Vec<u8> = percent_decode(spaced.as_bytes()).collect();
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn values_are_decoded_and_the_first_one_counts() {
        let (head, ()) = Request::get("/?chat=a%26b+c&chat=d&empty&e=%zz")
            .body(())
            .unwrap()
            .into_parts();
        assert_eq!(query(&head, "chat").as_deref(), Some("a&b c"));
        assert_eq!(query(&head, "empty").as_deref(), Some(""));
        assert_eq!(query(&head, "e").as_deref(), Some("%zz"));
        assert_eq!(query(&head, "none"), None);
    }

    #[test]
    fn what_is_left_of_a_query_stays_as_it_was_sent() {
        for (uri, left) in [
            ("/?a=%31&sessionId=x&b", "a=%31&b"),
            ("/?session%49d=x", ""),
            ("/?sessionIds=x&lastLsn", "sessionIds=x"),
            ("/", ""),
        ] {
            let (head, ()) = Request::get(uri).body(()).unwrap().into_parts();
            assert_eq!(
                query_without(&head, &["sessionId", "lastLsn"]),
                left,
                "{uri}"
            );
        }
    }
}
