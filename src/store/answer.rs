use std::sync::Arc;

use bytes::Bytes;

use super::SessionState;

/// What somebody answered to a session's owner, from any server.
///
/// To the store both are opaque: who asks makes the names, and knows what the bytes mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAnswer {
    /// What it answers: unique within the session, at most [`MAX_NAME`](Self::MAX_NAME) bytes.
    pub name: Arc<str>,
    /// The content; `None` if the owner [closed](Self::closed) the question instead.
    pub content: Option<Bytes>,
}

/// What came of an answer.
#[derive(Debug, Clone)]
pub enum AnswerOutcome {
    /// It is stored for the session's owner, which stands so.
    Stored(SessionState),
    /// Another answer came first under this name, and stays; or the owner has
    /// [closed](StoredAnswer::closed) it.
    Taken,
}

impl StoredAnswer {
    /// The most bytes of a name.
    pub const MAX_NAME: usize = 128;
    /// The most answers that a session holds.
    pub const MAX_COUNT: usize = 256;
    /// The most bytes of all answers of a session, names and contents together.
    pub const MAX_BYTES: usize = 256 * 1024;

    /// Creates an answer.
    ///
    /// # Panics
    ///
    /// If `content` is empty.
    pub fn new(name: impl Into<Arc<str>>, content: impl Into<Bytes>) -> Self {
        let content = content.into();
        assert!(!content.is_empty(), "an answer has a content");
        Self {
            name: name.into(),
            content: Some(content),
        }
    }

    /// Creates the entry that stands where an answer would: the owner takes none under this name any
    /// more.
    pub fn closed(name: impl Into<Arc<str>>) -> Self {
        Self {
            name: name.into(),
            content: None,
        }
    }

    /// Reads the content that a store kept as [`encoded`](Self::encoded) bytes.
    pub fn decode(name: impl Into<Arc<str>>, encoded: impl Into<Bytes>) -> Self {
        Self {
            name: name.into(),
            content: Some(encoded.into()).filter(|content| !content.is_empty()),
        }
    }

    /// Returns the content as bytes for a store to keep; empty if the question was closed.
    pub fn encoded(&self) -> &[u8] {
        self.content.as_deref().unwrap_or_default()
    }

    /// What it counts of [`MAX_BYTES`](Self::MAX_BYTES).
    pub fn bytes(&self) -> usize {
        self.name.len() + self.encoded().len()
    }

    /// Whether a session takes it that holds so many answers, of so many bytes together.
    pub fn fits(&self, count: usize, bytes: usize) -> bool {
        self.name.len() <= Self::MAX_NAME
            && count < Self::MAX_COUNT
            && bytes
                .checked_add(self.bytes())
                .is_some_and(|all| all <= Self::MAX_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bound_takes_what_is_equal_and_refuses_one_more() {
        let of =
            |name: usize, content: usize| StoredAnswer::new("n".repeat(name), vec![0; content]);
        assert!(of(StoredAnswer::MAX_NAME, 0).fits(0, 0));
        assert!(!of(StoredAnswer::MAX_NAME + 1, 0).fits(0, 0));
        assert!(of(1, 1).fits(StoredAnswer::MAX_COUNT - 1, 0));
        assert!(!of(1, 1).fits(StoredAnswer::MAX_COUNT, 0));
        assert!(of(1, StoredAnswer::MAX_BYTES - 1).fits(0, 0));
        assert!(!of(1, StoredAnswer::MAX_BYTES).fits(0, 0));
        assert!(of(1, 1).fits(1, StoredAnswer::MAX_BYTES - 2));
        assert!(!of(1, 1).fits(1, StoredAnswer::MAX_BYTES - 1));
        assert!(!of(1, 1).fits(1, usize::MAX));
    }
}
