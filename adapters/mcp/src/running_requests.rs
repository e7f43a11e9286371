use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use rmcp::model::{ProgressToken, RequestId};
use unbroken::tools::Call;

use crate::{
    progress::{CallProgress, Step, TEXT_BYTES},
    questions::Questions,
    text,
};

/// The calls that run over one connection.
#[derive(Default)]
pub(crate) struct RunningRequests {
    table: Mutex<RequestTable>,
    // Held from the sending of a request until it is in the table.
    pub(crate) sending: tokio::sync::Mutex<()>,
    // Set once the server sent a message over the limit.
    pub(crate) overflowed: Arc<AtomicBool>,
}

#[derive(Default)]
struct RequestTable {
    by_id: HashMap<RequestId, Arc<RunningRequest>>,
    by_token: HashMap<ProgressToken, Arc<RunningRequest>>,
    // True once a call was given up, which may still ask.
    abandoned: bool,
}

/// One call that runs.
pub(crate) struct RunningRequest {
    pub(crate) call: Call,
    pub(crate) questions: Arc<Questions>,
    progress: Mutex<CallProgress>,
}

/// Removes a call from the table.
pub(crate) struct RequestEntry<'a> {
    table: &'a RunningRequests,
    id: RequestId,
    token: ProgressToken,
    running: Arc<RunningRequest>,
}

impl RunningRequests {
    pub(crate) fn add(
        &self,
        id: RequestId,
        token: ProgressToken,
        call: Call,
        questions: Arc<Questions>,
    ) -> RequestEntry<'_> {
        let running = Arc::new(RunningRequest {
            call,
            questions,
            progress: Mutex::new(CallProgress::new()),
        });
        let mut table = self.lock();
        table.by_id.insert(id.clone(), Arc::clone(&running));
        table.by_token.insert(token.clone(), Arc::clone(&running));
        drop(table);
        RequestEntry {
            table: self,
            id,
            token,
            running,
        }
    }

    /// Returns the call that a progress is of.
    pub(crate) async fn of_token(&self, token: &ProgressToken) -> Option<Arc<RunningRequest>> {
        if let Some(running) = self.lock().by_token.get(token) {
            return Some(Arc::clone(running));
        }
        let _sent = self.sending.lock().await;
        self.lock().by_token.get(token).cloned()
    }

    /// Returns the call that a question is of: the one on whose stream it came, or the only one that
    /// it can be of.
    pub(crate) async fn that_asks(
        &self,
        stream_of: Option<&RequestId>,
    ) -> Option<Arc<RunningRequest>> {
        let _sent = self.sending.lock().await;
        let table = self.lock();
        match stream_of {
            Some(id) => table.by_id.get(id).cloned(),
            None if table.abandoned || table.by_id.len() != 1 => None,
            None => table.by_id.values().next().cloned(),
        }
    }

    pub(crate) fn set_abandoned(&self) {
        self.lock().abandoned = true;
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        self.lock().abandoned
    }

    pub(crate) fn has_overflowed(&self) -> bool {
        self.overflowed.load(Ordering::Acquire)
    }

    fn lock(&self) -> MutexGuard<'_, RequestTable> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RunningRequest {
    /// Takes a step of the progress. Returns true if the caller has to pass steps on.
    pub(crate) fn put(&self, step: Step) -> bool {
        self.progress().put(step)
    }

    /// Passes the newest step on. Returns false if there was none.
    pub(crate) fn pass_on(&self) -> bool {
        let next = self.progress().next();
        let is_one = next.is_some();
        self.report(next);
        is_one
    }

    fn report(&self, step: Option<Step>) {
        let Some(Step {
            message,
            done,
            total,
        }) = step
        else {
            return;
        };
        match message {
            Some(message) => {
                let message = text::cut(message, TEXT_BYTES);
                self.call.progress_step(message, done, total);
            }
            None => self.call.progress_of(done, total),
        }
    }

    fn progress(&self) -> MutexGuard<'_, CallProgress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for RequestEntry<'_> {
    fn drop(&mut self) {
        let mut table = self.table.lock();
        table.by_id.remove(&self.id);
        table.by_token.remove(&self.token);
        drop(table);
        let last = self.running.progress().last();
        self.running.report(last);
    }
}
