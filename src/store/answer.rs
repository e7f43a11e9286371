use std::{borrow::Cow, sync::Arc};

use bytes::Bytes;

use super::SessionState;

/// An answer to a question of a session's owner, stored by any server.
///
/// Name and content are opaque to the store. The owner chooses the name of a question and reads the
/// content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAnswer {
    /// The name of the question: unique within the session, at most [`MAX_NAME`](Self::MAX_NAME)
    /// bytes.
    pub name: Arc<str>,
    /// The content; `None` if the owner [closed](Self::closed) the question.
    pub content: Option<Bytes>,
}

/// The result of [`Store::answer`](super::Store::answer).
#[derive(Debug, Clone)]
pub enum AnswerOutcome {
    /// The answer is stored; this is the session's state after it.
    Stored(SessionState),
    /// Another answer was stored first under this name and remains, or the owner has
    /// [closed](StoredAnswer::closed) the question.
    Taken,
}

/// Stands in front of an encoded content that would otherwise be taken for a closed question.
const ESCAPE: u8 = 0;

impl StoredAnswer {
    /// The largest number of bytes of a name.
    pub const MAX_NAME: usize = 128;
    /// The largest number of answers that a session holds.
    pub const MAX_COUNT: usize = 256;
    /// The largest number of bytes of all answers of a session, names and contents together.
    pub const MAX_BYTES: usize = 256 * 1024;

    /// Creates an answer under this name.
    pub fn new(name: impl Into<Arc<str>>, content: impl Into<Bytes>) -> Self {
        Self {
            name: name.into(),
            content: Some(content.into()),
        }
    }

    /// Creates the entry by which an owner closes a question. A later answer under this name gets
    /// [`AnswerOutcome::Taken`].
    pub fn closed(name: impl Into<Arc<str>>) -> Self {
        Self {
            name: name.into(),
            content: None,
        }
    }

    /// Creates the answer from the name and the [`encoded`](Self::encoded) content that a store kept.
    pub fn decode(name: impl Into<Arc<str>>, encoded: impl Into<Bytes>) -> Self {
        let encoded = encoded.into();
        let content = match encoded.first() {
            None => None,
            Some(&ESCAPE) => Some(encoded.slice(1..)),
            Some(_) => Some(encoded),
        };
        Self {
            name: name.into(),
            content,
        }
    }

    /// Returns the content as bytes for a store to keep; empty if the question was closed.
    ///
    /// A content that is empty or begins with a zero byte has one more zero byte in front of it.
    pub fn encoded(&self) -> Cow<'_, [u8]> {
        match &self.content {
            None => Cow::Borrowed(&[]),
            Some(content) if content.first().is_none_or(|&first| first == ESCAPE) => {
                Cow::Owned([&[ESCAPE], &content[..]].concat())
            }
            Some(content) => Cow::Borrowed(content),
        }
    }

    /// Returns the bytes that the answer counts towards [`MAX_BYTES`](Self::MAX_BYTES).
    pub fn bytes(&self) -> usize {
        self.name.len() + self.encoded().len()
    }

    /// Returns true if a session with `count` answers of `bytes` bytes together has room for this
    /// one.
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
    fn each_limit_admits_its_own_value_and_refuses_one_more() {
        let of = |name: usize, content: usize| StoredAnswer {
            name: "n".repeat(name).into(),
            content: Some(vec![1; content].into()),
        };
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

    #[test]
    fn each_content_is_decoded_as_it_was_encoded_and_differs_from_a_closed_question() {
        let closed = StoredAnswer::closed("name");
        assert!(closed.encoded().is_empty());
        assert_eq!(StoredAnswer::decode("name", Bytes::new()), closed);
        for content in [&b""[..], b"\0", b"\0\0", b"\0yes", b"yes", b"y\0"] {
            let answer = StoredAnswer::new("name", content.to_vec());
            let encoded = answer.encoded().into_owned();
            assert_eq!(StoredAnswer::decode("name", encoded), answer);
            assert_ne!(answer, closed);
            assert_ne!(answer.encoded(), closed.encoded());
        }
    }
}
