use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::io::DiskIo;

/// Room on the disk that is kept for compaction, which needs some before it gives some back. It is a file
/// in the store's directory.
#[derive(Debug)]
pub(crate) struct Reserve {
    path: PathBuf,
    is_held: bool,
}

/// The size of the file in bytes.
pub(crate) const RESERVE: usize = 256 << 10;

impl Reserve {
    pub(crate) fn new(directory: &Path) -> Self {
        Self {
            path: directory.join("reserve"),
            is_held: false,
        }
    }

    /// Takes the room, unless it is held.
    pub(crate) fn hold(&mut self, io: &dyn DiskIo) -> io::Result<()> {
        if self.is_held {
            return Ok(());
        }
        // Zeros take no room in a file system that compresses.
        let mut bytes = vec![0; RESERVE];
        getrandom::fill(&mut bytes).map_err(io::Error::other)?;
        let file = io.create(&self.path)?;
        let written = io.write(&file, &bytes, 0).and_then(|()| io.sync(&file));
        if written.is_err() {
            // A part of it would only take room from others.
            let _ = fs::remove_file(&self.path);
        }
        self.is_held = written.is_ok();
        written
    }

    /// Gives the room to the next writes.
    pub(crate) fn release(&mut self, io: &dyn DiskIo) -> io::Result<()> {
        if !std::mem::take(&mut self.is_held) {
            return Ok(());
        }
        match io.remove(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }
}
