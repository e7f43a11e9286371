use bytes::Bytes;

use super::recording_end::RecordingEnd;
use crate::{log::Ending, session::Format};

/// The format of recordings: each record is a byte that tells its kind, and the content.
///
/// The terminal record is `E` and JSON: `{"outcome":"complete"}`, `{"outcome":"aborted"}` with the `reason` if there is
/// one, or `{"outcome":"error"}` with `code`, `message` and `recoverable`.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct RecordingFormat;

impl RecordingFormat {
    /// Creates the format.
    pub const fn new() -> Self {
        Self
    }
}

impl Format for RecordingFormat {
    fn number(&self) -> u16 {
        2
    }

    fn ending(&self, ending: &Ending) -> Bytes {
        RecordingEnd::of(ending).encode()
    }

    /// Returns the terminal record without the reason of an abort, which is a client's words.
    fn summary(&self, terminal: &[u8]) -> Bytes {
        let summary = match RecordingEnd::decode(terminal) {
            Some(RecordingEnd::Aborted { .. }) => RecordingEnd::Aborted { reason: None },
            Some(other) => other,
            None => return Bytes::new(),
        };
        summary.encode()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Outcome;

    #[test]
    fn every_ending_is_a_terminal_record_of_its_outcome() {
        for ending in [
            Ending::Complete,
            Ending::Aborted { reason: None },
            Ending::Aborted {
                reason: Some("enough".into()),
            },
            Ending::Idle,
            Ending::Age,
            Ending::EventBytes,
            Ending::SessionBytes,
            Ending::SessionEvents,
            Ending::GivenUp,
            Ending::Panicked,
            Ending::Interrupted,
        ] {
            let record = RecordingFormat::new().ending(&ending);
            let end = RecordingEnd::decode(&record).expect("it is one");
            match (&end, ending.outcome()) {
                (RecordingEnd::Complete, Outcome::Complete)
                | (RecordingEnd::Aborted { .. }, Outcome::Aborted) => {}
                (RecordingEnd::Error { code, message, .. }, Outcome::Error(expected)) => {
                    assert_eq!(*code, expected);
                    assert!(!message.is_empty());
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_terminal_record_is_a_tag_and_json_and_its_summary_has_no_reason() {
        let format = RecordingFormat::new();
        let record = |ending| format.ending(&ending);
        let aborted = record(Ending::Aborted {
            reason: Some("enough".into()),
        });
        assert_eq!(aborted, r#"E{"outcome":"aborted","reason":"enough"}"#);
        assert_eq!(format.summary(&aborted), r#"E{"outcome":"aborted"}"#);
        let complete = record(Ending::Complete);
        assert_eq!(complete, r#"E{"outcome":"complete"}"#);
        assert_eq!(format.summary(&complete), complete);
        let failed = record(Ending::Idle);
        assert_eq!(
            failed,
            r#"E{"outcome":"error","code":"timeout","message":"The response was silent for too long. Try again.","recoverable":true}"#
        );
        assert_eq!(format.summary(&failed), failed);
        for other in [&b""[..], b"E", b"D{\"outcome\":\"complete\"}", b"Enough"] {
            assert!(format.summary(other).is_empty(), "{other:?}");
        }
    }
}
