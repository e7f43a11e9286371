use std::sync::Arc;

/// The path under which a service is mounted, as an extension of the request.
///
/// Frameworks strip it from the path that the service sees; `Location` and `Content-Location` need it.
/// The adapters insert it. Behind a proxy that rewrites paths, or without an adapter, set the path with
/// [`DurableLayer::public_path`](crate::durable::DurableLayer::public_path) or
/// [`RecordLayer::public_path`](crate::record::RecordLayer::public_path).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountPath(Arc<str>);

impl MountPath {
    /// Creates a mount path. A slash at its end is removed.
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

    /// Returns the path, without a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
