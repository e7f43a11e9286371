//! The headers of a recorded response that readers get who didn't start it.

use http::{
    HeaderMap, HeaderName,
    header::{
        ACCEPT_RANGES, AGE, CACHE_CONTROL, CONNECTION, CONTENT_DISPOSITION, CONTENT_ENCODING,
        CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_LOCATION, CONTENT_RANGE, CONTENT_TYPE, DATE,
        ETAG, EXPIRES, LAST_MODIFIED, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, SET_COOKIE, TE,
        TRAILER, TRANSFER_ENCODING, UPGRADE,
    },
};

use crate::headers::{SESSION_ID, SESSION_STATUS, SESSION_TAIL};

const BY_DEFAULT: [HeaderName; 5] = [
    CONTENT_DISPOSITION,
    CONTENT_LANGUAGE,
    CONTENT_TYPE,
    // Over HTTP/1.1 no trailers are sent without it.
    TRAILER,
    HeaderName::from_static("x-vercel-ai-ui-message-stream"),
];

/// Headers of one connection, of one client, of one moment, of the whole body, or that the layer sets itself.
const NEVER: [HeaderName; 23] = [
    ACCEPT_RANGES,
    AGE,
    CACHE_CONTROL,
    CONNECTION,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_LOCATION,
    CONTENT_RANGE,
    DATE,
    ETAG,
    EXPIRES,
    LAST_MODIFIED,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    SESSION_ID,
    SESSION_STATUS,
    SESSION_TAIL,
    SET_COOKIE,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// Returns true if a header of this name may be kept.
pub(super) fn may_be_kept(name: &HeaderName) -> bool {
    !NEVER.contains(name)
}

/// Returns the trailers of a body for all its readers: those that would be kept as headers.
pub(super) fn kept_trailers(trailers: &HeaderMap) -> HeaderMap {
    let kept = trailers.iter().filter(|(name, _)| may_be_kept(name));
    kept.map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// Returns those headers that are kept: those kept by default, and the `added` ones that may be. Headers that
/// `Connection` names aren't.
pub(super) fn kept(headers: &HeaderMap, added: &[HeaderName]) -> HeaderMap {
    let of_connection = |name: &HeaderName| {
        headers.get_all(CONNECTION).iter().any(|names| {
            let mut names = names.as_bytes().split(|&byte| byte == b',');
            names.any(|it| {
                it.trim_ascii()
                    .eq_ignore_ascii_case(name.as_str().as_bytes())
            })
        })
    };
    let kept = headers.iter().filter(|(name, _)| {
        (BY_DEFAULT.contains(name) || added.contains(name))
            && may_be_kept(name)
            && !of_connection(name)
    });
    let mut found = HeaderMap::new();
    for (name, value) in kept {
        found.append(name, value.clone());
    }
    found
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn defaults_and_additions_are_kept_and_nothing_else() {
        let mut headers = HeaderMap::new();
        for name in [
            "content-type",
            "content-language",
            "content-disposition",
            "trailer",
            "x-vercel-ai-ui-message-stream",
            "x-model",
            "x-other",
        ] {
            headers.append(name, HeaderValue::from_static("a"));
        }
        headers.append("x-model", HeaderValue::from_static("b"));
        let names = |kept: &HeaderMap| {
            let mut names: Vec<_> = kept.iter().map(|(name, _)| name.to_string()).collect();
            names.sort_unstable();
            names
        };
        let defaults = [
            "content-disposition",
            "content-language",
            "content-type",
            "trailer",
            "x-vercel-ai-ui-message-stream",
        ];
        assert_eq!(names(&kept(&headers, &[])), defaults);
        let added = [HeaderName::from_static("x-model")];
        let with_model = kept(&headers, &added);
        let mut expected = [&defaults[..], &["x-model", "x-model"]].concat();
        expected.sort_unstable();
        assert_eq!(names(&with_model), expected);
        let models: Vec<_> = with_model.get_all("x-model").iter().collect();
        assert_eq!(models, ["a", "b"]);
    }

    #[test]
    fn trailers_for_all_readers_have_nothing_of_one() {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-checksum", "1".parse().unwrap());
        trailers.insert("set-cookie", "secret".parse().unwrap());
        let kept = kept_trailers(&trailers);
        assert_eq!(
            kept.keys().map(HeaderName::as_str).collect::<Vec<_>>(),
            ["x-checksum"]
        );
    }

    #[test]
    fn some_headers_are_never_kept() {
        let mut headers = HeaderMap::new();
        for name in NEVER {
            headers.append(name, HeaderValue::from_static("a"));
        }
        assert!(kept(&headers, &NEVER).is_empty());
        assert!(NEVER.iter().all(|name| !may_be_kept(name)));
        assert!(BY_DEFAULT.iter().all(may_be_kept));
    }

    #[test]
    fn a_header_that_connection_names_is_not_kept() {
        let added = [
            HeaderName::from_static("x-hop"),
            HeaderName::from_static("x-hops"),
        ];
        let mut headers = HeaderMap::new();
        headers.append("x-hop", HeaderValue::from_static("1"));
        headers.append("x-hops", HeaderValue::from_static("2"));
        assert_eq!(kept(&headers, &added).len(), 2);
        headers.append(CONNECTION, HeaderValue::from_static("close"));
        headers.append(CONNECTION, HeaderValue::from_static("upgrade, X-Hop ,"));
        let kept = kept(&headers, &added);
        assert_eq!(
            kept.iter().collect::<Vec<_>>(),
            [(&added[1], &headers["x-hops"])]
        );
    }
}
