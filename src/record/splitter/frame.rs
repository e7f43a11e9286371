use bytes::Bytes;

use super::FrameKind;

/// A frame of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: FrameKind,
    /// The bytes as they came, at least one.
    pub(crate) bytes: Bytes,
}
