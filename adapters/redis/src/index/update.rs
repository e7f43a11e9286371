use std::time::Duration;

use futures_util::future::{join_all, try_join_all};
use unbroken::{
    log::SessionId,
    store::{SessionState, StoreError},
};

use super::{BATCH, IndexScope, IndexedNames, endings::next_look, log_deferred, scope::set_of};
use crate::{Redis, codec::micros, keys::TimeIndex, ops::EndingTimes};

/// Writes to the indexes.
impl Redis {
    /// Adds a session that is about to be created to its indexes. Returns true if an entry was there before.
    ///
    /// The member among the open sessions goes first, since it names the other entries.
    pub(crate) async fn add_to_indexes(
        &self,
        id: &SessionId,
        names: &IndexedNames,
        lease: Duration,
    ) -> Result<bool, StoreError> {
        let (keys, scripts) = (&self.inner.keys, &self.inner.scripts);
        let all = scripts.index_add.on(keys.all_sessions()).arg(id.as_str());
        let all = all.arg(names.member(id)).arg(micros(lease));
        let mut replies = vec![all.send(&self.inner.link).await?];
        let scopes = names.scopes().map(|scope| {
            let call = scripts.index_add.on(keys.sets(scope));
            call.arg(id.as_str()).send(&self.inner.link)
        });
        replies.extend(try_join_all(scopes).await?);
        let mut is_known = false;
        for mut reply in replies {
            is_known |= reply.number::<u64>()? > 0;
        }
        Ok(is_known)
    }

    /// Writes the entries of a session again that was created just now.
    pub(crate) async fn index_created(
        &self,
        id: &SessionId,
        names: &IndexedNames,
        lease: Duration,
    ) {
        let (keys, scripts) = (&self.inner.keys, &self.inner.scripts);
        let created = |keys: Vec<String>| scripts.index_created.on(keys).arg(id.as_str());
        let all = created(keys.all_sessions());
        let all = all.arg(names.member(id)).arg(micros(lease));
        let scopes = names.scopes().map(|scope| created(keys.sets(scope)));
        let calls = std::iter::once(all).chain(scopes);
        let written = try_join_all(calls.map(|call| call.send(&self.inner.link))).await;
        if let Err(failure) = written {
            log_deferred(&failure.into());
        }
    }

    /// Moves a session to the sets of its status. `keep` is what remains of its retention, if it is sealed, and
    /// `ending` has the times of its ending, if that waits for its delivery. Returns false if a write failed.
    pub(crate) async fn index_status(
        &self,
        id: &SessionId,
        state: &SessionState,
        keep: Option<Duration>,
        ending: Option<EndingTimes>,
    ) -> bool {
        let names = IndexedNames::of(&state.meta);
        let moved = async {
            // Before the last of the other entries: until that is moved, the search for orphans finds the session.
            if let Some(ending) = ending {
                self.index_ending(id, &names, ending.due).await?;
            }
            let keep = keep.map(|keep| next_look(keep, ending));
            self.move_entries(id, &names, set_of(state.status), state.age, keep)
                .await
        };
        let moved = moved.await;
        if let Err(error) = &moved {
            log_deferred(error);
        }
        moved.is_ok()
    }

    /// Moves the entries of a session. That among all sessions goes last: where it is right, so are the others.
    async fn move_entries(
        &self,
        id: &SessionId,
        names: &IndexedNames,
        set: usize,
        age: Duration,
        keep: Option<Duration>,
    ) -> Result<(), StoreError> {
        let (keys, scripts) = (&self.inner.keys, &self.inner.scripts);
        let to_set = |keys: Vec<String>| {
            let call = scripts.index_move.on(keys);
            call.arg(id.as_str()).arg(set + 1).arg(micros(age))
        };
        let moves = names
            .scopes()
            .map(|scope| to_set(keys.sets(scope)).send(&self.inner.link));
        try_join_all(moves).await?;
        let all = to_set(keys.all_sessions());
        let all = match keep {
            Some(keep) => all.arg(names.member(id)).arg(micros(keep)),
            None => all,
        };
        all.send(&self.inner.link).await?;
        Ok(())
    }

    /// Updates the leases of these sessions in the index, and writes their other entries again where these lag. A
    /// write that is lost here is repeated at the next renewal.
    pub(crate) async fn index_leases(
        &self,
        renewed: &[(&SessionId, &SessionState)],
        lease: Duration,
    ) {
        for renewed in renewed.chunks(BATCH) {
            let scripts = &self.inner.scripts;
            let mut call = scripts.index_renew.on(self.inner.keys.all_sessions());
            for (id, state) in renewed {
                let names = IndexedNames::of(&state.meta);
                let set = set_of(state.status);
                call = call.arg(names.member(id)).arg(micros(lease));
                call = call.arg(id.as_str()).arg(set + 1);
            }
            let lagging = match call.send(&self.inner.link).await {
                Ok(mut reply) => {
                    let at = std::iter::from_fn(|| reply.number::<usize>().ok());
                    at.filter_map(|at| renewed.get(at)).collect::<Vec<_>>()
                }
                Err(failure) => {
                    log_deferred(&failure.into());
                    continue;
                }
            };
            let moves = lagging.into_iter();
            join_all(moves.map(|(id, state)| self.index_status(id, state, None, None))).await;
        }
    }

    /// Removes a session from its scopes, but for that of all sessions. `but` keeps the scopes of the session that
    /// has its id now.
    pub(super) async fn remove_scopes(
        &self,
        id: &SessionId,
        names: &IndexedNames,
        but: Option<&IndexedNames>,
    ) -> Result<(), StoreError> {
        let is_kept =
            |scope: &IndexScope<'_>| but.is_some_and(|but| but.scopes().any(|kept| kept == *scope));
        let scopes = names.scopes().filter(|scope| !is_kept(scope));
        let removals = scopes.map(|scope| {
            let scripts = &self.inner.scripts;
            let call = scripts.index_remove.on(self.inner.keys.sets(scope));
            call.arg(id.as_str()).send(&self.inner.link)
        });
        try_join_all(removals).await?;
        Ok(())
    }

    /// Removes the entries of a session that was refused because another one has its id, or had it. Its own
    /// entries remain.
    pub(crate) async fn unindex_refused(
        &self,
        id: &SessionId,
        names: &IndexedNames,
        other: Option<&IndexedNames>,
    ) {
        if other == Some(names) {
            return;
        }
        let removed = async {
            self.remove_scopes(id, names, other).await?;
            let (keys, scripts) = (&self.inner.keys, &self.inner.scripts);
            if other.is_some() {
                let mut command = redis::cmd("ZREM");
                command.arg(keys.times(TimeIndex::Open));
                self.inner.link.send(command.arg(names.member(id))).await?;
            } else {
                let call = scripts.index_remove.on(keys.all_sessions());
                let call = call.arg(id.as_str()).arg(names.member(id));
                call.send(&self.inner.link).await?;
            }
            Ok::<_, StoreError>(())
        };
        if let Err(error) = removed.await {
            log_deferred(&error);
        }
    }
}
