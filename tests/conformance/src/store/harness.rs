use std::{future::Future, sync::Arc, time::Duration};

use unbroken::{
    log::{Lsn, SessionId},
    store::{BoxFuture, Store},
};

/// How the suite gets at a store, and how time passes there.
///
/// A closure that makes a store is a harness for one that lives by tokio's clock, or by the
/// machine's. For any other, implement this.
pub trait Harness: Send + Sync + 'static {
    /// A store to test, once for each case. It may hold other sessions, if nobody works on them.
    fn store(&self) -> BoxFuture<'_, Arc<dyn Store>>;

    /// Lets at least this much time pass by the store's clock.
    fn pass(&self, time: Duration) -> BoxFuture<'_, ()> {
        Box::pin(tokio::time::sleep(time))
    }

    /// What the cases count time in: a lease or a retention lasts a few of these. Where time really
    /// passes, shorter is quicker; too short, and a store that answers slowly seems to forget too
    /// early. One second, unless told.
    fn step(&self) -> Duration {
        Duration::from_secs(1)
    }

    /// The most bytes that one append may have, if there is such a limit and the suite may fill it.
    fn max_append(&self) -> Option<usize> {
        None
    }

    /// Has the record at this LSN become unreadable, behind the store's back, as a disk does with what
    /// it holds. It lies in an append of its own. False, unless told, if there is no way to do that;
    /// the suite then can't say what becomes of such a record.
    fn harm<'a>(&'a self, id: &'a SessionId, lsn: Lsn) -> BoxFuture<'a, bool> {
        let _ = (id, lsn);
        Box::pin(std::future::ready(false))
    }
}

impl<F, Fut, S> Harness for F
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = S> + Send + 'static,
    S: Store,
{
    fn store(&self) -> BoxFuture<'_, Arc<dyn Store>> {
        let made = self();
        Box::pin(async move { Arc::new(made.await) as Arc<dyn Store> })
    }
}
