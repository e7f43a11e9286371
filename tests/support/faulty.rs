//! A registry on a store with injected faults.

use std::time::Duration;

use unbroken::{session::SessionsBuilder, store::Memory};
use unbroken_conformance::FaultStore;

use crate::support::TextFormat;

pub(crate) const LEASE: Duration = Duration::from_secs(10);

pub(crate) fn builder_on(store: &FaultStore<Memory>) -> SessionsBuilder {
    SessionsBuilder::new(store.clone(), TextFormat)
        .lease(LEASE)
        .outage_timeout(Duration::from_secs(5))
}
