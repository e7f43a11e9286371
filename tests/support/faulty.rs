//! A registry on a store whose faults the test decides.

use std::time::Duration;

use unbroken::{
    session::{Sessions, SessionsBuilder},
    store::Memory,
};
use unbroken_conformance::FaultStore;

use crate::support::Words;

pub(crate) const LEASE: Duration = Duration::from_secs(10);

pub(crate) fn on(store: &FaultStore<Memory>) -> SessionsBuilder {
    Sessions::with_format(store.clone(), Words)
        .lease(LEASE)
        .patience(Duration::from_secs(5))
}
