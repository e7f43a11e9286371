use bytes::Bytes;

use super::FrameKind;

/// A frame of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::record) struct BodyFrame {
    pub(in crate::record) kind: FrameKind,
    /// The bytes as they came, at least one.
    pub(in crate::record) bytes: Bytes,
}
