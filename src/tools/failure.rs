use std::error::Error;

use super::Unanswered;
use crate::BoxError;

/// A failure of a tool that the model and the clients may hear of.
///
/// Its message goes into the log word for word, so it must not carry a secret or an address. What it
/// was made of goes to a trace only. What is longer than [`ToolFailure::MAX_BYTES`] is cut.
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

/// What is said of an error that isn't meant for others.
const PRIVATE: &str = "the tool failed";

impl ToolFailure {
    /// The most bytes that anybody is told of a failure, as UTF-8: 8 KiB.
    pub const MAX_BYTES: usize = 8 * 1024;

    /// A failure with a message for the model, which clients see too.
    pub fn new(public_message: impl Into<String>) -> Self {
        Self {
            message: public_message.into(),
            source: None,
        }
    }

    /// The same failure, with what it was made of.
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What of a message is told.
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

    /// What may be said of `error`.
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
    fn a_message_is_cut_where_it_is_too_long() {
        let fits = "ä".repeat(ToolFailure::MAX_BYTES / 2);
        assert_eq!(ToolFailure::cut(fits.clone()), fits);
        let cut = ToolFailure::cut(format!("{fits}ä"));
        assert!((ToolFailure::MAX_BYTES - 3..=ToolFailure::MAX_BYTES).contains(&cut.len()));
        assert!(cut.ends_with("ä…"));
        assert_eq!(ToolFailure::cut(cut.clone()), cut);
    }

    #[test]
    fn only_what_is_meant_for_others_is_told() {
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
