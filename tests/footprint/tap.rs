use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use futures_util::Stream;
use unbroken::chat::{ChatEvent, ProviderError};

/// A provider's stream whose events a test makes before, and lets out one by one. It allocates nothing for
/// an event.
#[derive(Clone)]
pub(crate) struct Tap(Arc<Mutex<TapState>>);

struct TapState {
    events: VecDeque<ChatEvent>,
    // How many of the events are let out.
    open: usize,
    watcher: Option<Waker>,
}

impl Tap {
    /// Creates a tap with room for so many events.
    pub(crate) fn new(events: usize) -> Self {
        Self(Arc::new(Mutex::new(TapState {
            events: VecDeque::with_capacity(events),
            open: 0,
            watcher: None,
        })))
    }

    /// Adds events.
    pub(crate) fn fill(&self, events: impl Iterator<Item = ChatEvent>) {
        self.0.lock().unwrap().events.extend(events);
    }

    /// Lets out one more event.
    pub(crate) fn let_out(&self) {
        let woken = {
            let mut state = self.0.lock().unwrap();
            state.open += 1;
            state.watcher.take()
        };
        woken.expect("the writer has the last one").wake();
    }

    /// Returns true if the stream was polled and waits.
    pub(crate) fn is_watched(&self) -> bool {
        self.0.lock().unwrap().watcher.is_some()
    }
}

impl Stream for Tap {
    type Item = Result<ChatEvent, ProviderError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut state = self.0.lock().unwrap();
        if state.open == 0 {
            state.watcher = Some(cx.waker().clone());
            return Poll::Pending;
        }
        state.open -= 1;
        let event = state.events.pop_front();
        Poll::Ready(Some(Ok(event.expect("it was made"))))
    }
}
