//! Splits a body into frames. No I/O and no clock.

mod body_frame;
mod event_lines;
mod events;
mod frame_kind;
mod line_start;
mod opening;

use std::mem;

use bytes::{Buf, Bytes, BytesMut};

pub(super) use self::{
    body_frame::BodyFrame,
    event_lines::{LineKind, lines},
    frame_kind::FrameKind,
    opening::BYTE_ORDER_MARK,
};
use self::{
    events::EventScanner,
    opening::{OpeningVerdict, StreamOpening},
};
use super::Framing;

/// A splitter of one body into frames.
///
/// Frames depend on the body only, not on its chunks; opaque ones are the chunks, as they come. A frame that lies in one
/// chunk isn't copied. Each byte is looked at once.
#[derive(Debug)]
pub(super) struct Splitter {
    max: usize,
    mode: Mode,
    // The front of the frame, from chunks before.
    held: BytesMut,
    chunk: Bytes,
    finished: bool,
}

/// The error of a frame that is longer than the maximum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event or a line of the body has more than {max} bytes")]
pub(super) struct FrameTooLong {
    max: usize,
}

#[derive(Debug)]
enum Mode {
    Opening(StreamOpening),
    Events(EventScanner),
    Lines,
    Opaque,
}

impl Splitter {
    /// Creates a splitter whose frames have at most `max` bytes, and at least one.
    pub(super) fn new(framing: Framing, max: usize) -> Self {
        Self {
            max: max.max(1),
            mode: match framing {
                Framing::Events => Mode::Opening(StreamOpening::default()),
                Framing::Lines => Mode::Lines,
                Framing::Bytes => Mode::Opaque,
            },
            held: BytesMut::new(),
            chunk: Bytes::new(),
            finished: false,
        }
    }

    /// Takes the next chunk of the body, once [`next_frame`](Self::next_frame) has returned `None`.
    pub(super) fn push(&mut self, chunk: Bytes) {
        debug_assert!(self.chunk.is_empty(), "there are frames left");
        self.chunk = chunk;
    }

    /// Ends the body. The last frame follows.
    pub(super) fn finish(&mut self) {
        self.finished = true;
    }

    /// Returns the next frame, or `None` if it needs another chunk.
    ///
    /// # Errors
    ///
    /// If it is too long. There is no frame after that.
    pub(super) fn next_frame(&mut self) -> Result<Option<BodyFrame>, FrameTooLong> {
        while !self.chunk.is_empty() {
            if let Mode::Opening(_) = self.mode {
                if let Some(mark) = self.open() {
                    return Ok(Some(mark));
                }
                continue;
            }
            let room = self.max - self.held.len();
            if room == 0 {
                let part = match &mut self.mode {
                    Mode::Events(scanner) => scanner.overflow(self.held.len()),
                    _ => None,
                };
                let (len, kind) = part.ok_or(FrameTooLong { max: self.max })?;
                let bytes = self.held.split_to(len).freeze();
                return Ok(Some(BodyFrame { kind, bytes }));
            }
            let bytes = &self.chunk[..room.min(self.chunk.len())];
            let end = match &mut self.mode {
                Mode::Events(scanner) => scanner.scan(bytes),
                Mode::Lines => {
                    let end = bytes.iter().position(|&byte| byte == b'\n');
                    end.map(|at| (at + 1, FrameKind::Line))
                }
                Mode::Opening(_) | Mode::Opaque => Some((bytes.len(), FrameKind::Opaque)),
            };
            if let Some((len, kind)) = end {
                return Ok(Some(self.take(len, kind)));
            }
            self.held.extend_from_slice(bytes);
            let len = bytes.len();
            self.chunk.advance(len);
        }
        Ok(self.rest())
    }

    /// Looks whether the body is an event stream, and returns its byte order mark if it is.
    fn open(&mut self) -> Option<BodyFrame> {
        let Mode::Opening(opening) = &mut self.mode else {
            return None;
        };
        let mut room = self.max - self.held.len();
        let verdict = self.chunk.iter().find_map(|&byte| {
            let Some(left) = room.checked_sub(1) else {
                return Some(OpeningVerdict::Opaque);
            };
            room = left;
            opening.push(byte)
        });
        if verdict.is_none() || !self.held.is_empty() {
            self.held.extend_from_slice(&self.chunk);
            self.chunk = Bytes::new();
        }
        let verdict = verdict?;
        if !self.held.is_empty() {
            self.chunk = mem::take(&mut self.held).freeze();
        }
        match verdict {
            OpeningVerdict::Events { mark } => {
                self.mode = Mode::Events(EventScanner::default());
                mark.then(|| self.take(BYTE_ORDER_MARK.len(), FrameKind::NoEvent))
            }
            OpeningVerdict::Opaque => {
                self.mode = Mode::Opaque;
                None
            }
        }
    }

    /// Takes what is held and so many bytes of the chunk.
    fn take(&mut self, len: usize, kind: FrameKind) -> BodyFrame {
        let bytes = if self.held.is_empty() {
            self.chunk.split_to(len)
        } else {
            self.held.extend_from_slice(&self.chunk[..len]);
            self.chunk.advance(len);
            mem::take(&mut self.held).freeze()
        };
        BodyFrame { kind, bytes }
    }

    fn rest(&mut self) -> Option<BodyFrame> {
        if !self.finished || self.held.is_empty() {
            return None;
        }
        let kind = match &mut self.mode {
            Mode::Opening(opening) if !opening.is_blank() => FrameKind::Opaque,
            Mode::Opening(_) => FrameKind::NoEvent,
            Mode::Events(scanner) => scanner.finish(),
            Mode::Lines => FrameKind::Line,
            Mode::Opaque => FrameKind::Opaque,
        };
        Some(self.take(0, kind))
    }
}

#[cfg(test)]
pub(super) mod bodies;
#[cfg(test)]
mod tests;
