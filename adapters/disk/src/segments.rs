use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{batch_header::BatchHeader, files, io::DiskIo, location::FrameLocation};

/// The log files, to which batches are written one after the other. Only the newest grows, and only
/// the oldest is removed.
#[derive(Debug)]
pub(crate) struct Segments {
    pub(crate) opened: Arc<SegmentFiles>,
    directory: PathBuf,
    io: Arc<dyn DiskIo>,
    segment_bytes: u64,
    salt: u64,
    sequence: u64,
    sizes: BTreeMap<u32, u64>,
    newest: u32,
    end: u64,
}

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
    /// Opens the files to continue at `end`, and cuts off what lies beyond it in the newest file.
    pub(crate) fn resume(
        directory: &Path,
        io: Arc<dyn DiskIo>,
        segment_bytes: u32,
        salt: u64,
        sizes: BTreeMap<u32, u64>,
        end: WritePosition,
    ) -> io::Result<Self> {
        let mut all = Self {
            opened: Arc::default(),
            directory: directory.to_owned(),
            io,
            segment_bytes: segment_bytes.into(),
            salt,
            sequence: end.sequence,
            sizes,
            newest: end.segment,
            end: end.at,
        };
        for &segment in all.sizes.keys() {
            let file = OpenOptions::new()
                .read(true)
                .write(segment == end.segment)
                .open(path(directory, segment))?;
            if segment == end.segment {
                rewrite_prefix(&file, end.at)?;
                file.set_len(end.at)?;
                file.set_len(end.at.max(segment_bytes.into()))?;
                file.sync_all()?;
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
    /// After an error, nothing may be written any more.
    pub(crate) fn write(&mut self, batch: &mut [u8], time: Duration) -> io::Result<(u32, u32)> {
        let len = batch.len() as u64;
        if self.end > 0 && self.end + len > self.segment_bytes {
            self.finish()?;
            self.begin(self.newest + 1)?;
        }
        self.sequence += 1;
        let header = BatchHeader {
            sequence: self.sequence,
            time,
            len: u32::try_from(batch.len() - BatchHeader::LEN).map_err(io::Error::other)?,
        };
        header.write(self.salt, batch);
        let start = u32::try_from(self.end).map_err(io::Error::other)?;
        let file = self
            .opened
            .file(self.newest)
            .ok_or(io::ErrorKind::NotFound)?;
        self.io.write(&file, batch, self.end)?;
        self.io.sync(&file)?;
        self.end += len;
        self.sizes.insert(self.newest, self.end);
        Ok((self.newest, start))
    }

    /// Gives back the reserved space of the newest file.
    pub(crate) fn finish(&self) -> io::Result<()> {
        let file = self
            .opened
            .file(self.newest)
            .ok_or(io::ErrorKind::NotFound)?;
        file.set_len(self.end)?;
        file.sync_all()
    }

    fn begin(&mut self, segment: u32) -> io::Result<()> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(path(&self.directory, segment))?;
        // Reserved in advance, so that an fsync has no new length to write.
        file.set_len(self.segment_bytes)?;
        file.sync_all()?;
        files::sync_directory(&self.directory)?;
        self.opened.lock().insert(segment, Arc::new(file));
        self.sizes.insert(segment, 0);
        (self.newest, self.end) = (segment, 0);
        Ok(())
    }

    /// Returns the oldest segment, unless it is also the newest.
    pub(crate) fn oldest(&self) -> Option<u32> {
        let (&oldest, _) = self.sizes.first_key_value()?;
        (oldest < self.newest).then_some(oldest)
    }

    /// Removes a segment and its file.
    pub(crate) fn remove(&mut self, segment: u32) -> io::Result<()> {
        fs::remove_file(path(&self.directory, segment))?;
        self.opened.lock().remove(&segment);
        self.sizes.remove(&segment);
        files::sync_directory(&self.directory)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.sizes.values().sum()
    }
}

/// Writes the bytes of a file up to `until` once more.
///
/// After a failed fsync, the system may show bytes that never reached the disk and that it will not
/// write any more. A store that is opened after such a failure would take them for stable.
fn rewrite_prefix(file: &File, until: u64) -> io::Result<()> {
    const PART: u64 = 1 << 20;
    let mut at = 0;
    while at < until {
        let len = PART.min(until - at);
        let mut bytes = vec![0; usize::try_from(len).map_err(io::Error::other)?];
        files::read(file, &mut bytes, at)?;
        files::write(file, &bytes, at)?;
        at += len;
    }
    Ok(())
}
