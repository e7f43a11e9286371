//! The calls of a server's provider, in a file that outlives the process.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::Path,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

/// Appends a line to a file for each call of the provider and for each end of its stream.
///
/// Each line is one write, so that a killed process leaves whole lines.
#[derive(Debug, Clone)]
pub(crate) struct CallLogWriter {
    file: Arc<File>,
    server: Arc<str>,
}

/// A call of the provider. Dropping it logs the end of its stream.
#[derive(Debug)]
pub(crate) struct LoggedCall {
    log: CallLogWriter,
    id: String,
}

impl CallLogWriter {
    pub(crate) fn open(path: &Path, server: &str) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self {
            file: Arc::new(file),
            server: server.into(),
        })
    }

    /// Returns the name of the server.
    pub(crate) fn server(&self) -> &str {
        &self.server
    }

    /// Logs a call for this session, with the number of tokens that its answer has already.
    pub(crate) fn call(&self, id: &str, tokens: usize) -> LoggedCall {
        self.write("call", id, tokens);
        LoggedCall {
            log: self.clone(),
            id: id.to_owned(),
        }
    }

    /// Logs a run of a tool for this session.
    pub(crate) fn tool(&self, id: &str) {
        self.write("tool", id, 0);
    }

    /// Logs that the application was told of the end of this session.
    pub(crate) fn ended(&self, id: &str) {
        self.write("ended", id, 0);
    }

    fn write(&self, kind: &str, id: &str, tokens: usize) {
        let line = format!("{kind} {id} {} {tokens} {}\n", self.server, micros());
        let written = (&*self.file).write_all(line.as_bytes());
        written.expect("the file takes a line");
    }
}

impl Drop for LoggedCall {
    fn drop(&mut self) {
        self.log.write("drop", &self.id, 0);
    }
}

/// Returns the microseconds since 1970.
pub(crate) fn micros() -> u128 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_micros())
}
