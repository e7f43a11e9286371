use axum::http::{HeaderValue, Uri, header::HeaderName, request::Parts};

/// Changes the parameters of a query. Drops a parameter if the function returns `None`.
pub(super) fn query(head: &mut Parts, change: impl Fn(&str, &str) -> Option<String>) {
    let Some(query) = head.uri.query() else {
        return;
    };
    let kept = query.split('&').filter_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        Some(format!("{name}={}", change(name, value)?))
    });
    let kept = kept.collect::<Vec<_>>().join("&");
    head.uri = format!("{}?{kept}", head.uri.path())
        .parse::<Uri>()
        .expect("a path");
}

/// Changes a header if it is present.
pub(super) fn header(head: &mut Parts, name: &HeaderName, change: impl Fn(&str) -> String) {
    if let Some(value) = head.headers.get_mut(name) {
        let changed = change(value.to_str().unwrap_or_default());
        *value = HeaderValue::from_str(&changed).expect("ASCII");
    }
}
