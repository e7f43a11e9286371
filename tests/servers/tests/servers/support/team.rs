use std::{
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    time::Duration,
};

use tempfile::TempDir;

use super::{
    Checked, Error,
    calls::Journal,
    engine::{Engine, folder},
    server::{Server, Setup},
};

/// Servers that share their sessions.
#[derive(Debug)]
pub(crate) struct Team {
    engine: Engine,
    pub(crate) setup: Setup,
    pub(crate) journal: Journal,
    folder: TempDir,
    started: AtomicUsize,
}

impl Team {
    pub(crate) fn new(
        engine: Engine,
        lease: Duration,
        policy: &'static str,
    ) -> Result<Self, Error> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let folder = folder()?;
        let count = COUNT.fetch_add(1, SeqCst);
        let journal = Journal {
            path: folder.path().join("calls"),
        };
        let setup = Setup {
            store: engine.store(folder.path()),
            space: format!("servers_{}_{count}", std::process::id()),
            calls: journal.path.clone(),
            lease,
            policy,
            fault: "none",
        };
        Ok(Self {
            engine,
            setup,
            journal,
            folder,
            started: AtomicUsize::new(0),
        })
    }

    /// Whose servers do this wrong.
    pub(crate) fn fault(mut self, fault: &'static str) -> Self {
        self.setup.fault = fault;
        self
    }

    /// One more, under a name that none had.
    pub(crate) async fn start(&self) -> Result<Server, Error> {
        self.start_with(self.setup.fault).await
    }

    /// One more, which does this wrong.
    pub(crate) async fn start_with(&self, fault: &'static str) -> Result<Server, Error> {
        let who = format!("s{}", self.started.fetch_add(1, SeqCst));
        let mut setup = self.setup.clone();
        setup.fault = fault;
        Server::start(&setup, &who).await
    }

    /// Removes what its servers left behind; they must be gone.
    pub(crate) async fn disband(self) -> Checked {
        self.engine.clean(&self.setup.space).await
    }
}
