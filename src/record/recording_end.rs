use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use crate::log::{Ending, ErrorCode};

/// The tag of a record that tells how a recording ended.
const TAG: u8 = b'E';

/// The content of the terminal record of a recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub(crate) enum RecordingEnd {
    /// The body was recorded to its end.
    Complete,
    /// The recording was stopped.
    Aborted {
        /// The reason that the abort gave.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// The recording failed.
    Error {
        code: ErrorCode,
        /// A text for clients.
        message: String,
        /// True if the same request may succeed later.
        recoverable: bool,
    },
}

impl RecordingEnd {
    /// Returns the terminal record of an ending that the registry decides.
    pub(crate) fn of(ending: &Ending) -> Self {
        let error = |code, message: &str, recoverable| Self::Error {
            code,
            message: message.to_owned(),
            recoverable,
        };
        match ending {
            Ending::Complete => Self::Complete,
            Ending::Aborted { reason } => Self::Aborted {
                reason: reason.as_deref().map(str::to_owned),
            },
            Ending::Idle => error(
                ErrorCode::Timeout,
                "The response was silent for too long. Try again.",
                true,
            ),
            Ending::Age => error(
                ErrorCode::Timeout,
                "The response took too long. Try again, or ask for less.",
                true,
            ),
            Ending::EventBytes => error(
                ErrorCode::Limit,
                "A part of the response was larger than this server takes.",
                false,
            ),
            Ending::SessionBytes | Ending::SessionEvents => error(
                ErrorCode::Limit,
                "The response grew longer than this server takes. Ask for less.",
                false,
            ),
            Ending::GivenUp => error(
                ErrorCode::Limit,
                "The response waited longer than this server keeps one that waits. Try again.",
                true,
            ),
            Ending::Panicked => error(
                ErrorCode::Internal,
                "The server failed while it responded. Try again.",
                true,
            ),
            Ending::Interrupted => error(
                ErrorCode::Interrupted,
                "The server stopped before the response was done. Try again.",
                true,
            ),
        }
    }

    /// Decodes a record. `None` if it is no terminal record of a recording.
    pub(crate) fn decode(record: &[u8]) -> Option<Self> {
        let (&TAG, json) = record.split_first()? else {
            return None;
        };
        serde_json::from_slice(json).ok()
    }

    /// Encodes the record.
    pub(crate) fn encode(&self) -> Bytes {
        let mut record = BytesMut::new();
        record.put_u8(TAG);
        let written = serde_json::to_writer((&mut record).writer(), self);
        written.expect("texts and words are JSON, and the buffer grows");
        record.freeze()
    }
}
