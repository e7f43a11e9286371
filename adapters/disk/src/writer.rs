//! The one thread that writes.

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

/// Something to do at this time of the store's clock.
pub(crate) struct WriteJob {
    pub(crate) now: Duration,
    pub(crate) run: Box<dyn FnOnce(BatchAccess<'_>) -> Option<Completion> + Send>,
}

/// What a job finds.
pub(crate) enum BatchAccess<'a> {
    /// WriteBatch that will be made stable before it is answered.
    Work(&'a mut WriteBatch),
    /// Nothing can be written any more.
    Lost(&'a StoreError),
}

/// Tells who asked: of the error, or that what was done is stable.
pub(crate) type Completion = Box<dyn FnOnce(Option<&StoreError>) + Send>;

/// What the thread owns.
pub(crate) struct DiskWriter {
    pub(crate) table: SessionTable<DiskSession>,
    pub(crate) segments: Segments,
    pub(crate) max_append: usize,
    pub(crate) tidy: Compactor,
    // The latest that any job has told.
    pub(crate) now: Duration,
    pub(crate) lost: Option<StoreError>,
}

/// A batch is closed once it has so many bytes, or so many jobs.
const BYTES: usize = 4 << 20;
const JOBS: usize = 4096;

impl DiskWriter {
    /// Works until nobody is left who could ask for anything.
    pub(crate) fn run(mut self, jobs: &Receiver<WriteJob>) {
        loop {
            let first = if self.lost.is_none() && self.tidy.is_due(&self.segments) {
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
            self.batch(first, jobs);
        }
        if self.lost.is_none() {
            let _ = self.segments.finish();
        }
    }

    /// Does what waits, makes it stable with one fsync, and only then shows and answers it.
    fn batch(&mut self, first: Option<WriteJob>, jobs: &Receiver<WriteJob>) {
        let mut work = WriteBatch::new(
            self.table.clone(),
            self.segments.opened.clone(),
            self.tidy.live.clone(),
            self.max_append,
        );
        let mut answers = Vec::new();
        let mut next = first;
        while let Some(job) = next {
            self.now = self.now.max(job.now);
            work.now = self.now;
            let outlook = match &self.lost {
                None => BatchAccess::Work(&mut work),
                Some(error) => BatchAccess::Lost(error),
            };
            answers.extend((job.run)(outlook));
            next = if answers.len() < JOBS && work.bytes() < BYTES {
                jobs.try_recv().ok()
            } else {
                None
            };
        }
        if self.lost.is_some() {
            return;
        }
        work.now = self.now;
        self.tidy.step(&mut work, &self.segments);
        if let Err(error) = self.settle(work) {
            let lost = StoreError::unavailable(true, error);
            tracing::error!(error = %lost, "the store can't write any more; it has to be opened again");
            for answer in answers {
                answer(Some(&lost));
            }
            self.lost = Some(lost);
            return;
        }
        for answer in answers {
            answer(None);
        }
    }

    fn settle(&mut self, mut work: WriteBatch) -> Result<(), BoxError> {
        let (segment, start) = if work.is_empty() && !self.tidy.wants_time() {
            (0, 0)
        } else {
            self.segments.write(work.buffer(), self.now)?
        };
        work.show(&mut self.tidy, segment, start);
        self.tidy.remove(&mut self.segments);
        Ok(())
    }
}
