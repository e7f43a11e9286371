use std::{
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    time::Duration,
};

use tempfile::TempDir;

use super::{
    Checked, Error,
    call_log::CallLog,
    engine::{Engine, temp_dir},
    server::{Server, ServerOptions},
};

/// The servers that share one store.
#[derive(Debug)]
pub(crate) struct Cluster {
    engine: Engine,
    pub(crate) options: ServerOptions,
    pub(crate) call_log: CallLog,
    folder: TempDir,
    started: AtomicUsize,
}

impl Cluster {
    /// Creates a cluster without a server, with a space of its own in the engine.
    pub(crate) fn new(
        engine: Engine,
        lease: Duration,
        policy: &'static str,
    ) -> Result<Self, Error> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let folder = temp_dir()?;
        let count = COUNT.fetch_add(1, SeqCst);
        let call_log = CallLog {
            path: folder.path().join("calls"),
        };
        let options = ServerOptions {
            store: engine.store(folder.path()),
            space: format!("servers_{}_{count}", std::process::id()),
            calls: call_log.path.clone(),
            lease,
            policy,
            fault: "none",
            upstream: None,
            endings: "none",
        };
        Ok(Self {
            engine,
            options,
            call_log,
            folder,
            started: AtomicUsize::new(0),
        })
    }

    /// Sets the fault of the servers that start from now on.
    pub(crate) fn fault(mut self, fault: &'static str) -> Self {
        self.options.fault = fault;
        self
    }

    /// Sets the model's server of those that start from now on, and whether it answers in the background.
    pub(crate) fn upstream(mut self, url: String, in_background: bool) -> Self {
        self.options.upstream = Some((url, in_background));
        self
    }

    /// Sets how the application of the servers that start from now on is told of endings.
    pub(crate) fn endings(mut self, endings: &'static str) -> Self {
        self.options.endings = endings;
        self
    }

    /// Starts a server under a new name.
    pub(crate) async fn start(&self) -> Result<Server, Error> {
        self.start_with(self.options.fault).await
    }

    /// Starts a server with this fault under a new name.
    pub(crate) async fn start_with(&self, fault: &'static str) -> Result<Server, Error> {
        let name = format!("s{}", self.started.fetch_add(1, SeqCst));
        let mut options = self.options.clone();
        options.fault = fault;
        Server::start(&options, &name).await
    }

    /// Removes the data of the servers from the engine. All servers must have exited.
    pub(crate) async fn clean_up(self) -> Checked {
        self.engine.clean(&self.options.space).await
    }
}
