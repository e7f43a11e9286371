use std::{future::Future, sync::Arc, time::Duration};

use crate::store::{BoxFuture, Store};

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
