//! The thread that writes all batches.

use std::{
    io,
    sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError},
    time::{Duration, Instant},
};

use unbroken::store::StoreError;

use crate::{
    compactor::Compactor,
    error::DiskWriteError,
    health::{DiskHealth, HealthSender},
    segments::{SegmentError, Segments},
    session::DiskTable,
    write_batch::WriteBatch,
};

/// An operation for the writer, and the time of the request by the store's clock.
pub(crate) struct WriteJob {
    pub(crate) now: Duration,
    pub(crate) run: Box<dyn FnOnce(BatchAccess<'_>) -> Option<Completion> + Send>,
}

/// The batch of a job, or the error that prevents one.
pub(crate) enum BatchAccess<'a> {
    /// A batch, which is made stable before the job completes.
    Open(&'a mut WriteBatch),
    /// The writer can't write any more.
    Lost(StoreError),
}

/// Completes a job once its batch is stable, or with the error of the write.
pub(crate) type Completion = Box<dyn FnOnce(Option<&StoreError>) + Send>;

/// The state of the writer thread.
pub(crate) struct DiskWriter {
    pub(crate) table: DiskTable,
    pub(crate) segments: Segments,
    pub(crate) max_append_bytes: usize,
    pub(crate) compactor: Compactor,
    // The latest time of a job.
    pub(crate) now: Duration,
    pub(crate) health: HealthSender,
}

/// The number of bytes, or of jobs, that completes a batch.
const MAX_BYTES: usize = 4 << 20;
const MAX_JOBS: usize = 4096;
/// The time after which a store without room makes some, if it can.
const MAKE_ROOM: Duration = Duration::from_secs(1);
/// The number of steps of compaction to make room in, which bounds the wait of the jobs.
const MAX_STEPS: usize = 64;

/// The bytes that a frame takes beside the records of an append, of which a batch of a session has a thousand.
const OVERHEAD: usize = 8 << 10;

/// The next thing to do.
enum NextStep {
    Job(WriteJob),
    /// No job waits.
    Idle,
    /// Every sender of jobs is dropped.
    Close,
}

impl DiskWriter {
    /// Runs until every sender of jobs is dropped.
    pub(crate) fn run(mut self, jobs: &Receiver<WriteJob>) {
        let on_panic = RestartOnPanic(self.health.clone());
        let mut made_room = Instant::now();
        loop {
            let health = self.health.current();
            if health.can_write() {
                made_room = Instant::now();
            }
            let pause = MAKE_ROOM.saturating_sub(made_room.elapsed());
            let first = match self.next(&health, pause, jobs) {
                NextStep::Job(job) => Some(job),
                NextStep::Idle => None,
                NextStep::Close => break,
            };
            match (health, first) {
                (DiskHealth::Healthy, first) => self.run_batch(first, jobs, MAX_JOBS, true),
                // One by one, so that a small write does not fail with a large one. Only a batch without
                // a job compacts, since that takes room before it gives some back.
                (DiskHealth::Stalled { .. }, Some(first)) => {
                    self.run_batch(Some(first), jobs, 1, false);
                }
                (DiskHealth::Stalled { .. }, None) => {
                    self.make_room(jobs);
                    made_room = Instant::now();
                }
                (DiskHealth::RestartNeeded { error }, first) => {
                    let error = DiskWriteError::RestartNeeded(error);
                    if let Some(job) = first {
                        let lost = StoreError::unavailable(false, error.clone());
                        let _ = (job.run)(BatchAccess::Lost(lost));
                    }
                }
            }
        }
        if self.health.current().can_write() {
            let _ = self.segments.finish();
        }
        drop(on_panic);
    }

    fn next(&self, health: &DiskHealth, pause: Duration, jobs: &Receiver<WriteJob>) -> NextStep {
        match health {
            DiskHealth::Healthy if self.compactor.is_due(&self.segments) => match jobs.try_recv() {
                Ok(job) => NextStep::Job(job),
                Err(TryRecvError::Empty) => NextStep::Idle,
                Err(TryRecvError::Disconnected) => NextStep::Close,
            },
            // Jobs that come all the time must not keep the store from making room.
            DiskHealth::Stalled { .. } if pause.is_zero() => NextStep::Idle,
            DiskHealth::Stalled { .. } => match jobs.recv_timeout(pause) {
                Ok(job) => NextStep::Job(job),
                Err(RecvTimeoutError::Timeout) => NextStep::Idle,
                Err(RecvTimeoutError::Disconnected) => NextStep::Close,
            },
            DiskHealth::Healthy | DiskHealth::RestartNeeded { .. } => {
                jobs.recv().map_or(NextStep::Close, NextStep::Job)
            }
        }
    }

    /// Runs the waiting jobs, makes their batch stable with one fsync, and then publishes it and
    /// completes the jobs.
    fn run_batch(
        &mut self,
        first: Option<WriteJob>,
        jobs: &Receiver<WriteJob>,
        max_jobs: usize,
        compact: bool,
    ) {
        let mut batch = WriteBatch::new(
            self.table.clone(),
            self.segments.opened.clone(),
            self.compactor.live_bytes.clone(),
            self.max_append_bytes,
        );
        let mut completions = Vec::new();
        let mut next = first;
        while let Some(job) = next {
            self.now = self.now.max(job.now);
            batch.now = self.now;
            completions.extend((job.run)(BatchAccess::Open(&mut batch)));
            next = if completions.len() < max_jobs && batch.bytes() < MAX_BYTES {
                jobs.try_recv().ok()
            } else {
                None
            };
        }
        batch.now = self.now;
        if compact {
            self.compactor.step(&mut batch, &self.segments);
        }
        let bytes = batch.bytes();
        let error = match self.commit(batch) {
            Ok(written) => {
                if written && !compact && !self.health.current().can_write() {
                    self.look_for_room();
                }
                None
            }
            Err(SegmentError { source, written }) => {
                self.compactor.undo();
                let is_too_large = !compact
                    && source.kind() == io::ErrorKind::FileTooLarge
                    && bytes > self.segments.max_bytes()
                    && completions.len() == 1;
                let error = DiskWriteError::of(source);
                self.health.failed(&error);
                Some(if is_too_large {
                    // No file can be as large as this one write, now or later.
                    let max = self.segments.max_bytes().saturating_sub(OVERHEAD);
                    StoreError::TooLarge { max }
                } else {
                    StoreError::unavailable(written, error)
                })
            }
        };
        for completion in completions {
            completion(error.as_ref());
        }
    }

    /// Writes and publishes a batch. Returns true if there was something to write.
    fn commit(&mut self, mut batch: WriteBatch) -> Result<bool, SegmentError> {
        let written = !batch.is_empty() || self.compactor.wants_time();
        let (segment, start) = if written {
            self.segments.write(batch.buffer(), self.now)?
        } else {
            (0, 0)
        };
        batch.publish(&mut self.compactor.queue, segment, start);
        self.compactor.complete(&mut self.segments);
        Ok(written)
    }

    /// Removes files that are no longer needed, with the help of the reserve.
    fn make_room(&mut self, jobs: &Receiver<WriteJob>) {
        self.now = self.now.max(self.table.now());
        if let Err(error) = self.segments.release_reserve() {
            self.health.failed(&DiskWriteError::of(error));
        }
        for _ in 0..MAX_STEPS {
            if matches!(self.health.current(), DiskHealth::RestartNeeded { .. }) {
                return;
            }
            let before = self.segments.bytes();
            self.compactor.press();
            self.run_batch(None, jobs, 1, true);
            let is_smaller = self.segments.bytes() < before;
            if is_smaller || !self.compactor.is_rewriting() {
                self.look_for_room();
                if self.health.current().can_write() || !is_smaller {
                    return;
                }
                if let Err(error) = self.segments.release_reserve() {
                    self.health.failed(&DiskWriteError::of(error));
                }
            }
        }
        self.look_for_room();
    }

    /// Goes on if there is room.
    fn look_for_room(&mut self) {
        match self.segments.check_room() {
            Ok(()) => self.health.recovered(),
            Err(error) => self.health.failed(&DiskWriteError::of(error)),
        }
    }
}

/// Reports that the store needs a restart if the writer panics.
struct RestartOnPanic(HealthSender);

impl Drop for RestartOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let error = io::Error::other("the writer of the store panicked");
            self.0.failed(&DiskWriteError::of(error));
        }
    }
}
