use crate::{BoxError, chat::ProviderError};

/// The handling of a provider that [can't continue](ProviderError::cannot_continue) an interrupted answer.
pub(super) enum Decline {
    /// It is a failure as others.
    Fails,
    /// It ends the source without a record, and another way of recovery is tried.
    Ends,
    /// It has ended the source, for this reason.
    Ended(String),
}

impl Decline {
    /// Returns true if the source ends because of this error, and keeps the reason.
    pub(super) fn takes(&mut self, error: &BoxError) -> bool {
        if let Self::Ends = self
            && let Some(reason) = cannot_continue(error)
        {
            *self = Self::Ended(reason);
            return true;
        }
        false
    }
}

/// Returns the reason why the provider can't continue an interrupted answer, if it says so.
fn cannot_continue(error: &BoxError) -> Option<String> {
    let error = ProviderError::find(&**error)?;
    error
        .is_cannot_continue()
        .then(|| error.message().to_owned())
}
