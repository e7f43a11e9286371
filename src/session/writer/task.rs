use std::{
    fmt,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    sync::mpsc,
    time::{Instant, Sleep},
};

use super::{
    answers::AnswerCollector,
    append_buffer::{AppendBuffer, LogUsage},
    command::{WriterCommand, WriterEnd},
    renewal::LeaseRenewal,
    retry::Retry,
    watch::StoreWatch,
};
use crate::{
    log::{Ending, Epoch, Status},
    session::{Inbox, Mark, ReadError, Source, entry::SessionEntry, registry::Registry},
    store::{AbortRequest, AfterAppend, Appended, BoxFuture, StoreError},
};

/// A record that is ready is not held back for longer than this while more of them come.
const HOLD: Duration = Duration::from_millis(2);

/// Pulls one source and appends what it gives, until the session ends in one way or another.
///
/// One append is in flight at a time. While it is, and while the store doesn't answer, the source
/// is pulled on until the buffer is full.
pub(in crate::session) struct Writer {
    shared: Arc<Registry>,
    entry: Arc<SessionEntry>,
    source: Option<Pin<Box<dyn Source>>>,
    // The source was polled: whatever it costs is being paid.
    begun: bool,
    // The source may be polled only once all that it gave is acknowledged.
    settling: bool,
    pen: AppendBuffer,
    commands: mpsc::UnboundedReceiver<WriterCommand>,
    append: Option<PendingAppend>,
    // When the batch in front was sent for the first time.
    first_sent: Option<Instant>,
    // When an append that hangs is next of interest.
    late: Option<Pin<Box<Sleep>>>,
    renewal: LeaseRenewal,
    watch: StoreWatch,
    // What is answered to the source, if it asks.
    answers: Option<AnswerCollector>,
    retry: Retry,
    releasing: bool,
    heard: Instant,
    started: Instant,
    timer: Pin<Box<Sleep>>,
}

struct PendingAppend {
    at: Instant,
    answer: BoxFuture<'static, Result<Appended, StoreError>>,
}

impl Writer {
    /// The writer of a session that was just created.
    pub(in crate::session) fn new(
        shared: Arc<Registry>,
        entry: Arc<SessionEntry>,
        epoch: Epoch,
        commands: mpsc::UnboundedReceiver<WriterCommand>,
        source: Pin<Box<dyn Source>>,
    ) -> Self {
        let options = &shared.options;
        let now = Instant::now();
        let until = options.limits.idle.min(options.limits.age);
        Self {
            pen: AppendBuffer::new(epoch, options.limits.clone(), options.retention.keep),
            source: Some(source),
            begun: false,
            settling: false,
            commands,
            append: None,
            first_sent: None,
            late: None,
            renewal: LeaseRenewal::default(),
            watch: StoreWatch::new(epoch),
            answers: None,
            retry: Retry::default(),
            releasing: false,
            heard: now,
            started: now,
            timer: Box::pin(tokio::time::sleep_until(now + until)),
            shared,
            entry,
        }
    }

    /// The same writer, of a source that finds here what is answered to it.
    pub(in crate::session) fn answering(mut self, inbox: Option<Inbox>) -> Self {
        self.answers = inbox.map(AnswerCollector::new);
        self
    }

    /// The same writer, of a session that is this old and was taken over after what is written.
    pub(in crate::session) fn after(mut self, written: LogUsage, age: Duration) -> Self {
        self.pen = self.pen.after(written);
        self.started = self.started.checked_sub(age).unwrap_or(self.started);
        let limits = &self.shared.options.limits;
        let until = (self.heard + limits.idle).min(self.started + limits.age);
        self.timer.as_mut().reset(until);
        // Before the next record is stored there may be an abort, or an answer.
        self.watch.start(&self.shared, &self.entry);
        self
    }

    /// Writes the first record, if there is one, then whatever the source gives, to the end.
    pub(in crate::session) async fn run(mut self, first: Option<&[u8]>) -> WriterEnd {
        if let Some(first) = first {
            self.pen.paper().extend_from_slice(first);
            if let Err(ending) = self.pen.accept(Mark::Event) {
                self.end(&ending);
            }
        }
        let end = std::future::poll_fn(|cx| self.poll(cx)).await;
        self.drop_source();
        end
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<WriterEnd> {
        loop {
            if let Poll::Ready(end) = self.poll_commands(cx) {
                return Poll::Ready(end);
            }
            if let Poll::Ready(end) = self.poll_watch(cx) {
                return Poll::Ready(end);
            }
            if let Some(answers) = &mut self.answers {
                answers.poll(cx, &self.shared, &self.entry);
            }
            self.poll_timer(cx);
            let more = self.pull(cx);
            match self.poll_append(cx) {
                Poll::Ready(Some(end)) => return Poll::Ready(end),
                _ if more => {
                    // The source has more at once. Let the readers run first.
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                // Acknowledged: there may be room again, or the next batch to send.
                Poll::Ready(None) => {}
                Poll::Pending if self.releasing && self.append.is_none() => {
                    return Poll::Ready(WriterEnd::Released);
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn poll_commands(&mut self, cx: &mut Context<'_>) -> Poll<WriterEnd> {
        while let Poll::Ready(Some(command)) = self.commands.poll_recv(cx) {
            match command {
                WriterCommand::Abort(abort) => self.abort(abort),
                WriterCommand::Answered(count) => self.answered(count),
                WriterCommand::Fenced => return Poll::Ready(WriterEnd::Fenced),
                WriterCommand::Release => {
                    self.drop_source();
                    self.releasing = true;
                }
            }
        }
        Poll::Pending
    }

    /// Hears what other servers do to the session.
    fn poll_watch(&mut self, cx: &mut Context<'_>) -> Poll<WriterEnd> {
        loop {
            let heard = std::task::ready!(self.watch.poll(cx, &self.shared, &self.entry));
            match heard {
                Ok(state) if state.epoch != self.pen.epoch() => {
                    return Poll::Ready(WriterEnd::Fenced);
                }
                // Sealed, and not by us: never so in a store that keeps to its contract.
                Ok(state) if state.status.outcome().is_some() && !self.pen.has_ended() => {
                    return Poll::Ready(WriterEnd::Fenced);
                }
                Ok(state) => {
                    if let Some(abort) = &state.abort {
                        self.abort(abort.clone());
                    }
                    self.answered(state.answers);
                    if self.pen.has_ended() {
                        self.watch.stop();
                    }
                }
                Err(error @ (StoreError::NotFound | StoreError::Gone(_))) => {
                    return Poll::Ready(WriterEnd::Gone(error));
                }
                Err(_) => {}
            }
        }
    }

    /// Ends the session if the source has been silent, or at work, for too long.
    fn poll_timer(&mut self, cx: &mut Context<'_>) {
        let limits = &self.shared.options.limits;
        while !self.pen.has_ended() && self.timer.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            // The idle clock stands still while we don't listen, and while a person is asked.
            if self.pen.is_waiting()
                || self.retry.outage().is_some()
                || self.is_full()
                || self.settling
                || !self.begun
            {
                self.heard = now;
            }
            let (idle, age) = (self.heard + limits.idle, self.started + limits.age);
            if now >= age {
                return self.end(&Ending::Age);
            } else if now >= idle {
                return self.end(&Ending::Idle);
            }
            self.timer.as_mut().reset(idle.min(age));
        }
    }

    /// Pulls the source for what is ready, and says whether it may have more at once.
    fn pull(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.may_pull(cx) {
            return false;
        }
        let began = Instant::now();
        loop {
            if self.is_full() {
                // Who is not listened to is not silent.
                self.heard = Instant::now();
                return false;
            }
            let Some(source) = &mut self.source else {
                return false;
            };
            let paper = self.pen.paper();
            let polled = catch_unwind(AssertUnwindSafe(|| source.as_mut().poll_record(cx, paper)));
            match polled {
                Ok(Poll::Pending) => return false,
                Ok(Poll::Ready(Some(mark))) => {
                    self.heard = Instant::now();
                    if let Err(ending) = self.pen.accept(mark) {
                        self.end(&ending);
                    } else if self.pen.has_ended() {
                        self.drop_source();
                    } else if matches!(mark, Mark::Barrier | Mark::Waiting) {
                        self.settling = true;
                        return false;
                    }
                }
                Ok(Poll::Ready(None)) => self.end(&Ending::Complete),
                Err(_) => {
                    tracing::error!("the source of a session panicked");
                    self.end(&Ending::Panicked);
                }
            }
            if self.pen.is_full() || self.heard - began >= HOLD {
                self.pen.freeze();
                return true;
            }
        }
    }

    /// As much is unacknowledged as may be.
    fn is_full(&self) -> bool {
        self.pen.unacknowledged() >= self.shared.options.outage_buffer
    }

    /// The source is polled only once the first record is acknowledged, and for the first time only
    /// while the lease runs: from then on somebody pays for it. The same holds after a record from
    /// which something comes that the log must know of.
    fn may_pull(&mut self, cx: &mut Context<'_>) -> bool {
        if self.settling {
            // Who is not listened to is not silent.
            self.heard = Instant::now();
            let owned = self.pen.unacknowledged() == 0
                && (self.entry.is_owned() || self.poll_renewal(cx).is_ready());
            self.settling = !owned;
            return owned;
        }
        if self.begun {
            return true;
        }
        if self.source.is_none() || self.pen.unacknowledged() > 0 {
            return false;
        }
        if !self.entry.is_owned() && self.poll_renewal(cx).is_pending() {
            return false;
        }
        self.begun = true;
        self.heard = Instant::now();
        true
    }

    fn poll_renewal(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let epoch = self.pen.epoch();
        let renewed = self.renewal.poll(cx, &self.shared, &self.entry, epoch);
        if std::task::ready!(renewed).is_ok() {
            return Poll::Ready(());
        }
        // The append or the watch will say what happened to the session.
        self.end(&Ending::Interrupted);
        Poll::Pending
    }

    /// Sends the front of what is written, and publishes what is acknowledged. Ready with an end,
    /// or with none if a batch was acknowledged.
    fn poll_append(&mut self, cx: &mut Context<'_>) -> Poll<Option<WriterEnd>> {
        if self.append.is_none() {
            if self.releasing {
                return Poll::Pending;
            }
            std::task::ready!(self.retry.poll_ready(cx));
            if self.pen.front().is_none() {
                self.pen.freeze();
            }
            let Some((chunk, then)) = self.pen.front().cloned() else {
                return Poll::Pending;
            };
            let (store, id) = (self.shared.store.clone(), self.entry.id.clone());
            let at = Instant::now();
            self.first_sent.get_or_insert(at);
            self.append = Some(PendingAppend {
                at,
                answer: Box::pin(async move { store.append(&id, chunk, then).await }),
            });
        }
        let Some(sent) = &mut self.append else {
            return Poll::Pending;
        };
        let Poll::Ready(answer) = sent.answer.as_mut().poll(cx) else {
            return self.poll_late(cx);
        };
        self.append = None;
        self.late = None;
        match answer {
            Ok(appended) => Poll::Ready(self.acknowledged(appended)),
            Err(StoreError::Unavailable { .. }) => self.unanswered(),
            Err(error @ StoreError::TooLarge { .. }) => {
                let tried_as_a_whole = self.pen.front().is_some_and(|(chunk, _)| chunk.len() > 1);
                if !tried_as_a_whole {
                    self.drop_source();
                }
                self.first_sent = None;
                Poll::Ready(if self.pen.refused(&*self.shared.format) {
                    None
                } else {
                    Some(WriterEnd::Gone(error))
                })
            }
            Err(error @ (StoreError::NotFound | StoreError::Gone(_))) => {
                Poll::Ready(Some(WriterEnd::Gone(error)))
            }
            Err(error) => {
                tracing::warn!(%error, "the store refused an append: somebody else owns the session");
                Poll::Ready(Some(WriterEnd::Fenced))
            }
        }
    }

    /// An append that the store neither takes nor refuses: readers are told, and one day it is given
    /// up. It is not sent again before it is answered.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<Option<WriterEnd>> {
        let Some(sent) = &self.append else {
            return Poll::Pending;
        };
        let patience = self.shared.options.patience;
        let late = self
            .late
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(sent.at + patience)));
        while late.as_mut().poll(cx).is_ready() {
            let end = self.started + self.shared.options.limits.age + patience;
            if Instant::now() >= end {
                return Poll::Ready(Some(given_up()));
            }
            self.entry.log.fail(ReadError::Unavailable);
            late.as_mut().reset(end);
        }
        Poll::Pending
    }

    fn acknowledged(&mut self, appended: Appended) -> Option<WriterEnd> {
        if self.retry.outage().is_some() {
            // Who was not listened to was not silent.
            self.heard = Instant::now();
        }
        self.retry.reset();
        // Counted from the first attempt: where that one was applied, a later one extended nothing.
        if let Some(sent) = self.first_sent.take() {
            let until = sent + self.shared.options.lease;
            self.entry.extend_lease(self.pen.epoch(), until);
        }
        let (chunk, then) = self.pen.acknowledged()?;
        let status = match then {
            AfterAppend::Streaming => Status::Streaming,
            AfterAppend::Waiting => Status::Waiting,
            AfterAppend::Seal(seal) => Status::Ended(seal.outcome),
        };
        self.entry.log.publish([chunk], status);
        if let Some(outcome) = status.outcome() {
            return Some(WriterEnd::Sealed(outcome));
        }
        if let Some(abort) = appended.abort {
            self.abort(abort);
        } else if !self.watch.is_on() && !self.pen.has_ended() {
            self.watch.start(&self.shared, &self.entry);
        }
        None
    }

    /// Keeps what was sent, to send it again unchanged.
    fn unanswered(&mut self) -> Poll<Option<WriterEnd>> {
        self.retry.failed();
        if self.retry.outage() >= Some(self.shared.options.patience) {
            self.entry.log.fail(ReadError::Unavailable);
        }
        if self.started.elapsed() > self.shared.options.limits.age + self.shared.options.patience {
            // Whoever reaches the store again finds an orphan.
            return Poll::Ready(Some(given_up()));
        }
        Poll::Ready(None)
    }

    fn answered(&mut self, count: u32) {
        if let Some(answers) = &mut self.answers {
            answers.there_are(count as usize);
        }
    }

    fn abort(&mut self, abort: AbortRequest) {
        self.end(&Ending::Aborted {
            reason: abort.reason,
        });
    }

    fn end(&mut self, ending: &Ending) {
        self.drop_source();
        self.pen.end(ending, &*self.shared.format);
    }

    /// Drops the source, whose `Drop` is somebody else's code too.
    fn drop_source(&mut self) {
        if let Some(source) = self.source.take()
            && catch_unwind(AssertUnwindSafe(|| drop(source))).is_err()
        {
            tracing::error!("the source of a session panicked while it was dropped");
        }
    }
}

fn given_up() -> WriterEnd {
    WriterEnd::Gone(StoreError::unavailable(
        true,
        "the store did not answer for as long as a session may run",
    ))
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("entry", &self.entry)
            .field("pen", &self.pen)
            .finish_non_exhaustive()
    }
}
