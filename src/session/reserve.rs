use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use super::{
    Sessions,
    start_task::{CreateAttempts, create},
    writer::within,
};
use crate::{
    log::{Digest, Owner, ServiceName, SessionId},
    store::{Created, DeleteMode, NewSession, SessionMeta, StoreError, Token},
};

/// The service of reserved ids. No recovery handler has it.
const SERVICE: &str = "unbroken-reserved";

/// Reservations: ids under which no session ever runs, and of which the store keeps a tombstone.
impl Sessions {
    /// Reserves an unused id under this owner and digest. Returns true if the id is reserved so, now or by
    /// an earlier call; of different calls on any servers the store lets one win.
    ///
    /// A reservation lasts as long as a [tombstone](super::SessionsBuilder::tombstone), and at least as long
    /// as the store [keeps](super::Retention::keep) a session that has ended before, whose ending may wait in the
    /// outbox for the time given, unless a reader holds that one.
    pub(crate) async fn reserve(
        &self,
        id: &SessionId,
        owner: Option<Owner>,
        digest: Digest,
        outbox: Option<Duration>,
    ) -> Result<bool, StoreError> {
        let shared = &self.shared;
        let new = NewSession {
            meta: Arc::new(SessionMeta {
                owner,
                chat: None,
                service: ServiceName::new(SERVICE),
                digest,
                format: shared.formats.first().number(),
                outbox: None,
            }),
            request: Bytes::new(),
            token: Token::random(),
            lease: shared.options.lease,
            tombstone: shared.options.reserved_tombstone(outbox),
        };
        let owner = &new.meta.owner;
        match create(shared, id, &new, &mut CreateAttempts::none()).await {
            Ok(Created::Created(_)) => {}
            Ok(Created::Exists(state))
                if state.meta.owner == *owner && state.meta.digest == digest => {}
            Ok(Created::Exists(_)) => return Ok(false),
            Err(StoreError::Gone(former)) => {
                return Ok(former.owner == *owner && former.digest == digest);
            }
            Err(error) => return Err(error),
        }
        // Without this the store has a session that never begins, until it is sealed and expires.
        let deleted = shared.store.delete(id, DeleteMode::Now);
        if let Err(error) = within(shared.options.outage_timeout, deleted).await {
            tracing::debug!(%error, "a reserved id is not deleted yet");
        }
        Ok(true)
    }

    /// Returns the digest of the session under an id, or of its tombstone. `None` if the id is unused.
    pub(crate) async fn digest(&self, id: &SessionId) -> Result<Option<Digest>, StoreError> {
        match self.state(id).await {
            Ok(state) => Ok(Some(state.meta.digest)),
            Err(StoreError::Gone(former)) => Ok(Some(former.digest)),
            Err(StoreError::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Filter;

    #[tokio::test]
    async fn an_id_is_reserved_once_and_leaves_no_session() {
        let sessions = Sessions::in_memory();
        let (id, ann) = (SessionId::random(), Some(Owner::new("ann")));
        let (one, other) = (Digest([1; 32]), Digest([2; 32]));
        assert_eq!(sessions.digest(&id).await.unwrap(), None);
        for _ in 0..2 {
            assert!(sessions.reserve(&id, ann.clone(), one, None).await.unwrap());
        }
        assert!(
            !sessions
                .reserve(&id, ann.clone(), other, None)
                .await
                .unwrap()
        );
        assert!(!sessions.reserve(&id, None, one, None).await.unwrap());
        assert_eq!(sessions.digest(&id).await.unwrap(), Some(one));
        let listing = sessions.list(&Filter::default()).await.unwrap();
        assert!(listing.sessions.is_empty());
    }
}
