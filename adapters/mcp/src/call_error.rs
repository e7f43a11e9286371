use rmcp::{
    ErrorData, ServiceError,
    transport::{DynamicTransportError, streamable_http_client::StreamableHttpError},
};
use unbroken::{BoxError, tools::ToolFailure};

/// The reason why the server gave no result for a call.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// There is no connection to the server.
    #[error("there is no connection to the server")]
    Unreachable(#[source] BoxError),
    /// The call didn't reach the server, or a session that the server has.
    #[error("the call didn't reach the server")]
    NotSent(#[source] BoxError),
    /// The server, or one before it, answered that it doesn't take the call.
    #[error("the server refused the call with the HTTP status {status}")]
    Rejected { status: u16 },
    /// The server, or one before it, answered that it failed.
    #[error("the server failed with the HTTP status {status}")]
    Failed { status: u16 },
    /// The connection was lost after the call was sent. Over HTTP, a message over the limit looks the same.
    #[error("the connection was lost during the call, or its result has more than {most} bytes")]
    Lost {
        #[source]
        source: BoxError,
        most: usize,
    },
    /// The server doesn't know this client any more.
    #[error("the server has forgotten the session")]
    Forgotten(#[source] ErrorData),
    /// The server answered with an error of JSON-RPC.
    #[error("the server refused the call")]
    Refused(#[source] ErrorData),
    /// The server wants credentials that it hasn't got.
    #[error("the server wants other credentials")]
    Unauthorized(#[source] BoxError),
    /// The server sent a message over the limit.
    #[error("the server sent a message of more than {most} bytes")]
    TooLarge { most: usize },
    /// The server asked for something that isn't offered to it, or answered in an unknown form.
    #[error("{0}")]
    Unreadable(&'static str),
}

/// What the server may have done for a call before the error that ended it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum EarlierRun {
    /// Nothing.
    None,
    /// It began, and asked for something.
    Asked,
    /// It got the call, and the connection was lost.
    Lost,
}

/// What the model is told of a call that may have had an effect.
const LOST: &str = "the connection to this tool was lost while it ran, or its result has more than";
const UNKNOWN: &str = "whether it took effect is unknown";
const NOT_AGAIN: &str = "It was not run again; find out before you ask for it once more";
const UNREADABLE: &str = "the server's result has a form that this server can't read";

impl CallError {
    /// Creates the error of a call over a connection that takes messages of `most` bytes.
    pub(crate) fn new(error: ServiceError, overflowed: bool, most: usize) -> Self {
        match error {
            ServiceError::McpError(error) if is_forgotten(&error) => Self::Forgotten(error),
            ServiceError::McpError(error) => Self::Refused(error),
            _ if overflowed => Self::TooLarge { most },
            ServiceError::TransportSend(error) => Self::of_transport(error, most),
            ServiceError::UnexpectedResponse => Self::Unreadable(UNREADABLE),
            error => Self::lost(error, most),
        }
    }

    fn of_transport(error: DynamicTransportError, most: usize) -> Self {
        let Some(http) = error
            .error
            .downcast_ref::<StreamableHttpError<reqwest::Error>>()
        else {
            // A line that couldn't be written whole to a program is no call to it.
            return Self::NotSent(error.into());
        };
        match http {
            StreamableHttpError::Client(client) if client.is_connect() => {
                Self::NotSent(error.into())
            }
            // The answer to a session that the server doesn't have.
            StreamableHttpError::SessionExpired => Self::NotSent(error.into()),
            StreamableHttpError::AuthRequired(_) | StreamableHttpError::InsufficientScope(_) => {
                Self::Unauthorized(error.into())
            }
            StreamableHttpError::HttpStatus(http) => match http.status {
                401 => Self::Unauthorized(error.into()),
                status @ 500.. => Self::Failed { status },
                status => Self::Rejected { status },
            },
            StreamableHttpError::ResponseBodyTooLarge { .. } => Self::TooLarge { most },
            StreamableHttpError::UnexpectedServerResponse(_)
            | StreamableHttpError::UnexpectedContentType(_)
            | StreamableHttpError::Deserialize(_) => Self::Unreadable(UNREADABLE),
            _ => Self::lost(error, most),
        }
    }

    fn lost(error: impl Into<BoxError>, most: usize) -> Self {
        let source = error.into();
        Self::Lost { source, most }
    }

    /// Returns true if the connection that it came over is of no use any more.
    pub(crate) fn ends_connection(&self) -> bool {
        match self {
            Self::Unreachable(_)
            | Self::NotSent(_)
            | Self::Lost { .. }
            | Self::Forgotten(_)
            | Self::TooLarge { .. } => true,
            Self::Rejected { .. }
            | Self::Failed { .. }
            | Self::Refused(_)
            | Self::Unauthorized(_)
            | Self::Unreadable(_) => false,
        }
    }

    /// Returns true if the server may still run the call, and ask for it.
    pub(crate) fn may_still_run(&self) -> bool {
        self.ends_connection() || matches!(self, Self::Failed { .. })
    }

    /// Returns true if the call may be sent once more.
    pub(crate) fn may_repeat(&self, idempotent: bool) -> bool {
        match self {
            Self::NotSent(_) => true,
            Self::Lost { .. } | Self::Forgotten(_) => idempotent,
            Self::Unreachable(_)
            | Self::Rejected { .. }
            | Self::Failed { .. }
            | Self::Refused(_)
            | Self::Unauthorized(_)
            | Self::TooLarge { .. }
            | Self::Unreadable(_) => false,
        }
    }

    /// Returns true if the call may have had an effect.
    pub(crate) fn may_have_run(&self) -> bool {
        matches!(self, Self::Lost { .. } | Self::Forgotten(_))
    }

    /// Returns the failure of the tool, with a message for the model.
    pub(crate) fn into_failure(self, idempotent: bool, earlier: EarlierRun) -> ToolFailure {
        let unknown = if idempotent {
            UNKNOWN.to_owned()
        } else {
            format!("{UNKNOWN}. {NOT_AGAIN}")
        };
        let not_run = |reason: &str| match earlier {
            EarlierRun::None => format!("{reason}; nothing was run"),
            EarlierRun::Asked => format!("{reason} after the call had begun: {unknown}"),
            EarlierRun::Lost => format!("{reason} after the connection was lost: {unknown}"),
        };
        let refused = |reason: String| match earlier {
            EarlierRun::None | EarlierRun::Asked => reason,
            EarlierRun::Lost => {
                format!("{reason}; the connection was lost before, and {UNKNOWN}")
            }
        };
        let message = match &self {
            Self::Unreachable(_) | Self::NotSent(_) => {
                not_run("the server of this tool can't be reached")
            }
            Self::Rejected { status } => not_run(&format!(
                "the tool's server refused the call with the HTTP status {status}"
            )),
            Self::Unauthorized(_) => not_run("the tool's server wants other credentials"),
            Self::Failed { status } => {
                format!("the tool's server failed with the HTTP status {status}: {unknown}")
            }
            Self::Lost { most, .. } => format!("{LOST} {most} bytes: {unknown}"),
            Self::Forgotten(error) => refused(format!(
                "the server of this tool began a new session and refused the call: {}",
                error.message
            )),
            Self::Refused(error) => {
                refused(format!("the tool's server refused: {}", error.message))
            }
            Self::TooLarge { most } => {
                format!("the tool ran, and its result is lost: it is larger than {most} bytes")
            }
            Self::Unreadable(message) => format!("{message}; the tool may have run"),
        };
        ToolFailure::new(message).with_source(self)
    }
}

/// Returns true if a server over HTTP answers so to the session of its former life. Servers that
/// follow the protocol answer 404.
fn is_forgotten(error: &ErrorData) -> bool {
    [-32000, -32001].contains(&error.code.0) && error.message.to_lowercase().contains("session")
}

#[cfg(test)]
mod tests {
    use rmcp::transport::streamable_http_client::HttpStatusError;

    use super::*;

    fn http(error: StreamableHttpError<reqwest::Error>) -> CallError {
        let id = std::any::TypeId::of::<()>();
        let error = DynamicTransportError::from_parts("http", id, error.into());
        CallError::new(ServiceError::TransportSend(error), false, 9)
    }

    fn told(error: CallError, earlier: EarlierRun) -> String {
        error.into_failure(false, earlier).to_string()
    }

    #[test]
    fn a_refusal_by_http_is_no_lost_connection() {
        for status in [400, 403, 404, 429] {
            let error = http(HttpStatusError::new(status, None).into());
            assert!(
                !error.ends_connection() && !error.may_still_run(),
                "{status}"
            );
            assert!(!error.may_repeat(true), "{status}");
            let told = told(error, EarlierRun::None);
            assert!(told.contains(&status.to_string()), "{told}");
            assert!(told.contains("nothing was run"), "{told}");
        }
        for status in [500, 503] {
            let error = http(HttpStatusError::new(status, None).into());
            assert!(
                !error.ends_connection() && error.may_still_run(),
                "{status}"
            );
            assert!(!error.may_repeat(true), "{status}");
            let told = told(error, EarlierRun::None);
            assert!(told.contains(UNKNOWN), "{told}");
        }
        let expired = http(StreamableHttpError::SessionExpired);
        assert!(expired.ends_connection() && expired.may_repeat(false));
        assert!(told(expired, EarlierRun::None).contains("nothing was run"));
    }

    #[test]
    fn nothing_was_run_is_not_said_after_a_run() {
        for earlier in [EarlierRun::Asked, EarlierRun::Lost] {
            let errors = [
                CallError::Unreachable("deaf".into()),
                CallError::NotSent("deaf".into()),
                CallError::Rejected { status: 429 },
                CallError::Unauthorized("who?".into()),
            ];
            for error in errors {
                let told = told(error, earlier);
                assert!(told.contains(UNKNOWN), "{told}");
                assert!(!told.contains("nothing was run"), "{told}");
            }
        }
        let refused = CallError::Refused(ErrorData::invalid_params("no", None));
        assert!(told(refused, EarlierRun::Lost).contains(UNKNOWN));
    }
}
