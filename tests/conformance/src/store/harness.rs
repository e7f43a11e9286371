use std::{future::Future, sync::Arc, time::Duration};

use unbroken::{
    BoxFuture,
    log::{Lsn, SessionId},
    store::Store,
};

/// The access of the suite to a store and to its clock.
///
/// A closure that returns a future of a store is a harness for a store on tokio's clock or the
/// machine's. For any other clock, implement this trait.
pub trait Harness: Send + Sync + 'static {
    /// Returns a store to test. The suite calls this once for each case.
    ///
    /// The store may hold other sessions, provided that nothing else changes them during the case.
    fn store(&self) -> BoxFuture<'_, Arc<dyn Store>>;

    /// Lets at least this much time pass on the store's clock.
    ///
    /// By default sleeps on tokio's clock.
    fn advance(&self, time: Duration) -> BoxFuture<'_, ()> {
        Box::pin(tokio::time::sleep(time))
    }

    /// Returns the unit in which cases count time. Leases and retentions last a few steps.
    ///
    /// On a real clock a shorter step makes the suite faster. With a step that is too short, a slow
    /// store seems to expire sessions too early. Default: one second.
    fn step(&self) -> Duration {
        Duration::from_secs(1)
    }

    /// Returns the most bytes that one append may have, if the store has such a limit.
    ///
    /// The suite then appends that many bytes. Default: `None`, and the case is not applicable.
    fn max_append_bytes(&self) -> Option<usize> {
        None
    }

    /// Makes the record at this LSN unreadable in the store's data, as a failing disk does.
    ///
    /// The record is the only one of its append. Returns true once the record is corrupted, and false
    /// if the harness has no way to corrupt one; the case is then not applicable. Default: false.
    fn corrupt<'a>(&'a self, id: &'a SessionId, lsn: Lsn) -> BoxFuture<'a, bool> {
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
        let store = self();
        Box::pin(async move { Arc::new(store.await) as Arc<dyn Store> })
    }
}
