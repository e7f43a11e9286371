use std::time::Duration;

use futures_util::future::join_all;
use unbroken::{
    log::{ServiceName, SessionId},
    store::{PendingEnding, StoreError},
};

use super::{BATCH, ENDING_CHECK, IndexedNames, MAX_ENTRIES, due::DueEntry, log_deferred};
use crate::{
    Redis,
    codec::{from_now, micros},
    keys::TimeIndex,
    ops::{EndingTake, EndingTimes, MAX_SMALL_REPLY, SessionProbe},
};

/// Returns the time until the sweep looks at a sealed session that expires in `expires`.
pub(super) fn next_look(expires: Duration, ending: Option<EndingTimes>) -> Duration {
    match ending {
        Some(ending) => expires.max(ending.until).min(ENDING_CHECK),
        None => expires,
    }
}

type TakeResult = Result<EndingTake, StoreError>;

/// The attempts to take the endings of a batch.
struct BatchTakes {
    /// The result for each entry, up to the first one that is large.
    takes: Vec<TakeResult>,
    /// True if a large one was taken, or waits for the next call.
    met_large: bool,
}

/// Finds endings, and indexes them.
impl Redis {
    pub(crate) async fn endings_now(
        &self,
        service: &ServiceName,
        limit: usize,
        lease: Duration,
    ) -> Result<Vec<PendingEnding>, StoreError> {
        let mut endings = Vec::new();
        match self.take_due(service, limit, lease, &mut endings).await {
            // The caller gets what was taken: its leases run.
            Err(error) if !endings.is_empty() => {
                tracing::warn!(%error, "some endings were not taken");
                Ok(endings)
            }
            taken => taken.map(|()| endings),
        }
    }

    async fn take_due(
        &self,
        service: &ServiceName,
        limit: usize,
        lease: Duration,
        endings: &mut Vec<PendingEnding>,
    ) -> Result<(), StoreError> {
        let index = TimeIndex::Endings(service);
        // Entries that stay in the index.
        let mut passed = 0;
        let mut looked_at = 0;
        while endings.len() < limit && looked_at < MAX_ENTRIES {
            let count = BATCH.min(limit - endings.len());
            let batch = self.due(index, passed, count).await?;
            let is_first = endings.is_empty();
            let BatchTakes { takes, met_large } = self.take_batch(&batch, lease, is_first).await;
            looked_at += takes.len();
            let is_last = batch.len() < count && takes.len() == batch.len();
            let (mut moved, mut over, mut failure) = (Vec::new(), Vec::new(), None);
            for (entry, take) in batch.iter().zip(takes) {
                match take {
                    Ok(EndingTake::Taken(ending)) => {
                        endings.push(*ending);
                        moved.push((entry, Some(from_now(lease))));
                    }
                    // The index lags, or another server was faster.
                    Ok(EndingTake::Later(left)) => moved.push((entry, Some(from_now(left)))),
                    Ok(EndingTake::Over) => over.push(entry),
                    // It is the first of the next call.
                    Ok(EndingTake::Large(_)) => {}
                    Err(error) if error.is_unavailable() => failure = Some(error),
                    Err(error) => {
                        tracing::warn!(id = %entry.id, %error, "an ending can't be read; remove the keys of its session");
                        passed += 1;
                    }
                }
            }
            // An entry that isn't moved hides none behind it.
            if let Err(error) = self.retime_all(index, &moved).await {
                log_deferred(&error);
                passed += moved.len();
            }
            let settled = over.iter().map(|entry| self.settle(service, entry));
            for settled in join_all(settled).await {
                passed += usize::from(!settled.unwrap_or_else(|error| {
                    log_deferred(&error);
                    false
                }));
            }
            if let Some(error) = failure {
                return Err(error);
            }
            // Without a lease, the ones that were taken are due again.
            if is_last || met_large || (lease.is_zero() && !endings.is_empty()) {
                break;
            }
        }
        Ok(())
    }

    /// Takes the endings of a batch: small ones, or one large one, unless the call has some already. The leases of small
    /// ones would run while the large one is transferred, and another large one may take as long.
    ///
    /// The first one decides, so that small ones don't keep a large one waiting for ever.
    async fn take_batch(&self, batch: &[DueEntry], lease: Duration, is_first: bool) -> BatchTakes {
        let mut takes = Vec::with_capacity(batch.len());
        for entry in batch {
            let take = self.take_small(entry, lease).await;
            let is_unreadable = matches!(&take, Err(error) if !error.is_unavailable());
            takes.push(take);
            if !is_unreadable {
                break;
            }
        }
        let is_large = |take: &TakeResult| matches!(take, Ok(EndingTake::Large(_)));
        let is_taken = |take: &TakeResult| matches!(take, Ok(EndingTake::Taken(_)));
        if !takes.last().is_some_and(is_large) {
            let rest = batch.iter().skip(takes.len());
            takes.extend(join_all(rest.map(|entry| self.take_small(entry, lease))).await);
        }
        let mut met_large = false;
        if is_first && !takes.iter().any(is_taken) {
            for (entry, take) in batch.iter().zip(&mut takes) {
                if let Ok(EndingTake::Large(bytes)) = *take {
                    *take = self.take_ending(&entry.id, lease, bytes).await;
                    // Another server may have been faster, and one that can't be read hides no other.
                    let is_lost = matches!(take, Err(error) if error.is_unavailable());
                    if is_taken(take) || is_lost {
                        met_large = true;
                        break;
                    }
                }
            }
        }
        met_large |= takes.iter().any(is_large);
        BatchTakes { takes, met_large }
    }

    async fn take_small(&self, entry: &DueEntry, lease: Duration) -> TakeResult {
        self.take_ending(&entry.id, lease, MAX_SMALL_REPLY).await
    }

    /// Removes the entry of an ending that isn't in the outbox any more, after the other entries of its session were
    /// corrected: the write that should have done so was lost. Returns false if the session can't be read.
    async fn settle(&self, service: &ServiceName, entry: &DueEntry) -> Result<bool, StoreError> {
        let (id, names) = (&entry.id, &entry.names);
        let due = match self.probe(id).await? {
            SessionProbe::Present(look) => {
                if let Some(left) = look.expires_in
                    && IndexedNames::of(&look.state.meta) == *names
                {
                    let next = from_now(next_look(left, look.ending));
                    let member = names.member(id);
                    self.set_time(TimeIndex::Due, &member, Some(next)).await?;
                }
                look.ending.map(|ending| ending.due)
            }
            SessionProbe::Buried {
                ending: Some(ending),
                ..
            } => Some(ending.due),
            SessionProbe::Buried { left, ending: None } => {
                self.bury(id, names, Some(left)).await?;
                None
            }
            SessionProbe::Absent => {
                self.bury(id, names, None).await?;
                None
            }
            SessionProbe::Unreadable => return Ok(false),
        };
        let index = TimeIndex::Endings(service);
        self.retime_all(index, &[(entry, due)]).await?;
        Ok(true)
    }

    /// Writes the entry of an ending that may be taken at this time, in microseconds from now.
    pub(crate) async fn index_ending(
        &self,
        id: &SessionId,
        names: &IndexedNames,
        due: i64,
    ) -> Result<(), StoreError> {
        let Some(service) = &names.outbox else {
            return Ok(());
        };
        let index = TimeIndex::Endings(service);
        self.set_time(index, &names.member(id), Some(due)).await
    }

    /// Removes the entry of an ending that waits no longer.
    pub(super) async fn unindex_ending(
        &self,
        id: &SessionId,
        names: &IndexedNames,
    ) -> Result<(), StoreError> {
        let Some(service) = &names.outbox else {
            return Ok(());
        };
        let index = TimeIndex::Endings(service);
        self.set_time(index, &names.member(id), None).await
    }

    /// Removes a deleted session from the lists, and keeps it in the indexes by time until its ending is delivered.
    pub(crate) async fn index_deleted(
        &self,
        id: &SessionId,
        names: &IndexedNames,
        ending: EndingTimes,
    ) -> Result<(), StoreError> {
        self.index_ending(id, names, ending.due).await?;
        self.remove_scopes(id, names, None).await?;
        let (keys, scripts) = (&self.inner.keys, &self.inner.scripts);
        let call = scripts.index_remove.on(keys.all_sessions());
        let call = call.arg(id.as_str()).arg(names.member(id));
        let next = next_look(Duration::ZERO, Some(ending));
        call.arg(micros(next)).send(&self.inner.link).await?;
        Ok(())
    }

    /// Notes that the ending of a session was delivered, which expires in `left`. The entry of the ending goes last.
    pub(crate) async fn index_delivered(
        &self,
        id: &SessionId,
        names: &IndexedNames,
        left: Duration,
    ) -> Result<(), StoreError> {
        let member = names.member(id);
        let left = Some(from_now(left));
        self.set_time(TimeIndex::Due, &member, left).await?;
        self.unindex_ending(id, names).await
    }
}
