use std::sync::Arc;

/// The path under which a service is mounted, as an extension of the request: what a framework
/// strips before the service sees the path, and what `Location` and `Content-Location` need.
///
/// Adapters insert it; an application whose framework has none, or that stands behind a proxy which
/// rewrites paths, names it with [`DurableLayer::public_path`](super::DurableLayer::public_path).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountPath(Arc<str>);

impl MountPath {
    /// The path, with or without a slash at its end.
    ///
    /// ```
    /// use unbroken::durable::MountPath;
    ///
    /// assert_eq!(MountPath::new("/api/chat/").as_str(), "/api/chat");
    /// assert_eq!(MountPath::new("/").as_str(), "");
    /// ```
    pub fn new(path: &str) -> Self {
        Self(path.trim_end_matches('/').into())
    }

    /// The path, without a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
