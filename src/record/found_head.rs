use super::{recorded_head::RecordedHead, recording_end::RecordingEnd, records};
use crate::{
    dialect::{Problem, Refusal},
    exchange::refusals,
    log::Position,
    session::{BatchLimits, ReadError, Reader, Session},
};

/// The head of a recording, and a reader that stands behind it.
#[derive(Debug)]
pub(super) struct FoundHead {
    pub(super) head: RecordedHead,
    pub(super) reader: Reader,
}

/// The reason for which a recording has no head.
#[derive(Debug)]
pub(super) enum HeadMissing {
    /// The session is no more: its response was not recorded, or it was deleted.
    Withdrawn,
    /// It ended without one, or can't be read.
    Refused(Refusal),
}

impl FoundHead {
    /// Waits until the head is in the log. Cancel safe.
    pub(super) async fn wait(session: &Session) -> Result<Self, HeadMissing> {
        let mut reader = session.reader(Position::START).await?;
        let one = BatchLimits {
            bytes: usize::MAX,
            records: 1,
            keeps_shared: false,
        };
        loop {
            let batch = std::future::poll_fn(|cx| reader.poll_within(cx, one)).await;
            let Some(batch) = batch.transpose()? else {
                return Err(HeadMissing::Refused(corrupt()));
            };
            for record in batch.chunk().records() {
                if records::is_begin(record.bytes) {
                    continue;
                }
                if let Some(head) = RecordedHead::read(record.bytes) {
                    return Ok(Self { head, reader });
                }
                let ended = RecordingEnd::decode(record.bytes);
                return Err(HeadMissing::Refused(
                    ended.as_ref().map_or_else(corrupt, ended_before),
                ));
            }
        }
    }
}

impl From<ReadError> for HeadMissing {
    fn from(error: ReadError) -> Self {
        match error {
            // Another session may have the id by now.
            ReadError::NotFound | ReadError::Rewound { .. } => Self::Withdrawn,
            error => Self::Refused(refusals::read(&error, Position::START)),
        }
    }
}

/// Makes the refusal for a recording that ended before its head.
fn ended_before(end: &RecordingEnd) -> Refusal {
    use crate::log::ErrorCode;
    match end {
        RecordingEnd::Aborted { .. } => Refusal::new(
            Problem::Stopped,
            "the session was stopped before there was a response; start a new one under another id",
        ),
        // Sent again, the request would attach to this session.
        RecordingEnd::Error { code, .. } => match code {
            ErrorCode::Timeout => Refusal::new(
                Problem::NoResponse,
                "there was no response in time; start a new session under another id",
            ),
            ErrorCode::Interrupted => Refusal::new(
                Problem::Interrupted,
                "the server stopped before there was a response; start a new session under another id",
            ),
            _ => Refusal::new(
                Problem::Internal,
                "the server failed before there was a response; start a new session under another id",
            ),
        },
        RecordingEnd::Complete => corrupt(),
    }
}

fn corrupt() -> Refusal {
    tracing::error!("a recording has no head");
    Refusal::new(
        Problem::Corrupt,
        "the head of this response can't be read; start a new session",
    )
}
