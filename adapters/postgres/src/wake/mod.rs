//! Who waits, and how they learn of a change: at once of one made through this store, by `NOTIFY`
//! of one made through another.
//!
//! A `NOTIFY` takes a lock at commit that is one for the whole database, so none is ever part of a
//! write: changes are collected and told after their commits, by one statement at a time.

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

/// While nothing can be listened to, a wait looks again after so long.
const LOST: Duration = Duration::from_millis(250);

#[derive(Debug)]
pub(crate) struct Notifications {
    waiters: Arc<Waiters>,
    notifier: Option<Arc<Notifier>>,
    live: watch::Receiver<Option<Arc<ListenConnection>>>,
    listens: bool,
    /// How long a wait sleeps where nothing wakes it.
    pub(crate) poll: Duration,
    tasks: Vec<JoinHandle<()>>,
}

impl Notifications {
    pub(crate) fn start(
        options: &PostgresOptions,
        way: ListenMode,
        db: Arc<StatementRunner>,
        notify: Statement,
    ) -> Self {
        let waiters = Arc::new(Waiters::default());
        let (sender, live) = watch::channel(None);
        let tag = link::tag();
        let mut tasks = Vec::new();
        let (listens, poll) = match way {
            ListenMode::Poll(interval) => (false, interval),
            ListenMode::Dial(dial) => {
                let listening =
                    listener::run(dial, options.clone(), tag.clone(), sender, waiters.clone());
                tasks.push(tokio::spawn(listening));
                (true, LOST)
            }
            ListenMode::Same => (false, LOST),
        };
        let notifier = options.notify.then(|| Arc::new(Notifier::default()));
        if let Some(notifier) = &notifier {
            let telling = notifier::run(
                notifier.clone(),
                notifier::NotifyRoute {
                    db,
                    statement: notify,
                    live: live.clone(),
                    schema: options.schema.clone(),
                    tag,
                },
            );
            tasks.push(tokio::spawn(telling));
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

    /// Tells everybody, here and elsewhere. Doesn't wait.
    pub(crate) fn tell(&self, id: &SessionId, change: ChangeKind) {
        self.waiters.wake(id.as_str(), change);
        if let Some(notifier) = &self.notifier {
            notifier.push(id, change);
        }
    }

    pub(crate) fn subscribe(&self, id: &SessionId) -> Subscription {
        self.waiters.subscribe(id)
    }

    /// Whose value changes when the connection that listens is lost.
    pub(crate) fn link(&self) -> watch::Receiver<Option<Arc<ListenConnection>>> {
        self.live.clone()
    }

    /// Whether changes of this session are listened to from here on.
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
