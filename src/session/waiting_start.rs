use std::{fmt, pin::Pin};

use super::{Continuation, Permit, SessionSpec, Source};
use crate::{
    log::Lsn,
    store::{SessionMeta, SessionState},
};

/// A confirmed start of a session that exists already and has not begun: an earlier start of the same
/// request created it, and its server may have died before the first record.
///
/// The session begins with it as soon as this server may claim the session. It is dropped if the
/// former owner writes a record first.
pub(super) struct WaitingStart {
    pub(super) permit: Permit,
    pub(super) spec: SessionSpec,
    pub(super) source: Pin<Box<dyn Source>>,
}

impl WaitingStart {
    /// Splits the start into its permit and what the session begins with.
    pub(super) fn into_continuation(self) -> (Permit, Continuation) {
        let Self {
            permit,
            spec,
            source,
        } = self;
        let continuation = Continuation {
            first: Some(spec.first),
            source,
            inbox: spec.inbox,
            on_sealed: spec.on_sealed,
        };
        (permit, continuation)
    }
}

impl fmt::Debug for WaitingStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitingStart")
            .field("spec", &self.spec)
            .finish_non_exhaustive()
    }
}

/// Returns true if a session runs whose source was never polled, because its first record was never
/// stored. Only a start of the same request may begin it: the start that created it may have been
/// refused.
pub(super) fn has_not_begun(state: &SessionState) -> bool {
    state.tail == Lsn::ZERO && state.status.outcome().is_none()
}

/// Returns true if both describe starts of one request by one owner, in one format.
pub(super) fn is_same_request(one: &SessionMeta, other: &SessionMeta) -> bool {
    one.owner == other.owner && one.digest == other.digest && one.format == other.format
}
