use std::ops::Range;

use unbroken::{
    log::{ChatId, Owner},
    store::{Listed, StoreError},
};

use super::{BATCH, IndexScope, STATUSES, scope::RUNNING};
use crate::Redis;

/// The sessions of a chat that a look-up has found.
#[derive(Default)]
struct FoundSessions {
    running: Vec<Listed>,
    ended: Vec<Listed>,
}

impl Redis {
    pub(crate) async fn of_chat_now(
        &self,
        owner: Option<&Owner>,
        chat: &ChatId,
        limit: usize,
    ) -> Result<Vec<Listed>, StoreError> {
        let scope = IndexScope::OwnerChat(owner, chat);
        let mut found = FoundSessions::default();
        // The sets of running sessions may still hold some that have ended.
        self.collect(scope, 0..RUNNING, limit, &mut found).await?;
        self.collect(scope, RUNNING..STATUSES.len(), limit, &mut found)
            .await?;
        found.running.sort_by_key(|it| it.state.age);
        found.ended.sort_by_key(|it| it.state.age);
        let mut listed = found.running;
        listed.append(&mut found.ended);
        listed.truncate(limit);
        Ok(listed)
    }

    /// Reads sets to their end, or until they have given as many sessions as are still missing. A session that runs
    /// counts whichever set it is in; one that has ended counts only in its own.
    async fn collect(
        &self,
        scope: IndexScope<'_>,
        sets: Range<usize>,
        limit: usize,
        found: &mut FoundSessions,
    ) -> Result<(), StoreError> {
        let wants_ended = sets.start >= RUNNING;
        let (mut ended, mut last) = (0, None);
        while found.running.len() + ended < limit {
            let count = (limit - found.running.len() - ended).min(BATCH);
            let page = self
                .scope_page(scope, sets.clone(), last.as_ref(), count)
                .await?;
            for (entry, look) in self.sessions_of(scope, page.entries).await? {
                last = Some(entry.cursor());
                let Some(look) = look else { continue };
                let (id, state) = (entry.id, look.state);
                let has_ended = state.status.outcome().is_some();
                ended += usize::from(has_ended && wants_ended);
                let group = if has_ended {
                    &mut found.ended
                } else {
                    &mut found.running
                };
                // An entry that was corrected is met again.
                if group.iter().all(|it| it.id != id) {
                    group.push(Listed { id, state });
                }
            }
            if page.is_last {
                break;
            }
        }
        Ok(())
    }
}
