//! The store as the registry sees it: each call is watched, and failures are traced with their causes.

mod causes;
mod pending_call;
mod store;
mod watch;

pub(super) use self::{store::ObservedStore, watch::StoreWatch};
