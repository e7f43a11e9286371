use std::{
    collections::{HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use tokio::sync::{mpsc, oneshot};

/// The places of a turn: so many calls run at once, and the others come in the order in which they
/// asked.
///
/// Whoever polls gives the places away, and one that became free only once the event that says so was
/// taken. So nothing begins on a server that may no longer own the session: it isn't polled on.
pub(super) struct CallSlots {
    most: usize,
    running: HashSet<usize>,
    done: HashSet<usize>,
    queue: VecDeque<(usize, oneshot::Sender<()>)>,
    received: mpsc::UnboundedReceiver<SlotRequest>,
    requests: mpsc::UnboundedSender<SlotRequest>,
}

enum SlotRequest {
    Acquire(usize, oneshot::Sender<()>),
    Release(usize),
}

/// Resolves when the call may run; an error if nobody gives places away any more, because the answer
/// has ended. Dropped, it gives up its turn.
pub(super) type SlotReady = oneshot::Receiver<()>;

/// One call's place. It has none while a person is asked.
pub(super) struct CallSlot {
    at: usize,
    requests: mpsc::UnboundedSender<SlotRequest>,
    // How many questions are open: a tool may ask several at once. Moves are made under the lock, so
    // that they come in the order in which they were decided on.
    questions: Mutex<usize>,
}

/// While it is there, somebody is asked.
pub(super) struct AskGuard<'a>(&'a CallSlot);

impl CallSlots {
    pub(super) fn new(most: usize) -> Self {
        let (requests, received) = mpsc::unbounded_channel();
        Self {
            most,
            running: HashSet::new(),
            done: HashSet::new(),
            queue: VecDeque::new(),
            received,
            requests,
        }
    }

    /// For the call with this number.
    pub(super) fn slot(&self, at: usize) -> Arc<CallSlot> {
        Arc::new(CallSlot {
            at,
            requests: self.requests.clone(),
            questions: Mutex::new(0),
        })
    }

    /// A turn behind all who have asked by now.
    pub(super) fn acquire(&mut self, at: usize) -> SlotReady {
        let (grant, granted) = oneshot::channel();
        self.queue.push_back((at, grant));
        granted
    }

    /// This call waits for a person.
    pub(super) fn release(&mut self, at: usize) {
        self.running.remove(&at);
    }

    /// This call has ended. Who asks behind its back may go on once that is known in the log, as all
    /// others may.
    pub(super) fn done(&mut self, at: usize) {
        self.release(at);
        self.done.insert(at);
    }

    /// Gives away what is free, and wakes the task of `cx` when there is more to do.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(Some(request)) = self.received.poll_recv(cx) {
            match request {
                SlotRequest::Release(at) => self.release(at),
                // It had its place all the time, or needs none any more.
                SlotRequest::Acquire(at, grant)
                    if self.running.contains(&at) || self.done.contains(&at) =>
                {
                    let _ = grant.send(());
                }
                SlotRequest::Acquire(at, grant) => self.queue.push_back((at, grant)),
            }
        }
        self.grant(|at, done| done.contains(&at));
        while self.running.len() < self.most
            && let Some((at, grant)) = self.queue.pop_front()
        {
            if grant.send(()).is_ok() {
                self.running.insert(at);
                // A call has one place, however often it asked for it.
                self.grant(|other, _| other == at);
            }
        }
    }

    /// Answers the turns of these calls, which need no place, or have one.
    fn grant(&mut self, which: impl Fn(usize, &HashSet<usize>) -> bool) {
        if self.queue.iter().any(|(at, _)| which(*at, &self.done)) {
            let queue = std::mem::take(&mut self.queue).into_iter();
            let (these, others): (VecDeque<_>, VecDeque<_>) =
                queue.partition(|(at, _)| which(*at, &self.done));
            self.queue = others;
            for (_, grant) in these {
                let _ = grant.send(());
            }
        }
    }
}

impl CallSlot {
    /// A turn behind all who have asked by now.
    pub(super) fn acquire(&self) -> SlotReady {
        let (grant, granted) = oneshot::channel();
        let _ = self.requests.send(SlotRequest::Acquire(self.at, grant));
        granted
    }

    /// Somebody is asked. The place is free once the question is [heard](CallSlots::release).
    pub(super) fn ask(&self) -> AskGuard<'_> {
        *self.questions() += 1;
        AskGuard(self)
    }

    /// Gives up the place of a call that did nothing with it yet.
    ///
    /// Nothing is heard of that, so it is for the moment after the place was given only: later the
    /// server may no longer own the session.
    pub(super) fn release(&self) {
        let _ = self.requests.send(SlotRequest::Release(self.at));
    }

    fn questions(&self) -> MutexGuard<'_, usize> {
        self.questions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl AskGuard<'_> {
    /// Nobody is asked any more: waits for a place, unless another question is open. False if the
    /// answer has ended. A call that drops this instead goes on without a place.
    #[must_use = "nothing may come of it once the answer has ended"]
    pub(super) async fn end(self) -> bool {
        let place = self.0;
        let turn = {
            let mut questions = place.questions();
            *questions -= 1;
            std::mem::forget(self);
            if *questions > 0 {
                return true;
            }
            place.acquire()
        };
        let given = turn.await.is_ok();
        let questions = place.questions();
        if *questions > 0 {
            place.release(); // another question came up meanwhile
        }
        given
    }
}

impl Drop for AskGuard<'_> {
    fn drop(&mut self) {
        *self.0.questions() -= 1;
    }
}
