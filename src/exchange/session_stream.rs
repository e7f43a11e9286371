use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use tokio::time::{Instant, Sleep};

use crate::{
    dialect::{Encoder, Progress},
    log::{Chunk, Lsn, Position, Status},
    session::{Batch, BatchLimits, ReadError, Reader},
};

/// The size of frames for a reader that is behind, in bytes. A single record may be larger.
const FRAME: usize = 64 * 1024;
/// The size from which a frame is sent.
const FULL: usize = FRAME - 2 * 1024;

/// The time between the last frame of a failing body and its error. hyper drops a frame that an error
/// follows at once; the delay lets it write the frame first.
pub(crate) const FLUSH: Duration = Duration::from_millis(20);

/// The frames of a session's stream: batches of a reader, in an encoder's bytes.
pub(crate) struct SessionStream<E: ?Sized = dyn Encoder> {
    reader: Reader,
    encoder: Box<E>,
    // Encoded, but not sent yet.
    frame: BytesMut,
    skip_to: Lsn,
    // The last record that the encoder has, and whether its progress was reported to the encoder.
    written: Position,
    reported: bool,
    lifetime: Option<Pin<Box<Sleep>>>,
    heartbeat: Option<Heartbeat>,
    state: StreamState,
}

enum StreamState {
    Reading,
    // The terminal event and the trailer are written.
    Ending,
    Failing(ReadError),
    Flushing(ReadError, Pin<Box<Sleep>>),
    Done,
}

impl<E: Encoder + ?Sized> SessionStream<E> {
    pub(crate) fn new(
        reader: Reader,
        encoder: Box<E>,
        preamble: BytesMut,
        heartbeat: Option<Duration>,
    ) -> Self {
        let lifetime = encoder.lifetime();
        Self {
            written: reader.position(),
            reported: false,
            lifetime: lifetime.map(|lifetime| Box::pin(tokio::time::sleep(lifetime))),
            reader,
            encoder,
            frame: preamble,
            skip_to: Lsn::ZERO,
            heartbeat: heartbeat.map(Heartbeat::new),
            state: StreamState::Reading,
        }
    }

    pub(crate) fn skip_to(&mut self, lsn: Lsn) {
        self.skip_to = lsn;
    }

    /// Returns the session's status, as far as this server knows it.
    pub(crate) fn status(&self) -> Status {
        self.reader.status()
    }

    /// Returns the encoder, to which all records up to the last bytes were given.
    pub(crate) fn encoder(&mut self) -> &mut E {
        &mut self.encoder
    }

    pub(crate) fn is_done(&self) -> bool {
        matches!(self.state, StreamState::Done)
    }

    pub(crate) fn poll_bytes(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, ReadError>>> {
        if let (StreamState::Reading, Some(lifetime)) = (&self.state, &mut self.lifetime)
            && lifetime.as_mut().poll(cx).is_ready()
        {
            self.lifetime = None;
            self.state = StreamState::Ending;
        }
        if let StreamState::Reading = self.state
            && let Poll::Ready(bytes) = self.poll_read(cx)
        {
            if let Some(heartbeat) = &mut self.heartbeat {
                heartbeat.sent();
            }
            return Poll::Ready(Some(Ok(bytes)));
        }
        loop {
            match std::mem::replace(&mut self.state, StreamState::Done) {
                StreamState::Reading => {
                    self.state = StreamState::Reading;
                    return self.poll_heartbeat(cx).map(|bytes| Some(Ok(bytes)));
                }
                state @ (StreamState::Ending | StreamState::Failing(_))
                    if !self.frame.is_empty() =>
                {
                    self.state = state;
                    return Poll::Ready(Some(Ok(self.take_frame())));
                }
                StreamState::Ending | StreamState::Done => return Poll::Ready(None),
                StreamState::Failing(error) => {
                    let flushed = Box::pin(tokio::time::sleep(FLUSH));
                    self.state = StreamState::Flushing(error, flushed);
                }
                StreamState::Flushing(error, mut flushed) => {
                    if flushed.as_mut().poll(cx).is_pending() {
                        self.state = StreamState::Flushing(error, flushed);
                        return Poll::Pending;
                    }
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }

    /// Polls for the bytes of the next frame. Pending also if the state has changed; the caller acts on
    /// the new state then.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Bytes> {
        // A shared encoding that is sent as it is, without a copy, if nothing else is ready.
        let mut lone = None;
        loop {
            let len = self.frame.len() + lone.as_ref().map_or(0, Bytes::len);
            if len >= FULL {
                break;
            }
            match self.reader.poll_within(cx, self.limits(FRAME - len)) {
                Poll::Pending => break,
                Poll::Ready(Some(Ok(batch))) => {
                    if let Some(bytes) = lone.take() {
                        self.append(&bytes);
                    }
                    lone = self.encode_batch(&batch).filter(|bytes| !bytes.is_empty());
                    // Nothing else is ready. The end is polled for only once these bytes have been
                    // taken: a body that is dropped before has not delivered the terminal event.
                    // Without any bytes the reader is polled again, which registers the waker.
                    let any = lone.is_some() || !self.frame.is_empty();
                    if any && self.reader.is_caught_up() {
                        break;
                    }
                }
                Poll::Ready(None) => {
                    if let Some(bytes) = lone.take() {
                        self.append(&bytes);
                    }
                    self.encoder.trailer(&mut self.frame);
                    self.state = StreamState::Ending;
                    break;
                }
                Poll::Ready(Some(Err(error))) => {
                    if let Some(bytes) = lone.take() {
                        self.append(&bytes);
                    }
                    if let ReadError::Unavailable = error {
                        self.encoder.unavailable(&mut self.frame);
                    }
                    self.state = StreamState::Failing(error);
                    break;
                }
            }
        }
        if let StreamState::Reading = self.state {
            if self.may_pause() {
                if let Some(bytes) = lone.take() {
                    self.append(&bytes);
                }
                self.encoder.trailer(&mut self.frame);
                self.state = StreamState::Ending;
            } else {
                self.report_progress();
            }
        }
        match lone {
            Some(bytes) if self.frame.is_empty() => Poll::Ready(bytes),
            Some(bytes) => {
                self.append(&bytes);
                Poll::Ready(self.take_frame())
            }
            None if self.frame.is_empty() => Poll::Pending,
            None => Poll::Ready(self.take_frame()),
        }
    }

    /// Returns true if the client was sent everything, and the last of it ends a response in its
    /// protocol.
    fn may_pause(&self) -> bool {
        self.reader.is_caught_up() && self.written.lsn > self.skip_to && self.encoder.may_pause()
    }

    /// Reports the position to the encoder, once for each position.
    fn report_progress(&mut self) {
        let caught_up = self.reader.is_caught_up();
        // With an empty frame and more to read, this position is only a step on the way.
        if self.reported || (self.frame.is_empty() && !caught_up) {
            return;
        }
        self.reported = true;
        let progress = Progress::new(self.written)
            .caught_up(caught_up)
            .ended(self.reader.at_end());
        self.encoder.progress(&progress, &mut self.frame);
    }

    fn advance(&mut self, chunk: &Chunk) {
        self.written = Position::tagged(chunk.last(), chunk.epoch().tag());
        self.reported = false;
    }

    /// Writes a batch into the frame, or returns its shared encoding.
    fn encode_batch(&mut self, batch: &Batch) -> Option<Bytes> {
        let mut chunk = batch.chunk().clone();
        if chunk.first() <= self.skip_to {
            if let Some(known) = chunk.up_to(self.skip_to) {
                self.encoder.skip(&known);
                self.advance(&known);
            }
            chunk = chunk.after(self.skip_to)?;
        } else if let (Some(key), true) = (self.encoder.shared_key(), batch.is_shared()) {
            let mut encoded_here = false;
            let bytes = batch.encoded(key, |chunk| {
                encoded_here = true;
                let mut out = BytesMut::new();
                self.encoder.encode(chunk, &mut out);
                out.freeze()
            });
            if !encoded_here {
                self.encoder.skip(&chunk);
            }
            self.advance(&chunk);
            return Some(bytes);
        }
        self.write(&chunk);
        None
    }

    /// Returns the limits of a batch whose encoding fits into so many bytes of a frame. The stream keeps
    /// no rest of a batch: a reader that stops reading must not hold records.
    fn limits(&self, room: usize) -> BatchLimits {
        // The size of the encoding isn't known before. This leaves as much space as the records take,
        // and 32 bytes for each.
        BatchLimits {
            bytes: room / 2,
            records: room as u64 / 64,
            keeps_shared: self.encoder.shared_key().is_some(),
        }
    }

    /// Writes a chunk into the frame.
    fn write(&mut self, chunk: &Chunk) {
        if chunk.bytes() > FRAME / 4 {
            self.frame.reserve(FRAME - self.frame.len().min(FRAME));
        }
        self.encoder.encode(chunk, &mut self.frame);
        self.advance(chunk);
    }

    fn append(&mut self, bytes: &Bytes) {
        self.frame.extend_from_slice(bytes);
    }

    fn take_frame(&mut self) -> Bytes {
        std::mem::take(&mut self.frame).freeze()
    }

    fn poll_heartbeat(&mut self, cx: &mut Context<'_>) -> Poll<Bytes> {
        let Some(heartbeat) = &mut self.heartbeat else {
            return Poll::Pending;
        };
        loop {
            std::task::ready!(heartbeat.poll(cx));
            heartbeat.sent();
            // Here may be no place for one now.
            if let Some(bytes) = self.encoder.heartbeat() {
                return Poll::Ready(bytes);
            }
        }
    }
}

/// The heartbeat of a stream: due once nothing was sent for a period. Its timer is set at the first
/// silence and then only when it fires, not with each frame.
struct Heartbeat {
    period: Duration,
    last: Instant,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Heartbeat {
    fn new(period: Duration) -> Self {
        Self {
            period,
            last: Instant::now(),
            timer: None,
        }
    }

    fn sent(&mut self) {
        self.last = Instant::now();
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let due = self.last + self.period;
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        while timer.as_mut().poll(cx).is_ready() {
            if Instant::now() >= due {
                return Poll::Ready(());
            }
            timer.as_mut().reset(due);
        }
        Poll::Pending
    }
}

impl<E: Encoder + ?Sized> fmt::Debug for SessionStream<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionStream")
            .field("reader", &self.reader)
            .field("encoder", &&*self.encoder)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
