//! The store as the registry sees it: each call is watched, and failures are traced with their causes.

mod causes;
mod failures;
mod pending_call;
mod store;

pub(super) use self::{failures::StoreFailures, store::ObservedStore};
