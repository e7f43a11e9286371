//! The store as the registry sees it: each call is watched, and failures are traced with their causes.

mod causes;
mod failures;
mod store;
mod watched_call;

pub(super) use self::{failures::StoreFailures, store::ObservedStore};
