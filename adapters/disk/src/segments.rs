use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{
    batch_header::BatchHeader,
    files,
    io::DiskIo,
    location::FrameLocation,
    lock::DirectoryLock,
    reserve::{RESERVE, Reserve},
};

/// The log files, to which batches are written one after the other. Only the newest grows, and only
/// the oldest is removed.
#[derive(Debug)]
pub(crate) struct Segments {
    pub(crate) opened: Arc<SegmentFiles>,
    directory: PathBuf,
    lock: DirectoryLock,
    reserve: Reserve,
    io: Arc<dyn DiskIo>,
    segment_bytes: u64,
    salt: u64,
    sequence: u64,
    sizes: BTreeMap<u32, u64>,
    newest: u32,
    end: u64,
    tail: SegmentTail,
}

/// The bytes of the newest file beyond the end of its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SegmentTail {
    /// Reserved space.
    Reserved,
    /// A part of a batch, whose write failed.
    Written,
    /// A batch, whose fsync failed. What was written since the last fsync, and what shares a page with
    /// it, may be on the disk or not, whatever the system shows.
    Unsynced,
    /// Nothing: the file is cut at its end, and the next batch begins a new one.
    Finished,
}

/// The error of [`Segments::write`].
#[derive(Debug)]
pub(crate) struct SegmentError {
    pub(crate) source: io::Error,
    /// True if some of the batch may be on the disk.
    pub(crate) written: bool,
}

/// The content of the store's directory, as it was found.
#[derive(Debug)]
pub(crate) struct FoundSegments {
    /// The used bytes of each file.
    pub(crate) sizes: BTreeMap<u32, u64>,
    pub(crate) end: WritePosition,
}

/// The bytes before the end of a log that may share a page or a block with it.
const SHARED: u64 = 64 << 10;

/// The log files, open for reading.
#[derive(Debug, Default)]
pub(crate) struct SegmentFiles(Mutex<BTreeMap<u32, Arc<File>>>);

/// The position at which writing continues.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct WritePosition {
    pub(crate) segment: u32,
    pub(crate) at: u64,
    pub(crate) sequence: u64,
}

impl SegmentFiles {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, Arc<File>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn file(&self, segment: u32) -> Option<Arc<File>> {
        self.lock().get(&segment).cloned()
    }

    /// Reads the bytes of a frame from the disk.
    pub(crate) fn read(&self, location: FrameLocation) -> io::Result<Vec<u8>> {
        let file = self.file(location.segment).ok_or(io::ErrorKind::NotFound)?;
        read(&file, location)
    }
}

/// Reads the bytes of a frame from this file.
pub(crate) fn read(file: &File, location: FrameLocation) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; location.len as usize];
    files::read(file, &mut bytes, location.at.into())?;
    Ok(bytes)
}

/// Lists the log files of a directory with their numbers, oldest first.
pub(crate) fn list(directory: &Path) -> io::Result<Vec<(u32, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let number = path
            .extension()
            .is_some_and(|extension| extension == "log")
            .then(|| path.file_stem()?.to_str()?.parse().ok());
        if let Some(Some(number)) = number {
            found.push((number, path));
        }
    }
    found.sort();
    Ok(found)
}

fn path(directory: &Path, segment: u32) -> PathBuf {
    directory.join(format!("{segment:010}.log"))
}

impl Segments {
    /// Opens the files to continue at their end, and cuts off what lies beyond it in the newest file.
    pub(crate) fn resume(
        lock: DirectoryLock,
        directory: &Path,
        io: Arc<dyn DiskIo>,
        segment_bytes: u32,
        salt: u64,
        found: FoundSegments,
    ) -> io::Result<Self> {
        let mut all = Self {
            opened: Arc::default(),
            directory: directory.to_owned(),
            lock,
            reserve: Reserve::new(directory),
            io,
            segment_bytes: segment_bytes.into(),
            salt,
            sequence: found.end.sequence,
            sizes: found.sizes,
            newest: found.end.segment,
            end: found.end.at,
            tail: SegmentTail::Reserved,
        };
        for segment in all.sizes.keys().copied().collect::<Vec<_>>() {
            let file = OpenOptions::new()
                .read(true)
                .write(segment == all.newest)
                .open(path(directory, segment))?;
            if segment == all.newest {
                // After a failed fsync, the system may show bytes that never reached the disk and
                // that it will not write any more. They would be taken for stable.
                all.rewrite(&file, 0)?;
                all.cut(&file)?;
                all.io.sync(&file)?;
            }
            all.opened.lock().insert(segment, Arc::new(file));
        }
        if all.sizes.is_empty() {
            all.begin(1)?;
        }
        Ok(all)
    }

    /// Fills in the empty header of a batch, writes the batch and makes it stable. Returns its segment
    /// and offset.
    ///
    /// After an error the batch is not part of the log. The next call first removes what is left of it,
    /// so that it can't come back beside a batch that took its place.
    pub(crate) fn write(
        &mut self,
        batch: &mut [u8],
        time: Duration,
    ) -> Result<(u32, u32), SegmentError> {
        let unwritten = |source| SegmentError {
            source,
            written: false,
        };
        let written = |source| SegmentError {
            source,
            written: true,
        };
        let len = batch.len() as u64;
        let file = self.prepare(len).map_err(unwritten)?;
        let header = BatchHeader {
            sequence: self.sequence + 1,
            time,
            len: u32::try_from(batch.len() - BatchHeader::LEN)
                .map_err(io::Error::other)
                .map_err(unwritten)?,
        };
        header.write(self.salt, batch);
        let start = u32::try_from(self.end).map_err(io::Error::other);
        let start = start.map_err(unwritten)?;
        self.write_beyond_end(&file, batch).map_err(written)?;
        self.sequence += 1;
        self.end += len;
        self.tail = SegmentTail::Reserved;
        self.sizes.insert(self.newest, self.end);
        Ok((self.newest, start))
    }

    /// Keeps room for compaction.
    pub(crate) fn hold_reserve(&mut self) -> io::Result<()> {
        self.reserve.hold(&*self.io)
    }

    /// Gives the room that is kept for compaction to the next writes.
    pub(crate) fn release_reserve(&mut self) -> io::Result<()> {
        self.reserve.release(&*self.io)
    }

    /// Checks that the disk takes some more bytes than a small batch has, beside the reserve.
    pub(crate) fn check_room(&mut self) -> io::Result<()> {
        self.hold_reserve()?;
        let left = self.segment_bytes.saturating_sub(self.end);
        let room = RESERVE.min(usize::try_from(left).map_err(io::Error::other)?);
        let file = self.prepare(room as u64)?;
        self.write_beyond_end(&file, &vec![0; room])?;
        self.cut(&file)
    }

    /// Returns the file for so many bytes more, in which nothing lies beyond the end of the log.
    fn prepare(&mut self, len: u64) -> io::Result<Arc<File>> {
        self.lock.check()?;
        let file = self.newest_file()?;
        match self.tail {
            SegmentTail::Reserved | SegmentTail::Finished => {}
            SegmentTail::Written => self.cut(&file)?,
            SegmentTail::Unsynced => {
                self.io.set_len(&file, self.end)?;
                self.rewrite(&file, self.end.saturating_sub(SHARED))?;
                self.io.sync(&file)?;
                self.cut(&file)?;
            }
        }
        if self.end > 0 && self.end + len > self.segment_bytes {
            self.finish()?;
        }
        if self.tail == SegmentTail::Finished {
            self.begin(self.newest + 1)?;
        }
        self.newest_file()
    }

    fn newest_file(&self) -> io::Result<Arc<File>> {
        let file = self.opened.file(self.newest);
        file.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn write_beyond_end(&mut self, file: &File, bytes: &[u8]) -> io::Result<()> {
        self.tail = SegmentTail::Written;
        if let Err(error) = self.io.write(file, bytes, self.end) {
            // The part that was written takes room from others. What isn't cut now is cut before the
            // next write.
            let _ = self.cut(file);
            return Err(error);
        }
        self.tail = SegmentTail::Unsynced;
        self.io.sync(file)
    }

    /// Removes what lies beyond the end of the log in the newest file, and reserves space there, so that
    /// an fsync has no new length to write.
    fn cut(&mut self, file: &File) -> io::Result<()> {
        self.io.set_len(file, self.end)?;
        self.io.set_len(file, self.end.max(self.segment_bytes))?;
        self.tail = SegmentTail::Reserved;
        Ok(())
    }

    /// Writes the bytes of the newest file from there to its end once more.
    fn rewrite(&self, file: &File, from: u64) -> io::Result<()> {
        const PART: u64 = 1 << 20;
        let mut at = from;
        while at < self.end {
            let len = PART.min(self.end - at);
            let mut bytes = vec![0; usize::try_from(len).map_err(io::Error::other)?];
            files::read(file, &mut bytes, at)?;
            self.io.write(file, &bytes, at)?;
            at += len;
        }
        Ok(())
    }

    /// Gives back the reserved space of the newest file, to which nothing is written any more.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        if self.tail == SegmentTail::Finished {
            return Ok(());
        }
        let file = self.newest_file()?;
        self.io.set_len(&file, self.end)?;
        self.io.sync(&file)?;
        self.tail = SegmentTail::Finished;
        Ok(())
    }

    fn begin(&mut self, segment: u32) -> io::Result<()> {
        let file = self.io.create(&path(&self.directory, segment))?;
        self.io.set_len(&file, self.segment_bytes)?;
        self.io.sync(&file)?;
        self.io.sync_directory(&self.directory)?;
        self.opened.lock().insert(segment, Arc::new(file));
        self.sizes.insert(segment, 0);
        (self.newest, self.end) = (segment, 0);
        self.tail = SegmentTail::Reserved;
        Ok(())
    }

    /// Returns the oldest segment, unless it is also the newest.
    pub(crate) fn oldest(&self) -> Option<u32> {
        let (&oldest, _) = self.sizes.first_key_value()?;
        (oldest < self.newest).then_some(oldest)
    }

    /// Removes a segment and its file.
    pub(crate) fn remove(&mut self, segment: u32) -> io::Result<()> {
        match self.io.remove(&path(&self.directory, segment)) {
            // An earlier call removed it, and failed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            removed => removed?,
        }
        self.opened.lock().remove(&segment);
        self.sizes.remove(&segment);
        self.io.sync_directory(&self.directory)
    }

    /// Returns the most bytes of a write that needs no larger file than others.
    pub(crate) fn max_bytes(&self) -> usize {
        usize::try_from(self.segment_bytes).map_or(usize::MAX, |bytes| bytes - BatchHeader::LEN)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.sizes.values().sum()
    }
}
