use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::Path,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

/// Writes down what happens to the provider, into a file that the process's death doesn't take: a
/// line each, appended by one write.
#[derive(Debug, Clone)]
pub(crate) struct Calls {
    file: Arc<File>,
    who: Arc<str>,
}

/// A stream of the provider. Its end is written down when it is dropped.
#[derive(Debug)]
pub(crate) struct Call {
    calls: Calls,
    id: String,
}

impl Calls {
    pub(crate) fn open(path: &Path, who: &str) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self {
            file: Arc::new(file),
            who: who.into(),
        })
    }

    pub(crate) fn who(&self) -> &str {
        &self.who
    }

    /// It was called for this session, which had been told so many tokens before.
    pub(crate) fn call(&self, id: &str, said: usize) -> Call {
        self.write("call", id, said);
        Call {
            calls: self.clone(),
            id: id.to_owned(),
        }
    }

    fn write(&self, what: &str, id: &str, said: usize) {
        let line = format!("{what} {id} {} {said} {}\n", self.who, micros());
        let written = (&*self.file).write_all(line.as_bytes());
        written.expect("the file takes a line");
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.calls.write("drop", &self.id, 0);
    }
}

/// Microseconds since 1970.
pub(crate) fn micros() -> u128 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_micros())
}
