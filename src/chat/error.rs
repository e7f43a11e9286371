use std::{error::Error, fmt, time::Duration};

use crate::{BoxError, log::ErrorCode};

/// A failure that a provider lets clients hear of.
///
/// Its message is public: it goes into the terminal `error` event, word for word, so it must not
/// carry a key, an address or a raw response body. [What the failure was made of](Error::source)
/// goes to traces only.
///
/// It is not [recoverable](Self::recoverable) unless it says so. Of any other error that a provider
/// returns clients hear a fixed text, and that it is recoverable.
///
/// ```
/// use unbroken::{chat::ProviderError, log::ErrorCode};
///
/// let error = ProviderError::new("the model is overloaded; try again in a minute")
///     .recoverable(true)
///     .with_source("503 from 10.0.0.7");
/// assert_eq!(error.to_string(), "the model is overloaded; try again in a minute");
/// assert_eq!(error.code(), ErrorCode::Provider);
/// ```
#[derive(Debug)]
pub struct ProviderError {
    message: String,
    recoverable: bool,
    code: ErrorCode,
    retry_after: Option<Duration>,
    source: Option<BoxError>,
}

impl ProviderError {
    /// A failure of code [`ErrorCode::Provider`] that trying again doesn't mend, with a message
    /// that clients may see.
    pub fn new(public_message: impl Into<String>) -> Self {
        Self {
            message: public_message.into(),
            recoverable: false,
            code: ErrorCode::Provider,
            retry_after: None,
            source: None,
        }
    }

    /// The answer broke off before its end. Recoverable.
    pub fn cut() -> Self {
        Self::new("the answer was cut off before its end; try again").recoverable(true)
    }

    /// The failure for which clients may hear a message, if there is one in `error` or among what
    /// it was made of.
    pub fn find<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(found) = error.downcast_ref() {
                return Some(found);
            }
            next = error.source();
        }
        None
    }

    /// Whether the same request may succeed if it is made again. Default `false`.
    pub fn recoverable(mut self, recoverable: bool) -> Self {
        self.recoverable = recoverable;
        self
    }

    /// The same failure, of this kind.
    pub fn with_code(mut self, code: ErrorCode) -> Self {
        self.code = code;
        self
    }

    /// The same failure, with how long to wait before trying again. For layers that retry; clients
    /// hear of it only if the message says so.
    pub fn with_retry_after(mut self, retry_after: Duration) -> Self {
        self.retry_after = Some(retry_after);
        self
    }

    /// The same failure, with what it was made of. Clients never see that.
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What clients see.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Whether the same request may succeed if it is made again.
    pub fn is_recoverable(&self) -> bool {
        self.recoverable
    }

    /// The kind of failure.
    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// How long to wait before trying again, where the failure said so.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

/// The public message.
impl fmt::Display for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for ProviderError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self.source.as_deref()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_is_kept_but_not_displayed() {
        let error = ProviderError::new("sorry").with_source("the inner reason");
        assert_eq!(error.to_string(), "sorry");
        assert_eq!(error.source().unwrap().to_string(), "the inner reason");
    }

    #[test]
    fn a_public_message_is_found_behind_other_errors() {
        #[derive(Debug, thiserror::Error)]
        #[error("a layer's own words")]
        struct LayerError(#[source] BoxError);

        let found = |error: &(dyn Error + 'static)| {
            ProviderError::find(error).map(|found| found.message().to_owned())
        };
        let wrapped = LayerError(LayerError(ProviderError::new("sorry").into()).into());
        assert_eq!(found(&wrapped).as_deref(), Some("sorry"));
        let outer = ProviderError::new("outer").with_source(wrapped);
        assert_eq!(found(&outer).as_deref(), Some("outer"));
        assert_eq!(found(&LayerError("else".into())), None);
    }

    #[test]
    fn codes_are_the_words_of_the_protocol() {
        for code in [
            ErrorCode::Provider,
            ErrorCode::Timeout,
            ErrorCode::Interrupted,
            ErrorCode::Limit,
            ErrorCode::Internal,
        ] {
            assert_eq!(serde_json::to_string(&code).unwrap(), format!("\"{code}\""));
        }
    }
}
