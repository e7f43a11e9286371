use std::{
    collections::{HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use tokio::sync::{mpsc, oneshot};

/// The slot of one call. The call holds no slot while it waits for the user.
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

/// Resolves when the call may run, with an error if the answer has ended. Dropping it withdraws the
/// request.
pub(super) type SlotReady = oneshot::Receiver<()>;

/// One call's slot. It has none while a person is asked.
pub(super) struct CallSlot {
    at: usize,
    requests: mpsc::UnboundedSender<SlotRequest>,
    // The number of open questions: a tool may ask several at once. Requests are sent under the lock,
    // so that their order is the order of the decisions.
    questions: Mutex<usize>,
}

/// Marks that a question of the call is open.
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

    /// Creates the slot of the call with this number.
    pub(super) fn slot(&self, at: usize) -> Arc<CallSlot> {
        Arc::new(CallSlot {
            at,
            requests: self.requests.clone(),
            questions: Mutex::new(0),
        })
    }

    /// Requests a slot, behind all requests so far.
    pub(super) fn acquire(&mut self, at: usize) -> SlotReady {
        let (grant, granted) = oneshot::channel();
        self.queue.push_back((at, grant));
        granted
    }

    /// Frees the slot of a call that waits for the user.
    pub(super) fn release(&mut self, at: usize) {
        self.running.remove(&at);
    }

    /// Frees the slot of a call that has ended. Its open requests are granted at once, without a
    /// slot, when that event is taken.
    pub(super) fn done(&mut self, at: usize) {
        self.release(at);
        self.done.insert(at);
    }

    /// Grants the free slots, and wakes the task of `cx` when there is more to do.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(Some(request)) = self.received.poll_recv(cx) {
            match request {
                SlotRequest::Release(at) => self.release(at),
                // It still holds its slot, or needs none any more.
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
                // A call holds one slot, for all its requests.
                self.grant(|other, _| other == at);
            }
        }
    }

    /// Grants the requests of these calls, which need no slot, or hold one.
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
    /// Requests a slot, behind all requests so far.
    pub(super) fn acquire(&self) -> SlotReady {
        let (grant, granted) = oneshot::channel();
        let _ = self.requests.send(SlotRequest::Acquire(self.at, grant));
        granted
    }

    /// Opens a question. The slot is free once the question's event is [taken](CallSlots::release).
    pub(super) fn ask(&self) -> AskGuard<'_> {
        *self.questions() += 1;
        AskGuard(self)
    }

    /// Frees the slot of a call that has done nothing with it yet.
    ///
    /// No event tells of that, so call it only right after the slot was granted: later the server
    /// may no longer own the session.
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
    /// Closes the question, and waits for a slot unless another question is open. Returns false if
    /// the answer has ended. A call that drops the guard instead continues without a slot.
    #[must_use = "no effect may follow once the answer has ended"]
    pub(super) async fn end(self) -> bool {
        let slot = self.0;
        let slot_ready = {
            let mut questions = slot.questions();
            *questions -= 1;
            std::mem::forget(self);
            if *questions > 0 {
                return true;
            }
            slot.acquire()
        };
        let granted = slot_ready.await.is_ok();
        let questions = slot.questions();
        if *questions > 0 {
            slot.release(); // another question was opened meanwhile
        }
        granted
    }
}

impl Drop for AskGuard<'_> {
    fn drop(&mut self) {
        *self.0.questions() -= 1;
    }
}
