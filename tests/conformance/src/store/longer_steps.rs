#![deny(clippy::missing_trait_methods)]

use std::{sync::Arc, time::Duration};

use unbroken::{
    BoxFuture,
    log::{Lsn, SessionId},
    store::Store,
};

use super::harness::Harness;

/// A harness whose step is a multiple of that of another one.
pub(super) struct LongerSteps {
    pub(super) harness: Arc<dyn Harness>,
    pub(super) factor: u32,
}

impl Harness for LongerSteps {
    fn store(&self) -> BoxFuture<'_, Arc<dyn Store>> {
        self.harness.store()
    }

    fn advance(&self, time: Duration) -> BoxFuture<'_, ()> {
        self.harness.advance(time)
    }

    fn step(&self) -> Duration {
        self.harness.step() * self.factor
    }

    fn max_append_bytes(&self) -> Option<usize> {
        self.harness.max_append_bytes()
    }

    fn corrupt<'a>(&'a self, id: &'a SessionId, lsn: Lsn) -> BoxFuture<'a, bool> {
        self.harness.corrupt(id, lsn)
    }
}
