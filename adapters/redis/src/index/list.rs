use std::num::NonZeroUsize;

use unbroken::store::{Filter, Listed, Listing, StoreError};

use super::{BATCH, IndexScope, MAX_ENTRIES, STATUSES, page::ScopeCursor, scope::set_of};
use crate::Redis;

/// The size of a page where the filter has no limit.
const PAGE: usize = 100;

impl Redis {
    pub(crate) async fn list_now(&self, filter: &Filter) -> Result<Listing, StoreError> {
        let scope = match (&filter.owner, &filter.chat) {
            (None, None) => IndexScope::All,
            (Some(owner), None) => IndexScope::Owner(owner),
            (None, Some(chat)) => IndexScope::Chat(chat),
            (Some(owner), Some(chat)) => IndexScope::OwnerChat(Some(owner), chat),
        };
        let mut listing = Listing::default();
        let sets = match filter.status {
            None => 0..STATUSES.len(),
            Some(status) => match STATUSES.iter().position(|&it| it == status) {
                Some(set) => set..set + 1,
                None => return Ok(listing),
            },
        };
        let limit = filter.limit.map_or(PAGE, NonZeroUsize::get);
        let mut last = match &filter.after {
            None => None,
            Some(after) => match parse_cursor(after) {
                Some(cursor) => Some(cursor),
                // The cursor is not one of this store.
                None => return Ok(listing),
            },
        };
        let mut looked_at = 0;
        loop {
            let missing = limit - listing.sessions.len();
            let count = missing.clamp(1, BATCH);
            let page = self
                .scope_page(scope, sets.clone(), last.as_ref(), count)
                .await?;
            looked_at += page.entries.len();
            for (entry, look) in self.sessions_of(scope, page.entries).await? {
                last = Some(entry.cursor());
                // An entry that lags has another status.
                if let Some(look) = look
                    && sets.contains(&set_of(look.state.status))
                {
                    listing.sessions.push(Listed {
                        id: entry.id,
                        state: look.state,
                    });
                }
            }
            if page.is_last {
                return Ok(listing);
            }
            if listing.sessions.len() == limit || looked_at >= MAX_ENTRIES {
                listing.next = last.as_ref().map(print_cursor);
                return Ok(listing);
            }
        }
    }
}

fn print_cursor(ScopeCursor { score, id }: &ScopeCursor) -> String {
    format!("{score}:{id}")
}

fn parse_cursor(text: &str) -> Option<ScopeCursor> {
    let (score, id) = text.split_once(':')?;
    let (score, id) = (score.parse().ok()?, id.parse().ok()?);
    Some(ScopeCursor { score, id })
}
