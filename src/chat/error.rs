use std::{error::Error, fmt, time::Duration};

use super::Usage;
use crate::{BoxError, log::ErrorCode};

/// A failure of a provider, with a message for clients.
///
/// The message is public. It goes into the terminal `error` event word for word, so it must not
/// contain a key, an address or a raw response body. The [source](Error::source) goes to traces
/// only.
///
/// The failure is not [recoverable](Self::recoverable) by default. For any other error of a
/// provider, clients see a fixed text, and it counts as recoverable.
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
    usage: Option<Box<Usage>>,
    cannot_continue: bool,
    source: Option<BoxError>,
}

impl ProviderError {
    /// Creates a failure with the code [`ErrorCode::Provider`] that is not recoverable. Clients see
    /// the message.
    pub fn new(public_message: impl Into<String>) -> Self {
        Self {
            message: public_message.into(),
            recoverable: false,
            code: ErrorCode::Provider,
            retry_after: None,
            usage: None,
            cannot_continue: false,
            source: None,
        }
    }

    /// Creates the failure of an answer that broke off before its end. It is recoverable.
    pub fn cut() -> Self {
        Self::new("the answer was cut off before its end; try again").recoverable(true)
    }

    /// Creates the refusal of a provider to go on with an interrupted answer in the way that the request asks for:
    /// to [read on](field@super::ChatRequest::reattach), to go on from
    /// [a part of it](field@super::ChatRequest::so_far), or to begin anew. Clients may see the reason.
    ///
    /// If it comes before the provider's first event, the next way of
    /// [`Recovery`](crate::durable::Recovery) is tried. Without one, or later, it ends the answer with the code
    /// [`ErrorCode::Interrupted`]; it is recoverable.
    pub fn cannot_continue(public_reason: impl Into<String>) -> Self {
        Self {
            cannot_continue: true,
            ..Self::new(public_reason)
                .recoverable(true)
                .with_code(ErrorCode::Interrupted)
        }
    }

    /// Finds a `ProviderError` in `error` or among its sources.
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

    /// Sets whether the same request may succeed if it is repeated. Default `false`.
    pub fn recoverable(mut self, recoverable: bool) -> Self {
        self.recoverable = recoverable;
        self
    }

    /// Sets the code.
    pub fn with_code(mut self, code: ErrorCode) -> Self {
        self.code = code;
        self
    }

    /// Sets the time to wait before the next try. Layers that retry read it; clients see it only if
    /// the message states it.
    pub fn with_retry_after(mut self, retry_after: Duration) -> Self {
        self.retry_after = Some(retry_after);
        self
    }

    /// Sets the usage of the turn that failed, as far as the model's server told it. The terminal event has it
    /// with that of the turns before.
    pub fn with_usage(mut self, usage: Usage) -> Self {
        self.usage = Some(Box::new(usage));
        self
    }

    /// Sets the cause. Clients never see it.
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Returns the message that clients see.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns true if the same request may succeed when it is repeated.
    pub fn is_recoverable(&self) -> bool {
        self.recoverable
    }

    /// Returns true for a refusal to go on with an interrupted answer
    /// ([`cannot_continue`](Self::cannot_continue)).
    pub fn is_cannot_continue(&self) -> bool {
        self.cannot_continue
    }

    /// Returns the code.
    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// Returns the usage of the turn that failed, if it is known.
    pub fn usage(&self) -> Option<&Usage> {
        self.usage.as_deref()
    }

    /// Returns the time to wait before the next try, if it is known.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

/// Writes the public message.
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
