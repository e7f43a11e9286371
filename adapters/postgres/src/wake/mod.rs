//! Wakes waiters when a session changes: at once after a change through this store, by `NOTIFY` after a
//! change through another.
//!
//! A `NOTIFY` takes a lock of the whole database at commit, so none is part of a write: changes are
//! collected and sent after their commits, by one statement at a time.

mod link;
mod listener;
mod notifier;
mod waiters;

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, timeout_at},
};
use unbroken::log::SessionId;

pub(crate) use self::waiters::{ChangeKind, Subscription};
use self::{link::ListenConnection, notifier::Notifier, waiters::Waiters};
use crate::{PostgresOptions, db::StatementRunner, listen::ListenMode, sql::Statement};

/// The interval of polls while there is no connection that listens.
const LOST_POLL: Duration = Duration::from_millis(250);

#[derive(Debug)]
pub(crate) struct Notifications {
    waiters: Arc<Waiters>,
    notifier: Option<Arc<Notifier>>,
    live: watch::Receiver<Option<Arc<ListenConnection>>>,
    listens: bool,
    /// The interval of polls of a wait that can't listen.
    pub(crate) poll: Duration,
    tasks: Vec<JoinHandle<()>>,
}

impl Notifications {
    pub(crate) fn start(
        options: &PostgresOptions,
        mode: ListenMode,
        db: Arc<StatementRunner>,
        notify: Statement,
    ) -> Self {
        let waiters = Arc::new(Waiters::default());
        let (sender, live) = watch::channel(None);
        let tag = link::tag();
        let mut tasks = Vec::new();
        let (listens, poll) = match mode {
            ListenMode::Poll(interval) => (false, interval),
            ListenMode::Connection(connect) => {
                let listening = listener::run(
                    connect,
                    options.clone(),
                    tag.clone(),
                    sender,
                    waiters.clone(),
                );
                tasks.push(tokio::spawn(listening));
                (true, LOST_POLL)
            }
            ListenMode::StoreUrl => (false, LOST_POLL),
        };
        let notifier = options.notify.then(|| Arc::new(Notifier::default()));
        if let Some(notifier) = &notifier {
            let notifying = notifier::run(
                notifier.clone(),
                notifier::NotifyRoute {
                    db,
                    statement: notify,
                    live: live.clone(),
                    schema: options.schema.clone(),
                    tag,
                },
            );
            tasks.push(tokio::spawn(notifying));
        }
        Self {
            waiters,
            notifier,
            live,
            listens,
            poll,
            tasks,
        }
    }

    /// Wakes the waiters of this store, and queues a notification for the others. Doesn't block.
    pub(crate) fn notify(&self, id: &SessionId, change: ChangeKind) {
        self.waiters.wake(id.as_str(), change);
        if let Some(notifier) = &self.notifier {
            notifier.push(id, change);
        }
    }

    pub(crate) fn subscribe(&self, id: &SessionId) -> Subscription {
        self.waiters.subscribe(id)
    }

    /// Returns a receiver whose value changes when the connection that listens is lost.
    pub(crate) fn link(&self) -> watch::Receiver<Option<Arc<ListenConnection>>> {
        self.live.clone()
    }

    /// Returns true once changes of the session are listened to.
    pub(crate) async fn listening(&self, id: &SessionId, deadline: Instant) -> bool {
        if !self.listens {
            return false;
        }
        let live = self.live.borrow().clone();
        match live {
            Some(live) => timeout_at(deadline, live.listen(id)).await.unwrap_or(false),
            None => false,
        }
    }
}

impl Drop for Notifications {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}
