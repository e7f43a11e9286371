use bytes::Bytes;
use http::{
    HeaderValue, Response, StatusCode,
    header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
        X_CONTENT_TYPE_OPTIONS,
    },
};

use crate::pictures;

/// The chat page, whose files are part of the binary.
#[derive(Debug, Clone)]
pub struct Page {
    index: Bytes,
}

impl Page {
    /// Creates the page, which shows the name of the provider and knows which pictures the server takes.
    pub fn new(provider: &str) -> Self {
        let mut index = INDEX.to_owned();
        for (name, value) in [
            ("{{provider}}", provider),
            ("{{picture-types}}", &pictures::TYPES.join(" ")),
            ("{{picture-bytes}}", &pictures::BYTES.to_string()),
            ("{{pictures-bytes}}", &pictures::TOTAL_BYTES.to_string()),
            ("{{pictures}}", &pictures::COUNT.to_string()),
        ] {
            index = index.replace(name, value);
        }
        Self {
            index: index.into(),
        }
    }

    /// Returns the file at this path, or a 404.
    pub fn file(&self, path: &str) -> Response<Bytes> {
        let name = path.strip_prefix('/').unwrap_or(path);
        if name.is_empty() {
            return file("text/html; charset=utf-8", self.index.clone());
        }
        match FILES.iter().find(|(known, ..)| *known == name) {
            Some((_, kind, text)) => file(kind, Bytes::from_static(text.as_bytes())),
            None => not_found(),
        }
    }
}

const INDEX: &str = include_str!("../page/index.html");

macro_rules! files {
    ($($name:literal: $kind:expr,)+) => {
        [$(($name, $kind, include_str!(concat!("../page/", $name)))),+]
    };
}

const FILES: [(&str, &str, &str); 18] = files! {
    "style.css": "text/css",
    "media.css": "text/css",
    "icon.svg": "image/svg+xml",
    "chat.js": JAVASCRIPT,
    "answer.js": JAVASCRIPT,
    "attachments.js": JAVASCRIPT,
    "client-tools.js": JAVASCRIPT,
    "drawing.js": JAVASCRIPT,
    "examples.js": JAVASCRIPT,
    "form.js": JAVASCRIPT,
    "history.js": JAVASCRIPT,
    "media.js": JAVASCRIPT,
    "media-store.js": JAVASCRIPT,
    "prose.js": JAVASCRIPT,
    "question.js": JAVASCRIPT,
    "sources.js": JAVASCRIPT,
    "unbroken.js": JAVASCRIPT,
    "views.js": JAVASCRIPT,
};

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// The content security policy. The page treats a model's words as text; if they became markup, they
/// could neither run code nor reach another server. Pictures are bytes that the page holds (`blob:`); one
/// behind a link is not fetched, since its address would tell a stranger what was said.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; \
                      connect-src 'self'; base-uri 'none'; form-action 'self'; \
                      frame-ancestors 'none'";

fn file(kind: &'static str, text: Bytes) -> Response<Bytes> {
    let mut response = Response::new(text);
    for (name, value) in [
        (CONTENT_TYPE, kind),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-cache"),
    ] {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    }
    response
}

fn not_found() -> Response<Bytes> {
    let mut response = file("text/plain", Bytes::from_static(b"no such page\n"));
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_at_the_root_and_the_rest_by_name() {
        let page = Page::new("scripted");
        let index = page.file("/");
        assert_eq!(index.status(), StatusCode::OK);
        assert!(!String::from_utf8_lossy(index.body()).contains("{{"));
        assert_eq!(
            page.file("/unbroken.js").headers()[CONTENT_TYPE],
            JAVASCRIPT
        );
        assert_eq!(page.file("/Cargo.toml").status(), StatusCode::NOT_FOUND);
    }
}
