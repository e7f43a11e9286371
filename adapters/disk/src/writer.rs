//! The writer thread.

use std::{
    sync::mpsc::{Receiver, TryRecvError},
    time::Duration,
};

use super::{
    compactor::Compactor, segments::Segments, session::DiskSession, write_batch::WriteBatch,
};
use unbroken::{
    BoxError,
    store::{StoreError, table::SessionTable},
};

/// A job, with the time of the store's clock at which it was sent.
pub(crate) struct WriteJob {
    pub(crate) now: Duration,
    pub(crate) run: Box<dyn FnOnce(BatchAccess<'_>) -> Option<Completion> + Send>,
}

/// The access of a job to the batch.
pub(crate) enum BatchAccess<'a> {
    /// The batch, which will be stable before the job is completed.
    Open(&'a mut WriteBatch),
    /// The store can't write any more.
    Lost(&'a StoreError),
}

/// Completes a job, with the error of the write if it failed.
pub(crate) type Completion = Box<dyn FnOnce(Option<&StoreError>) + Send>;

/// The state of the writer thread.
pub(crate) struct DiskWriter {
    pub(crate) table: SessionTable<DiskSession>,
    pub(crate) segments: Segments,
    pub(crate) max_append: usize,
    pub(crate) compactor: Compactor,
    // The latest time of any job.
    pub(crate) now: Duration,
    pub(crate) lost: Option<StoreError>,
}

/// The bytes and the jobs at which a batch is closed.
const MAX_BATCH_BYTES: usize = 4 << 20;
const MAX_BATCH_JOBS: usize = 4096;

impl DiskWriter {
    /// Runs jobs until the last sender is dropped.
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

    /// Runs the waiting jobs, syncs their changes once, and then publishes and completes them.
    fn run_batch(&mut self, first: Option<WriteJob>, jobs: &Receiver<WriteJob>) {
        let mut batch = WriteBatch::new(
            self.table.clone(),
            self.segments.opened.clone(),
            self.compactor.live_bytes.clone(),
            self.max_append,
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
            next = if completions.len() < MAX_BATCH_JOBS && batch.bytes() < MAX_BATCH_BYTES {
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
            for complete in completions {
                complete(Some(&lost));
            }
            self.lost = Some(lost);
            return;
        }
        for complete in completions {
            complete(None);
        }
    }

    fn commit(&mut self, mut batch: WriteBatch) -> Result<(), BoxError> {
        let (segment, start) = if batch.is_empty() && !self.compactor.needs_time() {
            (0, 0)
        } else {
            self.segments.write(batch.buffer(), self.now)?
        };
        batch.publish(&mut self.compactor, segment, start);
        self.compactor.remove(&mut self.segments);
        Ok(())
    }
}
