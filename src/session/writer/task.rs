mod commands;
mod ending;
mod withdrawal;

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep};

use self::withdrawal::Withdrawal;

use super::{
    answers::AnswerCollector,
    append_buffer::{AppendBuffer, LogUsage},
    command::WriterEnd,
    command_queue::CommandQueue,
    contained,
    pending_append::PendingAppend,
    renewal::LeaseRenewal,
    retry::Retry,
    store_watch::StoreWatch,
};
use crate::{
    log::{Ending, Epoch, Status},
    metrics,
    session::{Inbox, Mark, Permit, ReadError, Source, entry::SessionEntry, registry::Registry},
    store::{AfterAppend, Appended, StoreError},
};

/// The longest time that a ready record is held back while more follow.
const HOLD: Duration = Duration::from_millis(2);

/// The writer of one session: polls its source and appends the records, until the session ends.
///
/// One append is in flight at a time. Meanwhile, and during an outage of the store, the writer goes
/// on polling the source until the buffer is full.
pub(in crate::session) struct Writer {
    shared: Arc<Registry>,
    entry: Arc<SessionEntry>,
    source: Option<Pin<Box<dyn Source>>>,
    // The source was polled, so that its provider may have been called.
    begun: bool,
    // The source may be polled only once all its records are acknowledged.
    at_barrier: bool,
    buffer: AppendBuffer,
    commands: Arc<CommandQueue>,
    append: Option<PendingAppend>,
    // From then on nothing else is done.
    withdrawal: Option<Box<Withdrawal>>,
    // When the batch in front was sent for the first time.
    first_sent: Option<Instant>,
    // When to look again at an append that hangs.
    late_timer: Option<Pin<Box<Sleep>>>,
    renewal: LeaseRenewal,
    watch: StoreWatch,
    // Fetches the answers to the source, if it has an inbox.
    answers: Option<AnswerCollector>,
    retry: Retry,
    releasing: bool,
    // When the source last gave a record or a sign of life, or was not polled.
    last_event: Instant,
    started: Instant,
    timer: Pin<Box<Sleep>>,
    permit: Permit,
}

impl Writer {
    /// Creates the writer of a new session.
    pub(in crate::session) fn new(
        shared: Arc<Registry>,
        entry: Arc<SessionEntry>,
        epoch: Epoch,
        commands: Arc<CommandQueue>,
        source: Pin<Box<dyn Source>>,
        permit: Permit,
    ) -> Self {
        let options = &shared.options;
        let with_outbox = entry.meta().filter(|meta| meta.outbox.is_some());
        let format = with_outbox.map(|meta| shared.formats.of(meta).clone());
        let now = Instant::now();
        let until = options.limits.idle.min(options.limits.age);
        Self {
            buffer: AppendBuffer::new(epoch, options.limits.clone(), options.retention.keep)
                .summarizing(format),
            source: Some(source),
            begun: false,
            at_barrier: false,
            commands,
            append: None,
            withdrawal: None,
            first_sent: None,
            late_timer: None,
            renewal: LeaseRenewal::default(),
            watch: StoreWatch::new(epoch),
            answers: None,
            retry: Retry::default(),
            releasing: false,
            last_event: now,
            started: now,
            timer: Box::pin(tokio::time::sleep_until(now + until)),
            permit,
            shared,
            entry,
        }
    }

    /// Sets the inbox of the source.
    pub(in crate::session) fn with_inbox(mut self, inbox: Option<Inbox>) -> Self {
        self.answers = inbox.map(AnswerCollector::new);
        self
    }

    /// Continues a session of this age after the log of its former owner.
    pub(in crate::session) fn resuming(mut self, usage: LogUsage, age: Duration) -> Self {
        self.buffer = self.buffer.resuming(usage);
        self.permit.set_waiting(usage.waiting);
        self.started = self.started.checked_sub(age).unwrap_or(self.started);
        let limits = &self.shared.options.limits;
        let until = (self.last_event + limits.idle).min(self.started + limits.age);
        self.timer.as_mut().reset(until);
        // An abort or an answer may come before the next append.
        self.watch.start(&self.shared, &self.entry);
        self
    }

    /// Writes a record that comes before those of the source.
    pub(in crate::session) fn begin_with(&mut self, first: &[u8]) {
        self.buffer.record_buffer().extend_from_slice(first);
        if let Err(ending) = self.buffer.accept(Mark::Event) {
            self.end(&ending);
        }
    }

    /// Writes all records of the source. Returns how that ended.
    pub(in crate::session) async fn run(&mut self) -> WriterEnd {
        let end = std::future::poll_fn(|cx| self.poll(cx)).await;
        self.drop_source();
        end
    }

    /// Drops the writer, and returns the permit.
    pub(in crate::session) fn into_permit(self) -> Permit {
        self.permit
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<WriterEnd> {
        loop {
            if let Poll::Ready(end) = self.poll_commands(cx) {
                return Poll::Ready(end);
            }
            if self.withdrawal.is_some() {
                return self.poll_withdrawal(cx);
            }
            if let Poll::Ready(end) = self.poll_watch(cx) {
                return Poll::Ready(end);
            }
            if let Some(answers) = &mut self.answers {
                answers.poll(cx, &self.shared, &self.entry);
            }
            self.poll_timer(cx);
            let more = self.pull(cx);
            if self.withdrawal.is_some() {
                continue;
            }
            // After the source, which may have an answer and go on.
            if self.permit.poll_given_up(cx).is_ready() {
                self.end(&Ending::GivenUp);
            }
            match self.poll_append(cx) {
                Poll::Ready(Some(end)) => return Poll::Ready(end),
                _ if more => {
                    // The source may have more at once. The readers run first.
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                // Acknowledged: there may be room in the buffer, or a batch to send.
                Poll::Ready(None) => {}
                Poll::Pending if self.releasing && self.append.is_none() => {
                    return Poll::Ready(WriterEnd::Released);
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Handles the changes that other servers make to the session.
    fn poll_watch(&mut self, cx: &mut Context<'_>) -> Poll<WriterEnd> {
        loop {
            let changed = std::task::ready!(self.watch.poll(cx, &self.shared, &self.entry));
            match changed {
                Ok(state) if state.epoch != self.buffer.epoch() => {
                    return Poll::Ready(WriterEnd::Fenced);
                }
                // Sealed, and not by this writer. A store that keeps its contract prevents this.
                Ok(state) if state.status.outcome().is_some() && !self.buffer.has_ended() => {
                    return Poll::Ready(WriterEnd::Fenced);
                }
                Ok(state) => {
                    if let Some(abort) = &state.abort {
                        self.abort(abort.clone());
                    }
                    self.answered(state.answers);
                    if self.buffer.has_ended() {
                        self.watch.stop();
                    }
                }
                Err(error) => return Poll::Ready(WriterEnd::Gone(error)),
            }
        }
    }

    /// Ends the session if its source has been silent, or has run, for too long.
    fn poll_timer(&mut self, cx: &mut Context<'_>) {
        let limits = &self.shared.options.limits;
        while !self.buffer.has_ended() && self.timer.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            // The idle clock stops while the source isn't polled, and while a question is open.
            if self.buffer.is_waiting()
                || self.retry.outage().is_some()
                || self.is_full()
                || self.at_barrier
                || !self.begun
            {
                self.last_event = now;
            }
            if let Some(heard) = self.source.as_ref().and_then(contained::last_sign_of_life) {
                self.last_event = self.last_event.max(heard);
            }
            let (idle, age) = (self.last_event + limits.idle, self.started + limits.age);
            if now >= age {
                return self.end(&Ending::Age);
            } else if now >= idle {
                return self.end(&Ending::Idle);
            }
            self.timer.as_mut().reset(idle.min(age));
        }
    }

    /// Polls the source for all records that are ready. Returns true if it may have more at once.
    fn pull(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.may_pull(cx) {
            return false;
        }
        let began = Instant::now();
        loop {
            if self.is_full() {
                // A source that isn't polled isn't idle.
                self.last_event = Instant::now();
                return false;
            }
            let Some(source) = &mut self.source else {
                return false;
            };
            let record = self.buffer.record_buffer();
            match contained::poll_record(source, cx, record) {
                Ok(Poll::Pending) => return false,
                Ok(Poll::Ready(Some(Mark::Gate { waiting }))) => {
                    self.last_event = Instant::now();
                    self.buffer.set_waiting(waiting);
                    self.permit.set_waiting(waiting);
                    self.at_barrier = true;
                    // With nothing to acknowledge, the source may be polled again at once.
                    return true;
                }
                Ok(Poll::Ready(Some(Mark::Withdraw))) => {
                    self.withdraw();
                    return true;
                }
                Ok(Poll::Ready(Some(mark))) => {
                    self.last_event = Instant::now();
                    if let Err(ending) = self.buffer.accept(mark) {
                        self.end(&ending);
                    } else if self.buffer.has_ended() {
                        self.end_source();
                    } else {
                        self.permit.set_waiting(self.buffer.is_waiting());
                        if matches!(mark, Mark::Barrier | Mark::Waiting) {
                            self.at_barrier = true;
                            return false;
                        }
                    }
                }
                Ok(Poll::Ready(None)) => self.end(&Ending::Complete),
                Err(_) => {
                    tracing::error!("the source of a session panicked");
                    self.end(&Ending::Panicked);
                }
            }
            if self.buffer.is_full() || self.last_event - began >= HOLD {
                self.buffer.freeze();
                return true;
            }
        }
    }

    /// Returns true if as many bytes are unacknowledged as may be.
    fn is_full(&self) -> bool {
        self.buffer.unacknowledged() >= self.shared.options.outage_buffer
    }

    /// Returns true if the source may be polled. The first poll, which may call the provider, and
    /// the first one after a barrier need a running lease and an acknowledgement of all records.
    fn may_pull(&mut self, cx: &mut Context<'_>) -> bool {
        if self.at_barrier {
            // A source that isn't polled isn't idle.
            self.last_event = Instant::now();
            let owned = self.buffer.unacknowledged() == 0
                && (self.entry.is_owned() || self.poll_renewal(cx).is_ready());
            self.at_barrier = !owned;
            return owned;
        }
        if self.begun {
            return true;
        }
        if self.source.is_none() || self.buffer.unacknowledged() > 0 {
            return false;
        }
        if !self.entry.is_owned() && self.poll_renewal(cx).is_pending() {
            return false;
        }
        self.begun = true;
        self.last_event = Instant::now();
        true
    }

    fn poll_renewal(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let epoch = self.buffer.epoch();
        let renewed = self.renewal.poll(cx, &self.shared, &self.entry, epoch);
        if std::task::ready!(renewed).is_ok() {
            return Poll::Ready(());
        }
        // The append or the watch gets the same error.
        self.end(&Ending::Interrupted);
        Poll::Pending
    }

    /// Sends the front batch, and publishes it once it is acknowledged. Ready with the writer's end,
    /// or with `None` if a batch was acknowledged.
    fn poll_append(&mut self, cx: &mut Context<'_>) -> Poll<Option<WriterEnd>> {
        if self.append.is_none() {
            if self.releasing {
                return Poll::Pending;
            }
            std::task::ready!(self.retry.poll_ready(cx));
            if self.buffer.front().is_none() {
                self.buffer.freeze();
            }
            let Some((chunk, then)) = self.buffer.front() else {
                return Poll::Pending;
            };
            let at = Instant::now();
            self.first_sent.get_or_insert(at);
            let (store, id) = (&self.shared.store, &self.entry.id);
            if let Some(answer) = store.append_now(id, chunk, then.clone()) {
                return self.appended(answer);
            }
            self.append = Some(PendingAppend::send(
                store,
                id,
                (chunk.clone(), then.clone()),
                at,
            ));
        }
        let Some(sent) = &mut self.append else {
            return Poll::Pending;
        };
        let Poll::Ready(answer) = sent.answer.as_mut().poll(cx) else {
            return self.poll_late_append(cx);
        };
        self.append = None;
        self.late_timer = None;
        self.appended(answer)
    }

    fn appended(&mut self, answer: Result<Appended, StoreError>) -> Poll<Option<WriterEnd>> {
        match answer {
            Ok(appended) => Poll::Ready(self.acknowledged(appended)),
            Err(StoreError::Unavailable { .. }) => self.unanswered(),
            Err(error @ StoreError::TooLarge { .. }) => {
                let front = self.buffer.front();
                let tried_as_a_whole = front.is_some_and(|(chunk, _)| chunk.len() > 1);
                let ends = !tried_as_a_whole;
                let record = ends.then(|| self.last_record(&Ending::EventBytes));
                self.first_sent = None;
                Poll::Ready(if self.buffer.refused(&record.unwrap_or_default()) {
                    None
                } else {
                    Some(WriterEnd::Gone(error))
                })
            }
            Err(error @ (StoreError::NotFound | StoreError::Gone(_))) => {
                Poll::Ready(Some(WriterEnd::Gone(error)))
            }
            Err(error) => {
                tracing::warn!(%error, "the store refused an append: another server owns the session");
                Poll::Ready(Some(WriterEnd::Fenced))
            }
        }
    }

    /// Handles an append that hangs: fails the readers after the outage timeout, and gives up after
    /// the session's age. The append isn't sent again before it is answered.
    fn poll_late_append(&mut self, cx: &mut Context<'_>) -> Poll<Option<WriterEnd>> {
        let Some(sent) = &self.append else {
            return Poll::Pending;
        };
        let timeout = self.shared.options.outage_timeout;
        let late = self
            .late_timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(sent.at + timeout)));
        while late.as_mut().poll(cx).is_ready() {
            let end = self.started + self.shared.options.limits.age + timeout;
            if Instant::now() >= end {
                return Poll::Ready(Some(WriterEnd::gave_up_on_store()));
            }
            self.entry.log.fail(ReadError::Unavailable);
            late.as_mut().reset(end);
        }
        Poll::Pending
    }

    fn acknowledged(&mut self, appended: Appended) -> Option<WriterEnd> {
        if self.retry.outage().is_some() {
            // A source that isn't polled isn't idle.
            self.last_event = Instant::now();
        }
        self.retry.reset();
        // Counted from the first attempt: if that one was applied, a repetition has extended nothing.
        if let Some(sent) = self.first_sent.take() {
            let until = sent + self.shared.options.lease;
            self.entry.extend_lease(self.buffer.epoch(), until);
        }
        let (chunk, then) = self.buffer.acknowledged()?;
        if let Some(meta) = self.entry.meta() {
            let service = [("service", meta.service.as_str())];
            metrics::EVENTS_WRITTEN.count(chunk.len(), &service);
            metrics::BYTES_WRITTEN.count(chunk.bytes(), &service);
        }
        let status = match then {
            AfterAppend::Streaming => Status::Streaming,
            AfterAppend::Waiting => Status::Waiting,
            AfterAppend::Seal(seal) => Status::Ended(seal.outcome),
        };
        self.entry.log.publish([chunk], status);
        if let Some(kept) = appended.kept {
            self.entry.log.replace_newest(kept);
        }
        if let Some(outcome) = status.outcome() {
            return Some(WriterEnd::Sealed(outcome));
        }
        if let Some(abort) = appended.abort {
            self.abort(abort);
        } else if !self.watch.is_active() && !self.buffer.has_ended() {
            self.watch.start(&self.shared, &self.entry);
        }
        None
    }

    /// Handles an append that the store did not answer. The batch is sent again unchanged.
    fn unanswered(&mut self) -> Poll<Option<WriterEnd>> {
        self.retry.failed();
        if self.retry.outage() >= Some(self.shared.options.outage_timeout) {
            self.entry.log.fail(ReadError::Unavailable);
        }
        if self.started.elapsed()
            > self.shared.options.limits.age + self.shared.options.outage_timeout
        {
            // The first server that reaches the store again finds an orphan.
            return Poll::Ready(Some(WriterEnd::gave_up_on_store()));
        }
        Poll::Ready(None)
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("entry", &self.entry)
            .field("buffer", &self.buffer)
            .finish_non_exhaustive()
    }
}
