use std::{borrow::Cow, time::Duration};

use http::StatusCode;

/// The refusal of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// The kind of problem.
    pub problem: Problem,
    /// Instructions for the reader: the cause, and the change that helps.
    pub detail: Cow<'static, str>,
    /// The time after which a retry may succeed.
    pub retry_after: Option<Duration>,
    /// The methods of the path, for [`Problem::MethodNotAllowed`].
    pub allow: Option<&'static str>,
}

impl Refusal {
    /// Creates a refusal of this kind with its instructions.
    pub fn new(problem: Problem, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            problem,
            detail: detail.into(),
            retry_after: None,
            allow: None,
        }
    }

    /// Sets the time after which a retry may succeed.
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// Sets the methods of the path.
    pub fn allow(mut self, methods: &'static str) -> Self {
        self.allow = Some(methods);
        self
    }
}

macro_rules! problems {
    ($($(#[$doc:meta])* $Variant:ident = $status:ident $name:literal $title:literal,)+) => {
        /// The kind of a refusal. Its URN is stable, so clients may match on it.
        ///
        #[doc = "| type | status | title |\n|---|---|---|"]
        $(#[doc = concat!("| `urn:unbroken:", $name, "` | ", stringify!($status), " | ", $title, " |")])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Problem {
            $(#[doc = concat!($title, ": `urn:unbroken:", $name, "`.")] $(#[$doc])* $Variant,)+
        }

        impl Problem {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$Variant),+];

            /// Returns the HTTP status.
            pub const fn status(self) -> StatusCode {
                match self {
                    $(Self::$Variant => StatusCode::$status,)+
                }
            }

            /// Returns the URN, the `type` in `application/problem+json`.
            pub const fn urn(self) -> &'static str {
                match self {
                    $(Self::$Variant => concat!("urn:unbroken:", $name),)+
                }
            }

            /// Returns a short, constant summary, the `title` in `application/problem+json`.
            pub const fn title(self) -> &'static str {
                match self {
                    $(Self::$Variant => $title,)+
                }
            }
        }
    };
}

problems! {
    NotJson = BAD_REQUEST "not-json" "The body is not JSON",
    IncompleteBody = BAD_REQUEST "incomplete-body" "The body was cut",
    MalformedId = BAD_REQUEST "malformed-id" "Not a session id",
    MalformedCursor = BAD_REQUEST "malformed-cursor" "Not a cursor",
    MalformedParameter = BAD_REQUEST "malformed-parameter" "Not a value for this parameter",
    CursorPastTail = BAD_REQUEST "cursor-past-tail" "The cursor lies past the end of the log",
    Forbidden = FORBIDDEN "forbidden" "Not allowed",
    CrossSite = FORBIDDEN "cross-site" "Sent by a page of another site",
    NotFound = NOT_FOUND "not-found" "No such session",
    NoSuchInput = NOT_FOUND "no-such-input" "No question is open under this id",
    NoSuchRoute = NOT_FOUND "no-such-route" "Nothing at this path",
    MethodNotAllowed = METHOD_NOT_ALLOWED "method-not-allowed" "Not with this method",
    NotAcceptable = NOT_ACCEPTABLE "not-acceptable" "No such representation",
    BodyTooSlow = REQUEST_TIMEOUT "body-too-slow" "The body took too long",
    IdInUse = CONFLICT "id-in-use" "The id is in use",
    ChatBusy = CONFLICT "chat-busy" "Another answer of the conversation runs",
    InputAnswered = CONFLICT "input-answered" "The question is no longer open",
    Stopped = CONFLICT "stopped" "The session was stopped",
    OutputGiven = CONFLICT "output-given" "The outputs were given before",
    LogRewound = CONFLICT "log-rewound" "The log was rewound",
    Gone = GONE "gone" "The session is gone",
    BodyTooLarge = PAYLOAD_TOO_LARGE "body-too-large" "The body is too large",
    UnsupportedMediaType = UNSUPPORTED_MEDIA_TYPE "unsupported-media-type" "The body is of the wrong type",
    WrongShape = UNPROCESSABLE_ENTITY "wrong-shape" "Not a chat request",
    TooManyElements = UNPROCESSABLE_ENTITY "too-many-elements" "The request has too many elements",
    UnfitAnswer = UNPROCESSABLE_ENTITY "unfit-answer" "Not an answer to the question",
    NotOpen = UNPROCESSABLE_ENTITY "not-open" "Not open to clients",
    OverLimit = TOO_MANY_REQUESTS "over-limit" "Too many sessions",
    Corrupt = INTERNAL_SERVER_ERROR "corrupt" "The log can't be read",
    Internal = INTERNAL_SERVER_ERROR "internal" "A bug of the server",
    Encoded = BAD_GATEWAY "encoded" "The response is compressed",
    Interrupted = SERVICE_UNAVAILABLE "interrupted" "The server was lost before the response",
    ServiceNotReady = SERVICE_UNAVAILABLE "service-not-ready" "The service is not ready",
    ProviderNotReady = SERVICE_UNAVAILABLE "provider-not-ready" "The provider is not ready",
    StoreUnavailable = SERVICE_UNAVAILABLE "store-unavailable" "The store is unavailable",
    UnsupportedFormat = SERVICE_UNAVAILABLE "unsupported-format" "Written by a newer server",
    ShuttingDown = SERVICE_UNAVAILABLE "shutting-down" "The server is shutting down",
    NoResponse = GATEWAY_TIMEOUT "no-response" "No response in time",
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_problem_has_a_unique_urn_and_an_error_status() {
        let names: HashSet<_> = Problem::ALL.iter().map(|it| it.urn()).collect();
        assert_eq!(names.len(), Problem::ALL.len());
        for problem in Problem::ALL {
            let status = problem.status();
            assert!(status.is_client_error() || status.is_server_error());
            assert_ne!(status, 401, "that one is the application's");
        }
    }
}
