//! The writes. Each is one statement that acts only if its conditions hold. If it did nothing, the row
//! of the session shows the reason. If the row then shows none, another write was in the way and is
//! over, and the statement is tried again.

use std::{collections::HashMap, time::Duration};

use tokio_postgres::types::ToSql;
use unbroken::{
    log::{Chunk, Epoch, SessionId},
    store::{
        AbortRequest, AfterAppend, Appended, Claimed, Created, DeleteMode, Holder, LeaseChange,
        NewSession, SessionMeta, SessionState, StoreError, Token,
    },
};

use crate::{
    PostgresOptions, chunk,
    db::StatementError,
    postgres::PostgresInner,
    request::{maybe_applied, unread},
    row::{self, SessionRow},
    time::micros,
    wake::ChangeKind,
};

/// The most attempts of a write that did nothing for no reason that the row shows.
pub(crate) const MAX_TRIES: u32 = 16;

pub(crate) fn contended() -> StoreError {
    StoreError::unavailable(
        false,
        "too many concurrent writes to the session; try again",
    )
}

impl PostgresInner {
    pub(crate) async fn create(
        &self,
        id: &SessionId,
        new: &NewSession,
    ) -> Result<Created, StoreError> {
        let epoch = Epoch::first();
        let (meta, token) = (&new.meta, new.token.0.to_be_bytes());
        let params: [&(dyn ToSql + Sync); 13] = [
            &id.as_str(),
            &meta.owner.as_ref().map(|it| it.as_str().as_bytes()),
            &meta.chat.as_ref().map(|it| it.as_str().as_bytes()),
            &meta.service.as_str().as_bytes(),
            &meta.digest.0.as_slice(),
            &i32::from(meta.format),
            &token.as_slice(),
            &epoch.bits.cast_signed(),
            &micros(new.lease),
            &micros(new.tombstone),
            &epoch.counter.cast_signed(),
            &new.request.as_ref(),
            &meta.outbox.map(micros),
        ];
        let (bytes, max) = (new.request.len(), PostgresOptions::MAX_APPEND_LIMIT);
        if bytes > max {
            // The server would take it for an attack, and close the connection.
            return match self.find(id).await {
                Ok(it) => Ok(Created::Exists(it.state())),
                Err(StoreError::NotFound) => Err(StoreError::TooLarge { max }),
                Err(error) => Err(error),
            };
        }
        for _ in 0..MAX_TRIES {
            let create = &self.sql.create;
            let made = self.db.query_opt_for(create, &params, bytes).await;
            if made.map_err(StatementError::of_write)?.is_some() {
                return Ok(Created::Created(epoch));
            }
            match self.find(id).await {
                Ok(it) if it.token == new.token && it.epoch.claims() == 0 => {
                    return Ok(Created::Created(it.epoch));
                }
                Ok(it) => return Ok(Created::Exists(it.state())),
                Err(StoreError::NotFound) => {
                    let buried = self.db.query(&self.sql.bury, &[&id.as_str()]).await;
                    buried.map_err(StatementError::of_write)?;
                }
                Err(error) => return Err(error),
            }
        }
        Err(contended())
    }

    pub(crate) async fn claim(
        &self,
        id: &SessionId,
        seen: Epoch,
        token: Token,
        lease: Duration,
    ) -> Result<Claimed, StoreError> {
        let (new, bytes) = (seen.succeed(), token.0.to_be_bytes());
        let params: [&(dyn ToSql + Sync); 8] = [
            &id.as_str(),
            &seen.counter.cast_signed(),
            &seen.bits.cast_signed(),
            &bytes.as_slice(),
            &new.bits.cast_signed(),
            &micros(lease),
            &i32::from(SessionMeta::LATEST_FORMAT),
            &new.counter.cast_signed(),
        ];
        for _ in 0..MAX_TRIES {
            let row = self.db.query_opt(&self.sql.claim, &params).await;
            if let Some(row) = row.map_err(StatementError::of_write)? {
                self.notify(id, ChangeKind::ChangedForOwner);
                return self.claimed(SessionRow::new(&row)?).await;
            }
            let it = self.find(id).await?;
            it.check_format()?;
            if it.is_sealed() {
                return Err(StoreError::Sealed);
            }
            if it.token == token && it.epoch.claims() > 0 {
                return self.claimed(it).await;
            }
            if it.epoch != seen || !it.state().lease.is_over() {
                return Err(StoreError::Held);
            }
        }
        Err(contended())
    }

    async fn claimed(&self, it: SessionRow) -> Result<Claimed, StoreError> {
        let request = self.request(it.number).await?;
        let request =
            request.ok_or_else(|| unread("the request is gone: the session was sealed"))?;
        Ok(Claimed {
            epoch: it.epoch,
            state: it.state(),
            request: request.into(),
        })
    }

    pub(crate) async fn renew(
        &self,
        owned: &[(SessionId, Epoch)],
        lease: LeaseChange,
    ) -> Vec<Result<SessionState, StoreError>> {
        let mut answers: Vec<Option<Result<SessionState, StoreError>>> = vec![None; owned.len()];
        for _ in 0..MAX_TRIES {
            let open = |answers: &[Option<_>]| -> Vec<usize> {
                (0..owned.len())
                    .filter(|&at| answers[at].is_none())
                    .collect()
            };
            let left = open(&answers);
            if left.is_empty() {
                break;
            }
            if let Err(error) = self
                .renew_some(owned, &left, lease.length(), &mut answers)
                .await
            {
                for at in open(&answers) {
                    answers[at] = Some(Err(error.clone()));
                }
            }
        }
        let answers = answers.into_iter();
        answers
            .map(|answer| answer.unwrap_or_else(|| Err(contended())))
            .collect()
    }

    async fn renew_some(
        &self,
        owned: &[(SessionId, Epoch)],
        left: &[usize],
        lease: Duration,
        answers: &mut [Option<Result<SessionState, StoreError>>],
    ) -> Result<(), StoreError> {
        let entries = || left.iter().map(|&at| &owned[at]);
        let ids: Vec<&str> = entries().map(|(id, _)| id.as_str()).collect();
        let counters: Vec<i64> = entries().map(|(_, it)| it.counter.cast_signed()).collect();
        let bits: Vec<i64> = entries().map(|(_, it)| it.bits.cast_signed()).collect();
        let params: [&(dyn ToSql + Sync); 4] = [&ids, &counters, &bits, &micros(lease)];
        let rows = self.db.query(&self.sql.renew, &params).await;
        let rows = rows.map_err(StatementError::of_write)?;
        let renewed: HashMap<_, _> = rows
            .iter()
            .filter_map(|row| SessionRow::new(row).ok())
            .map(|it| (it.id.clone(), it))
            .collect();
        let mut why = Vec::new();
        for &at in left {
            let (id, epoch) = &owned[at];
            match renewed.get(id) {
                Some(it) if it.epoch == *epoch => {
                    if lease.is_zero() {
                        self.notify(id, ChangeKind::Changed);
                    }
                    answers[at] = Some(Ok(it.state()));
                }
                _ => why.push(at),
            }
        }
        if why.is_empty() {
            return Ok(());
        }
        let ids: Vec<_> = why.iter().map(|&at| &owned[at].0).collect();
        let found = self.look_at(&ids).await?;
        let found: HashMap<_, _> = found.into_iter().collect();
        for at in why {
            let (id, epoch) = &owned[at];
            let reason = match found.get(id) {
                None => Some(StoreError::NotFound),
                Some(Err(error)) => Some(error.clone()),
                Some(Ok(it)) if it.epoch != *epoch => Some(StoreError::Fenced),
                Some(Ok(it)) if it.is_sealed() => Some(StoreError::Sealed),
                Some(Ok(_)) => None,
            };
            answers[at] = reason.map(Err);
        }
        Ok(())
    }

    pub(crate) async fn append(
        &self,
        id: &SessionId,
        chunk: &Chunk,
        then: &AfterAppend,
    ) -> Result<Appended, StoreError> {
        let too_large = chunk.bytes() > self.max_append_bytes;
        let (lengths, data) = if too_large {
            (Vec::new(), Vec::new())
        } else {
            (chunk::lengths(chunk), chunk::data(chunk))
        };
        for _ in 0..MAX_TRIES {
            if !too_large && let Some(answer) = self.write(id, chunk, then, &lengths, &data).await?
            {
                let sealed = matches!(then, AfterAppend::Seal(_));
                let change = if sealed {
                    ChangeKind::ChangedForOwner
                } else {
                    ChangeKind::Changed
                };
                self.notify(id, change);
                return Ok(answer);
            }
            let it = self.find(id).await?;
            let tail = it.tail;
            if tail == chunk.last() && it.tail_epoch == chunk.epoch() {
                return Ok(Appended {
                    abort: it.abort,
                    kept: None,
                });
            }
            if it.epoch != chunk.epoch() {
                return Err(StoreError::Fenced);
            }
            if it.is_sealed() {
                return Err(StoreError::Sealed);
            }
            if chunk.first() > tail.next() {
                return Err(StoreError::Rewound { tail });
            }
            if chunk.first() < tail.next() {
                return Err(StoreError::Conflict { tail });
            }
            if too_large {
                let max = self.max_append_bytes;
                return Err(StoreError::TooLarge { max });
            }
        }
        Err(contended())
    }

    /// Writes the chunk if it follows the tail.
    async fn write(
        &self,
        id: &SessionId,
        chunk: &Chunk,
        then: &AfterAppend,
        lengths: &Vec<u8>,
        data: &Vec<u8>,
    ) -> Result<Option<Appended>, StoreError> {
        let number = |lsn: u64| i64::try_from(lsn).unwrap_or(i64::MAX);
        let id = id.as_str();
        let counter = chunk.epoch().counter.cast_signed();
        let bits = chunk.epoch().bits.cast_signed();
        let (before, after) = (
            number(chunk.first().before().get()),
            number(chunk.last().get()),
        );
        let bytes = lengths.len() + data.len();
        let row = match then {
            AfterAppend::Streaming | AfterAppend::Waiting => {
                let waiting = *then == AfterAppend::Waiting;
                let params: [&(dyn ToSql + Sync); 8] = [
                    &id, &counter, &bits, &before, &after, &waiting, lengths, data,
                ];
                self.db
                    .query_opt_for(&self.sql.append, &params, bytes)
                    .await
            }
            AfterAppend::Seal(seal) => {
                let (kind, code) = row::kind_and_code(seal.outcome).ok_or_else(|| {
                    StoreError::unavailable(false, "this version can't store the outcome")
                })?;
                let (keep, summary) = (micros(seal.keep), seal.summary.as_ref());
                let params: [&(dyn ToSql + Sync); 11] = [
                    &id, &counter, &bits, &before, &after, &kind, &code, &keep, lengths, data,
                    &summary,
                ];
                let bytes = bytes + summary.len();
                self.db.query_opt_for(&self.sql.seal, &params, bytes).await
            }
        };
        let row = row.map_err(StatementError::of_write)?;
        Ok(row.map(|row| Appended {
            abort: row::abort(&row),
            kept: None,
        }))
    }

    pub(crate) async fn abort(
        &self,
        id: &SessionId,
        abort: &AbortRequest,
    ) -> Result<SessionState, StoreError> {
        let reason = abort.reason.as_ref().map(|it| it.as_bytes());
        for _ in 0..MAX_TRIES {
            let params: [&(dyn ToSql + Sync); 2] = [&id.as_str(), &reason];
            let row = self.db.query_opt(&self.sql.abort, &params).await;
            if let Some(row) = row.map_err(StatementError::of_write)? {
                self.notify(id, ChangeKind::ChangedForOwner);
                return Ok(SessionRow::new(&row)?.state());
            }
            let it = self.find(id).await?;
            if it.is_sealed() || it.abort.is_some() {
                return Ok(it.state());
            }
        }
        Err(contended())
    }

    pub(crate) async fn hold(
        &self,
        id: &SessionId,
        by: Holder,
        keep: Duration,
    ) -> Result<(), StoreError> {
        for _ in 0..MAX_TRIES {
            let params: [&(dyn ToSql + Sync); 3] = [&id.as_str(), &by.0.to_string(), &micros(keep)];
            let row = self.db.query_opt(&self.sql.hold, &params).await;
            if row.map_err(StatementError::of_write)?.is_some() {
                return Ok(());
            }
            self.find(id).await?;
        }
        Err(contended())
    }

    pub(crate) async fn delete(&self, id: &SessionId, how: DeleteMode) -> Result<(), StoreError> {
        let released_to = match how {
            DeleteMode::Now => None,
            DeleteMode::Released(by) => Some(by.0.to_string()),
            DeleteMode::Withdrawn(epoch) => return self.withdraw(id, epoch).await,
        };
        for _ in 0..MAX_TRIES {
            let params: [&(dyn ToSql + Sync); 2] = [&id.as_str(), &released_to];
            let row = self.db.query_opt(&self.sql.delete, &params).await;
            if row.map_err(StatementError::of_write)?.is_some() {
                self.notify(id, ChangeKind::ChangedForOwner);
                return self.clear(id).await;
            }
            match self.find(id).await {
                Err(StoreError::Gone(_)) => return self.clear(id).await,
                Err(other) => return Err(other),
                Ok(_) if released_to.is_some() => return Err(StoreError::Held),
                Ok(_) => {}
            }
        }
        Err(contended())
    }

    async fn withdraw(&self, id: &SessionId, epoch: Epoch) -> Result<(), StoreError> {
        let (counter, bits) = (epoch.counter.cast_signed(), epoch.bits.cast_signed());
        for _ in 0..MAX_TRIES {
            let params: [&(dyn ToSql + Sync); 3] = [&id.as_str(), &counter, &bits];
            let row = self.db.query_opt(&self.sql.withdraw, &params).await;
            if let Some(row) = row.map_err(StatementError::of_write)? {
                self.notify(id, ChangeKind::ChangedForOwner);
                let number: i64 = row
                    .try_get(0)
                    .map_err(StatementError::Refused)
                    .map_err(StatementError::of_write)?;
                // Nothing finds these rows, so the session is gone also if this fails.
                if let Err(error) = self.db.query(&self.sql.forget, &[&number]).await {
                    let error = StatementError::of_write(error);
                    tracing::debug!(%error, "rows of a withdrawn session may be left");
                }
                return Ok(());
            }
            let it = self.find(id).await?;
            if it.epoch != epoch {
                return Err(StoreError::Fenced);
            }
            if it.is_sealed() {
                return Err(StoreError::Sealed);
            }
        }
        Err(contended())
    }

    /// Removes the records of a deleted session, in a separate statement that sees every append before
    /// the deletion. If it fails, the repetition of the deletion does it, or a sweep.
    async fn clear(&self, id: &SessionId) -> Result<(), StoreError> {
        let cleared = self.db.query(&self.sql.clear, &[&id.as_str()]).await;
        cleared
            .map(drop)
            .map_err(StatementError::of_write)
            .map_err(maybe_applied)
    }
}
