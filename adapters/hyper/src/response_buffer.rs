use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::time::Instant;

use crate::limits::after;

/// The bytes of responses that are held for the client of one HTTP/2 connection. Clones share them.
///
/// hyper takes a frame from a body before the client's flow control admits it, so each stream whose window
/// is closed holds a frame. A body is asked for a frame only while there is room for one. A stream whose
/// bytes are not taken in time ends, sooner if others wait for its room.
#[derive(Debug, Clone)]
pub(crate) struct ResponseBuffer(Arc<SharedBuffer>);

#[derive(Debug)]
struct SharedBuffer {
    limit: usize,
    timeout: Duration,
    state: Mutex<BufferState>,
}

#[derive(Debug)]
struct BufferState {
    held: usize,
    // The part of it that belongs to streams which have ended, and that hyper drops soon.
    leaving: usize,
    streams: BTreeMap<u64, HeldStream>,
    last: u64,
    // The number of streams that wait for room.
    waiting: usize,
    // The stream of the latest request, until its task is spawned.
    called: Option<u64>,
    socket: SocketState,
}

/// The side of the connection to which all streams write.
#[derive(Debug, Clone, Copy)]
enum SocketState {
    /// It takes nothing at present.
    Blocked,
    /// It takes bytes since this time.
    Free(Instant),
}

#[derive(Debug)]
struct HeldStream {
    // The frames that are held, and their bytes.
    frames: usize,
    bytes: usize,
    // The time at which the client last took bytes, or the first frame was held.
    since: Instant,
    waits: bool,
    waker: Option<Waker>,
}

/// A stream with its share of the buffer. The share ends when [`close`](Self::close) is called; bytes
/// count until they are dropped.
#[derive(Debug, Clone)]
pub(crate) struct ResponseStream {
    buffer: ResponseBuffer,
    number: u64,
}

/// The room that a body must find before it is asked for a frame: the longest frame of a session.
pub(crate) const FRAME: usize = 64 * 1024;
/// The time after which a stream ends whose bytes are not taken while others wait for their room.
pub(crate) const PRESSED: Duration = Duration::from_secs(5);

impl ResponseBuffer {
    pub(crate) fn new(limit: usize, timeout: Duration) -> Self {
        Self(Arc::new(SharedBuffer {
            limit,
            timeout,
            state: Mutex::new(BufferState {
                held: 0,
                leaving: 0,
                streams: BTreeMap::new(),
                last: 0,
                waiting: 0,
                called: None,
                socket: SocketState::Free(Instant::now()),
            }),
        }))
    }

    /// Adds a stream, for a request with which the service is called now.
    pub(crate) fn open(&self) -> ResponseStream {
        let mut state = self.lock();
        state.last += 1;
        let number = state.last;
        state.streams.insert(
            number,
            HeldStream {
                frames: 0,
                bytes: 0,
                since: Instant::now(),
                waits: false,
                waker: None,
            },
        );
        state.called = Some(number);
        self.stream(number)
    }

    /// Returns the stream that was opened last, once.
    pub(crate) fn take_called(&self) -> Option<ResponseStream> {
        let number = self.lock().called.take()?;
        Some(self.stream(number))
    }

    fn stream(&self, number: u64) -> ResponseStream {
        ResponseStream {
            buffer: self.clone(),
            number,
        }
    }

    /// Notes that the socket takes no bytes.
    pub(crate) fn socket_blocked(&self) {
        self.lock().socket = SocketState::Blocked;
    }

    /// Notes that the socket takes bytes again.
    pub(crate) fn socket_free(&self) {
        self.lock().socket = SocketState::Free(Instant::now());
    }

    fn lock(&self) -> MutexGuard<'_, BufferState> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_room(&self, state: &BufferState) -> bool {
        state.held == 0 || state.held.saturating_add(FRAME) <= self.0.limit
    }

    /// Gives bytes back, and wakes the streams that wait for them.
    fn give_back(&self, mut state: MutexGuard<'_, BufferState>, bytes: usize) {
        state.held -= bytes;
        if state.waiting == 0 || !self.has_room(&state) {
            return;
        }
        state.waiting = 0;
        let mut wakers = Vec::new();
        for stream in state.streams.values_mut().filter(|stream| stream.waits) {
            stream.waits = false;
            wakers.extend(stream.waker.take());
        }
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl ResponseStream {
    /// Waits until there is room for a frame, and reserves it. [`settle`](Self::settle) must follow.
    pub(crate) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.buffer.lock();
        if self.buffer.has_room(&state) {
            state.held += FRAME;
            return Poll::Ready(());
        }
        let Some(stream) = state.streams.get_mut(&self.number) else {
            return Poll::Pending;
        };
        stream.waker = Some(cx.waker().clone());
        let presses = stream.frames == 0;
        if std::mem::replace(&mut stream.waits, true) {
            return Poll::Pending;
        }
        state.waiting += 1;
        if !presses {
            return Poll::Pending;
        }
        // Streams that hold bytes have less time from now on.
        let holding = state.streams.values().filter(|stream| stream.frames > 0);
        let wakers: Vec<_> = holding.filter_map(|stream| stream.waker.clone()).collect();
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        Poll::Pending
    }

    /// Replaces a reserved frame by what the body gave, if anything.
    pub(crate) fn settle(&self, bytes: Option<usize>) {
        let mut state = self.buffer.lock();
        if let Some(bytes) = bytes {
            state.held += bytes;
            if let Some(stream) = state.streams.get_mut(&self.number) {
                if stream.frames == 0 {
                    stream.since = Instant::now();
                }
                stream.frames += 1;
                stream.bytes += bytes;
            } else {
                state.leaving += bytes;
            }
        }
        self.buffer.give_back(state, FRAME);
    }

    /// Notes that the client takes bytes.
    pub(crate) fn progress(&self) {
        if let Some(stream) = self.buffer.lock().streams.get_mut(&self.number) {
            stream.since = Instant::now();
        }
    }

    /// Gives back the bytes of a frame.
    pub(crate) fn release(&self, bytes: usize) {
        let mut guard = self.buffer.lock();
        let state = &mut *guard;
        let mut taken = None;
        if let Some(stream) = state.streams.get_mut(&self.number) {
            stream.frames -= 1;
            stream.bytes -= bytes;
            stream.since = Instant::now();
            if stream.frames == 0 {
                // It asks for room again, and may do so with more urgency.
                state.waiting -= usize::from(std::mem::take(&mut stream.waits));
                taken = stream.waker.take();
            }
        } else {
            state.leaving -= bytes;
        }
        self.buffer.give_back(guard, bytes);
        if let Some(waker) = taken {
            waker.wake();
        }
    }

    /// Waits until the client has taken all frames.
    pub(crate) fn poll_taken(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self.buffer.lock().streams.get_mut(&self.number) {
            Some(stream) if stream.frames > 0 => {
                stream.waker = Some(cx.waker().clone());
                Poll::Pending
            }
            _ => Poll::Ready(()),
        }
    }

    /// Returns the time at which the stream ends unless its bytes are taken, and wakes the task if it
    /// gets an earlier one.
    pub(crate) fn deadline(&self, cx: &mut Context<'_>) -> Option<Instant> {
        let mut state = self.buffer.lock();
        let staying = state.held - state.leaving;
        // A stream that holds bytes already is in no need of more.
        let is_pressed = state.waiting > 0
            && staying + FRAME > self.buffer.0.limit
            && (state.streams.values()).any(|stream| stream.waits && stream.frames == 0);
        // While the socket takes nothing, a stream is not to blame.
        let free = match state.socket {
            SocketState::Free(since) => since,
            SocketState::Blocked => Instant::now(),
        };
        let stream = state.streams.get_mut(&self.number)?;
        stream.waker = Some(cx.waker().clone());
        if stream.frames == 0 {
            return None;
        }
        let deadline = after(stream.since, self.buffer.0.timeout);
        if !is_pressed {
            return Some(deadline);
        }
        Some(deadline.min(stream.since.max(free) + PRESSED))
    }

    /// Ends the share of the stream.
    pub(crate) fn close(&self) {
        let mut state = self.buffer.lock();
        if let Some(stream) = state.streams.remove(&self.number) {
            state.waiting -= usize::from(stream.waits);
            state.leaving += stream.bytes;
        }
    }
}
