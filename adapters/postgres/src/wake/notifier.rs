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

/// The changes that other servers have not been notified of.
#[derive(Debug, Default)]
pub(crate) struct Notifier {
    pending: Mutex<HashMap<SessionId, ChangeKind>>,
    more: Notify,
}

/// The connections and the statement of notifications.
#[derive(Debug)]
pub(crate) struct NotifyRoute {
    pub(crate) db: Arc<StatementRunner>,
    pub(crate) statement: Statement,
    pub(crate) live: watch::Receiver<Option<Arc<ListenConnection>>>,
    pub(crate) schema: String,
    pub(crate) tag: String,
}

/// The pause between two statements. Each sends all changes since the one before: a single change is sent
/// at once, and of many each is sent a little later at a much lower cost.
const PAUSE: Duration = Duration::from_millis(2);

/// The timeout of a notification. A waiter that is not notified reads the session after two seconds.
const SEND_TIMEOUT: Duration = Duration::from_secs(2);

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

/// Sends notifications until the store is dropped.
pub(crate) async fn run(notifier: Arc<Notifier>, route: NotifyRoute) {
    loop {
        notifier.more.notified().await;
        let changes = std::mem::take(&mut *notifier.lock());
        if changes.is_empty() {
            continue;
        }
        if timeout(SEND_TIMEOUT, route.send(changes)).await.is_err() {
            tracing::warn!("other servers could not be notified of changes within the timeout");
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
        // The connection that listens is mostly idle; without one, a connection of the pool is used.
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
            tracing::warn!("other servers could not be notified of changes");
        }
    }
}
