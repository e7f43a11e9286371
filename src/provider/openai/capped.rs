use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::BoxError;

pin_project! {
    /// A body of server-sent events that fails where one of them is too long: the decoder behind it
    /// keeps an event until it is whole, however long it gets.
    pub(super) struct Capped<B> {
        #[pin]
        body: B,
        blocks: Blocks,
    }
}

/// An event was too long.
#[derive(Debug, thiserror::Error)]
#[error("an event of the stream has more than {max} bytes")]
pub(super) struct TooLong {
    max: usize,
}

/// The body failed: by itself, or because an event was [`TooLong`].
#[derive(Debug, thiserror::Error)]
#[error("the body of the response failed")]
pub(super) struct CappedError(#[source] pub(super) BoxError);

impl<B> Capped<B> {
    pub(super) fn new(body: B, max: usize) -> Self {
        Self {
            body,
            blocks: Blocks {
                max,
                len: 0,
                line: Line::Empty,
            },
        }
    }
}

impl<B> Body for Capped<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = CappedError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CappedError>>> {
        let this = self.project();
        let frame = match ready!(this.body.poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => return Poll::Ready(Some(Err(CappedError(error.into())))),
            None => return Poll::Ready(None),
        };
        if let Some(data) = frame.data_ref()
            && let Err(error) = this.blocks.pass(data)
        {
            return Poll::Ready(Some(Err(CappedError(error.into()))));
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Counts the bytes since the last empty line. Lines end with CR, LF or CRLF.
#[derive(Debug)]
struct Blocks {
    max: usize,
    len: usize,
    line: Line,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    /// Nothing stands on it yet.
    Empty,
    /// Nothing, and the byte before it was a CR: a LF now belongs to that.
    EmptyAfterCr,
    /// Something.
    Begun,
}

impl Blocks {
    fn pass(&mut self, data: &[u8]) -> Result<(), TooLong> {
        for byte in data {
            self.line = match (byte, self.line) {
                (b'\n', Line::EmptyAfterCr) => Line::Empty,
                (b'\n', before) => {
                    self.end_line(before);
                    Line::Empty
                }
                (b'\r', before) => {
                    self.end_line(before);
                    Line::EmptyAfterCr
                }
                _ => Line::Begun,
            };
            self.len += 1;
            if self.len > self.max {
                return Err(TooLong { max: self.max });
            }
        }
        Ok(())
    }

    fn end_line(&mut self, line: Line) {
        if line != Line::Begun {
            self.len = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn longest(text: &str, max: usize) -> Result<(), TooLong> {
        let mut blocks = Capped::new((), max).blocks;
        text.as_bytes()
            .chunks(1)
            .try_for_each(|byte| blocks.pass(byte))
    }

    #[test]
    fn events_of_any_number_pass_if_each_is_short() {
        for end in ["\n", "\r\n", "\r"] {
            let event = format!("data: 12345{end}{end}");
            assert!(longest(&event.repeat(100), 16).is_ok(), "{end:?}");
        }
    }

    #[test]
    fn lines_of_one_event_add_up() {
        for end in ["\n", "\r\n", "\r"] {
            let event = format!("data: 12345{end}");
            assert!(longest(&event.repeat(2), 16).is_err(), "{end:?}");
        }
    }

    #[test]
    fn an_event_without_end_is_stopped_at_the_limit() {
        assert!(longest(&"x".repeat(16), 16).is_ok());
        assert!(longest(&"x".repeat(17), 16).is_err());
    }
}
