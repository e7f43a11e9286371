//! The thread that writes all batches.

use std::{
    sync::mpsc::{Receiver, TryRecvError},
    time::Duration,
};

use unbroken::{
    BoxError,
    store::{StoreError, table::SessionTable},
};

use crate::{
    compactor::Compactor, segments::Segments, session::DiskSession, write_batch::WriteBatch,
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
    Lost(&'a StoreError),
}

/// Completes a job once its batch is stable, or with the error of the write.
pub(crate) type Completion = Box<dyn FnOnce(Option<&StoreError>) + Send>;

/// The state of the writer thread.
pub(crate) struct DiskWriter {
    pub(crate) table: SessionTable<DiskSession>,
    pub(crate) segments: Segments,
    pub(crate) max_append_bytes: usize,
    pub(crate) compactor: Compactor,
    // The latest time of a job.
    pub(crate) now: Duration,
    pub(crate) lost: Option<StoreError>,
}

/// The number of bytes, or of jobs, that completes a batch.
const MAX_BYTES: usize = 4 << 20;
const MAX_JOBS: usize = 4096;

impl DiskWriter {
    /// Runs until every sender of jobs is dropped.
    pub(crate) fn run(mut self, jobs: &Receiver<WriteJob>) {
        loop {
            let first = if self.lost.is_none() && self.compactor.is_due(&self.segments) {
                match jobs.try_recv() {
                    Ok(job) => Some(job),
                    Err(TryRecvError::Empty) => None,
                    Err(TryRecvError::Disconnected) => break,
                }
            } else {
                match jobs.recv() {
                    Ok(job) => Some(job),
                    Err(_) => break,
                }
            };
            self.run_batch(first, jobs);
        }
        if self.lost.is_none() {
            let _ = self.segments.finish();
        }
    }

    /// Runs the waiting jobs, makes their batch stable with one fsync, and then publishes it and
    /// completes the jobs.
    fn run_batch(&mut self, first: Option<WriteJob>, jobs: &Receiver<WriteJob>) {
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
            let access = match &self.lost {
                None => BatchAccess::Open(&mut batch),
                Some(error) => BatchAccess::Lost(error),
            };
            completions.extend((job.run)(access));
            next = if completions.len() < MAX_JOBS && batch.bytes() < MAX_BYTES {
                jobs.try_recv().ok()
            } else {
                None
            };
        }
        if self.lost.is_some() {
            return;
        }
        batch.now = self.now;
        self.compactor.step(&mut batch, &self.segments);
        if let Err(error) = self.commit(batch) {
            let lost = StoreError::unavailable(true, error);
            tracing::error!(error = %lost, "the store can't write any more; close it and open it again");
            for completion in completions {
                completion(Some(&lost));
            }
            self.lost = Some(lost);
            return;
        }
        for completion in completions {
            completion(None);
        }
    }

    fn commit(&mut self, mut batch: WriteBatch) -> Result<(), BoxError> {
        let (segment, start) = if batch.is_empty() && !self.compactor.wants_time() {
            (0, 0)
        } else {
            self.segments.write(batch.buffer(), self.now)?
        };
        batch.publish(&mut self.compactor.queue, segment, start);
        self.compactor.remove(&mut self.segments);
        Ok(())
    }
}
