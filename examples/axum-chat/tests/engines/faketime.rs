use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A clock for one engine, by Debian's libfaketime, which reads it from a file.
pub(crate) struct FakeTime {
    file: PathBuf,
}

impl FakeTime {
    /// Returns the reason for which the test cannot run.
    pub(crate) fn missing() -> Option<&'static str> {
        library().is_none().then_some("faketime is not installed")
    }

    /// Creates the file in this folder, with the real time.
    pub(crate) fn in_folder(folder: &Path) -> Self {
        let file = folder.join("time");
        let it = Self { file };
        it.set(0);
        it
    }

    /// Sets the clock this many seconds ahead of the real time.
    pub(crate) fn set(&self, ahead: i64) {
        // Replaced atomically, since it is read at any moment.
        let draft = self.file.with_extension("new");
        fs::write(&draft, format!("{ahead:+}\n")).expect("a file");
        fs::rename(draft, &self.file).expect("a file");
    }

    /// Makes a program that is about to start use the clock.
    pub(crate) fn apply(&self, command: &mut Command) {
        let library = library().expect("it is installed");
        // The allocator of some engines asks for the time before the library is ready, unless the C
        // library is loaded first.
        let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
        let mut paths = maps.lines().filter_map(|line| line.split(' ').next_back());
        let libc = paths.find(|path| path.ends_with("/libc.so.6"));
        let preloaded = format!("{} {}", library.display(), libc.unwrap_or_default());
        command
            .env("LD_PRELOAD", preloaded.trim_end())
            .env("FAKETIME_TIMESTAMP_FILE", &self.file)
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("DONT_FAKE_MONOTONIC", "1");
    }
}

fn library() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").ok()?;
    let mut found = folders.filter_map(|folder| {
        let library = folder.ok()?.path().join("faketime/libfaketimeMT.so.1");
        library.exists().then_some(library)
    });
    found.next()
}
