use std::error::Error;

use super::Unanswered;
use crate::BoxError;

/// A failure of a tool, with a message for the model and the clients.
///
/// The message goes into the log word for word, so it must not contain a secret or an address. The
/// source goes to traces only. A message longer than [`ToolFailure::MAX_BYTES`] is cut.
///
/// ```
/// use unbroken::tools::ToolFailure;
///
/// let failure = ToolFailure::new("there is no such city").with_source("GET 10.0.0.7: 404");
/// assert_eq!(failure.to_string(), "there is no such city");
/// ```
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ToolFailure {
    message: String,
    source: Option<BoxError>,
}

/// The message of every other error.
const PRIVATE: &str = "the tool failed";

impl ToolFailure {
    /// The maximum length of a message in bytes of UTF-8: 8 KiB.
    pub const MAX_BYTES: usize = 8 * 1024;

    /// Creates a failure with a message for the model and the clients.
    pub fn new(public_message: impl Into<String>) -> Self {
        Self {
            message: public_message.into(),
            source: None,
        }
    }

    /// Sets the cause.
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Cuts a message that is too long.
    pub(super) fn cut(mut message: String) -> String {
        const MORE: &str = "…";
        if message.len() > Self::MAX_BYTES {
            let mut end = Self::MAX_BYTES - MORE.len();
            while !message.is_char_boundary(end) {
                end -= 1;
            }
            message.truncate(end);
            message.push_str(MORE);
        }
        message
    }

    /// Returns the public message of `error`.
    pub(super) fn public(error: &(dyn Error + 'static)) -> String {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(failure) = error.downcast_ref::<Self>() {
                return failure.message.clone();
            }
            if let Some(unanswered) = error.downcast_ref::<Unanswered>() {
                return unanswered.to_string();
            }
            next = error.source();
        }
        PRIVATE.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_is_too_long_is_cut() {
        let fits = "ä".repeat(ToolFailure::MAX_BYTES / 2);
        assert_eq!(ToolFailure::cut(fits.clone()), fits);
        let cut = ToolFailure::cut(format!("{fits}ä"));
        assert!((ToolFailure::MAX_BYTES - 3..=ToolFailure::MAX_BYTES).contains(&cut.len()));
        assert!(cut.ends_with("ä…"));
        assert_eq!(ToolFailure::cut(cut.clone()), cut);
    }

    #[test]
    fn only_public_messages_are_passed_on() {
        #[derive(Debug, thiserror::Error)]
        #[error("a layer's own words")]
        struct LayerFailure(#[source] BoxError);

        let wrapped = LayerFailure(ToolFailure::new("no such city").into());
        assert_eq!(ToolFailure::public(&wrapped), "no such city");
        let private = LayerFailure("postgres://user:secret@10.0.0.7".into());
        assert_eq!(ToolFailure::public(&private), PRIVATE);
        let asked: BoxError = Unanswered::Declined.into();
        assert_eq!(ToolFailure::public(&*asked), "the user declined");
        let source = ToolFailure::new("outer").with_source("inner");
        assert_eq!(source.source().unwrap().to_string(), "inner");
    }
}
