use std::{borrow::Cow, collections::BTreeSet};

use http::{HeaderName, Method, header, request::Parts};

use crate::dialect::{Problem, Refusal, is_json};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// The rule for POSTs that a browser sends for a page of another site without asking the server.
///
/// A form or a script of any page can make a browser send a POST with the cookies of its user, unless
/// the body is JSON: before that, browsers ask the server, and the application's CORS layer answers.
/// Where cookies identify users, such a POST would stop their answers, or start some. So one that isn't
/// JSON is refused with 403 ([`Problem::CrossSite`]) if the browser says that the page is of another
/// origin: in `Sec-Fetch-Site`, or without that header in an `Origin` that is not the `Host`, nor an
/// `X-Forwarded-Host`. Clients that are no browsers send none of these, and are not concerned. Nor are
/// the methods that browsers always ask for, such as DELETE.
///
/// The rule is the same for every dialect, and is checked before the access policy is asked. Where a GET starts a session
/// ([`RecordLayer::start_methods`](crate::record::RecordLayer::start_methods)), it concerns that as well: an image or a link
/// of any page makes a browser send it.
///
/// ```
/// use unbroken::durable::CrossSite;
///
/// let rule = CrossSite::refuse().allow_origin("https://app.example.com");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrossSite {
    origins: Option<BTreeSet<Cow<'static, str>>>,
}

impl CrossSite {
    /// Refuses such requests, but for those of allowed origins.
    pub fn refuse() -> Self {
        Self {
            origins: Some(BTreeSet::new()),
        }
    }

    /// Allows such requests. For an application with a protection of its own, such as a token in a
    /// header.
    pub fn allow() -> Self {
        Self { origins: None }
    }

    /// Allows such requests from pages of this origin, as browsers write it: `https://example.com`,
    /// without a path, and with a port only where it is not the scheme's own.
    pub fn allow_origin(mut self, origin: impl Into<Cow<'static, str>>) -> Self {
        if let Some(origins) = &mut self.origins {
            origins.insert(origin.into());
        }
        self
    }

    /// Checks the head of a request.
    ///
    /// # Errors
    ///
    /// [`Problem::CrossSite`].
    pub(crate) fn check(&self, head: &Parts) -> Result<(), Refusal> {
        if self.origins.is_none() {
            return Ok(());
        }
        if head.method != Method::POST || is_json(head) || !is_cross_origin(head) {
            return Ok(());
        }
        if self.allows(head) {
            return Ok(());
        }
        Err(Refusal::new(
            Problem::CrossSite,
            "a page of another origin may send a POST with `Content-Type: application/json` only; or \
             the application allows its origin, with `CrossSite::allow_origin`",
        ))
    }

    /// Checks the head of a request that starts a session, by a method that may be another than POST.
    ///
    /// # Errors
    ///
    /// [`Problem::CrossSite`].
    pub(crate) fn check_start(&self, head: &Parts) -> Result<(), Refusal> {
        if !matches!(head.method, Method::GET | Method::HEAD) {
            return self.check(head);
        }
        if self.origins.is_none() || !is_cross_origin(head) || self.allows(head) {
            return Ok(());
        }
        Err(Refusal::new(
            Problem::CrossSite,
            "a page of another origin may not start a session by this method; the application allows its origin, with \
             `CrossSite::allow_origin`",
        ))
    }

    /// Returns true if requests of the origin in the head are allowed.
    fn allows(&self, head: &Parts) -> bool {
        let origins = self.origins.as_ref();
        let origin = text(head, &header::ORIGIN);
        origin.is_some_and(|origin| origins.is_none_or(|origins| origins.contains(origin)))
    }
}

impl Default for CrossSite {
    fn default() -> Self {
        Self::refuse()
    }
}

/// Returns true if a browser says that the request comes from a page of another origin.
fn is_cross_origin(head: &Parts) -> bool {
    if let Some(site) = head.headers.get(&SEC_FETCH_SITE) {
        return site != "same-origin" && site != "none";
    }
    // Browsers leave it out where the connection isn't safe.
    let Some(origin) = head.headers.get(header::ORIGIN) else {
        return false;
    };
    let authority = origin
        .to_str()
        .ok()
        .and_then(|origin| origin.split_once("://"))
        .map(|(_, authority)| authority);
    let Some(authority) = authority else {
        return true; // `null`: a sandboxed page, or a local file
    };
    let is_own = |own: &str| own.trim().eq_ignore_ascii_case(authority);
    let here = head.uri.authority().map(http::uri::Authority::as_str);
    // Pages can't set either of these without asking, so what they say comes from a proxy.
    let hosts = [header::HOST, FORWARDED_HOST];
    let mut hosts = hosts.iter().filter_map(|name| text(head, name)).chain(here);
    !hosts.any(|hosts| hosts.split(',').any(is_own))
}

fn text<'a>(head: &'a Parts, name: &HeaderName) -> Option<&'a str> {
    head.headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn check(rule: &CrossSite, method: &str, headers: &[(&str, &str)]) -> Result<(), Problem> {
        let mut request = Request::builder().method(method).uri("/0123/abort");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        rule.check(&head).map_err(|refusal| refusal.problem)
    }

    const REFUSED: Result<(), Problem> = Err(Problem::CrossSite);
    const HOST: (&str, &str) = ("host", "here.example:8080");

    #[test]
    fn a_form_of_another_page_is_refused_in_every_encoding_of_forms() {
        let rule = CrossSite::refuse();
        let cross = ("sec-fetch-site", "cross-site");
        for content_type in [
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "text/plain",
            "text/plain; x=application/json",
        ] {
            let headers = [HOST, cross, ("content-type", content_type)];
            assert_eq!(check(&rule, "POST", &headers), REFUSED, "{content_type}");
        }
        assert_eq!(check(&rule, "POST", &[HOST, cross]), REFUSED);
        let json = ("content-type", "application/json");
        assert_eq!(check(&rule, "POST", &[HOST, cross, json]), Ok(()));
        for method in ["GET", "HEAD", "PUT", "DELETE"] {
            assert_eq!(check(&rule, method, &[HOST, cross]), Ok(()), "{method}");
        }
    }

    #[test]
    fn the_browser_says_where_a_page_is_from() {
        let rule = CrossSite::refuse();
        for (site, result) in [
            ("same-origin", Ok(())),
            ("none", Ok(())),
            ("same-site", REFUSED),
            ("cross-site", REFUSED),
            ("", REFUSED),
        ] {
            // It counts before the origin.
            for origin in ["http://here.example:8080", "http://there.example"] {
                let headers = [HOST, ("sec-fetch-site", site), ("origin", origin)];
                assert_eq!(check(&rule, "POST", &headers), result, "{site} {origin}");
            }
        }
        for (origin, result) in [
            ("http://here.example:8080", Ok(())),
            ("https://HERE.example:8080", Ok(())),
            ("http://here.example", REFUSED),
            ("http://here.example:8080.evil.example", REFUSED),
            ("http://there.example", REFUSED),
            ("null", REFUSED),
        ] {
            let headers = [HOST, ("origin", origin)];
            assert_eq!(check(&rule, "POST", &headers), result, "{origin}");
        }
        // No browser.
        assert_eq!(check(&rule, "POST", &[HOST]), Ok(()));
    }

    #[test]
    fn a_proxy_may_name_the_host() {
        let rule = CrossSite::refuse();
        let origin = ("origin", "https://front.example");
        assert_eq!(check(&rule, "POST", &[HOST, origin]), REFUSED);
        let forwarded = ("x-forwarded-host", "front.example, inner.example");
        assert_eq!(check(&rule, "POST", &[HOST, origin, forwarded]), Ok(()));
    }

    #[test]
    fn the_application_may_allow_an_origin_or_all() {
        let page = "https://app.example";
        let headers = [HOST, ("sec-fetch-site", "same-site"), ("origin", page)];
        let one = CrossSite::refuse().allow_origin(page);
        assert_eq!(check(&one, "POST", &headers), Ok(()));
        let other = CrossSite::refuse().allow_origin("https://other.example");
        assert_eq!(check(&other, "POST", &headers), REFUSED);
        assert_eq!(check(&CrossSite::allow(), "POST", &headers), Ok(()));
    }
}
