use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    time::{sleep, timeout},
};
use tokio_postgres::types::{ToSql, Type};
use unbroken::log::SessionId;

use super::{
    ChangeKind,
    link::{self, ListenConnection},
};
use crate::{
    db::{Params, StatementRunner},
    sql::Statement,
};

/// Changes that other servers have yet to be told of.
#[derive(Debug, Default)]
pub(crate) struct Notifier {
    pending: Mutex<HashMap<SessionId, ChangeKind>>,
    more: Notify,
}

/// How they are told.
#[derive(Debug)]
pub(crate) struct NotifyRoute {
    pub(crate) db: Arc<StatementRunner>,
    pub(crate) statement: Statement,
    pub(crate) live: watch::Receiver<Option<Arc<ListenConnection>>>,
    pub(crate) schema: String,
    pub(crate) tag: String,
}

/// A statement tells of all that changed since the one before, and they keep this distance: alone,
/// a change is told at once; of many, each is told a little later and costs much less.
const PAUSE: Duration = Duration::from_millis(2);

/// Whoever isn't told looks again by itself after two seconds.
const PATIENCE: Duration = Duration::from_secs(2);

impl Notifier {
    pub(crate) fn push(&self, id: &SessionId, change: ChangeKind) {
        let mut pending = self.lock();
        match pending.get_mut(id) {
            Some(known) => *known = change.max(*known),
            None => {
                pending.insert(id.clone(), change);
            }
        }
        drop(pending);
        self.more.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, ChangeKind>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells of changes for as long as the store lives.
pub(crate) async fn run(notifier: Arc<Notifier>, route: NotifyRoute) {
    loop {
        notifier.more.notified().await;
        let changes = std::mem::take(&mut *notifier.lock());
        if changes.is_empty() {
            continue;
        }
        if timeout(PATIENCE, route.send(changes)).await.is_err() {
            tracing::warn!("other servers could not be told of changes in time");
        }
        sleep(PAUSE).await;
    }
}

impl NotifyRoute {
    async fn send(&self, changes: HashMap<SessionId, ChangeKind>) {
        let channels: Vec<_> = changes
            .keys()
            .map(|id| link::channel_of(&self.schema, id))
            .collect();
        let payloads: Vec<_> = changes
            .iter()
            .map(|(id, change)| link::payload(&self.tag, *change, id))
            .collect();
        let live = self.live.borrow().clone();
        // The connection that listens has the time; where there is none, one of the pool.
        let sent = if let Some(live) = live {
            let arrays = Type::TEXT_ARRAY;
            let params: [(&(dyn ToSql + Sync), Type); 2] =
                [(&channels, arrays.clone()), (&payloads, arrays)];
            let sent = live.client.query_typed(&self.statement.text, &params);
            sent.await.is_ok()
        } else {
            let params: Params<'_> = &[&channels, &payloads];
            self.db.query(&self.statement, params).await.is_ok()
        };
        if !sent {
            tracing::warn!("other servers could not be told of changes");
        }
    }
}
