//! A registry on a store whose faults the test decides.

use std::time::Duration;

use unbroken::{
    session::{Sessions, SessionsBuilder},
    store::Memory,
};
use unbroken_conformance::FaultStore;

use crate::support::TextFormat;

pub(crate) const LEASE: Duration = Duration::from_secs(10);

pub(crate) fn on(store: &FaultStore<Memory>) -> SessionsBuilder {
    SessionsBuilder::new(store.clone(), TextFormat)
        .lease(LEASE)
        .outage_timeout(Duration::from_secs(5))
}
