use std::num::NonZeroUsize;

use unbroken::{
    log::{Outcome, SessionId, Status},
    store::{Filter, Listed, Listing, SessionState, StatusFilter, StoreError},
};

use super::MAX_ENTRIES;
use crate::{Redis, keys::IndexName};

/// The size of a page where the filter has no limit.
const PAGE: usize = 100;

impl Redis {
    pub(crate) async fn list_now(&self, filter: &Filter) -> Result<Listing, StoreError> {
        let index = match filter {
            Filter {
                chat: Some(chat), ..
            } => IndexName::Chat(chat),
            Filter {
                owner: Some(owner), ..
            } => IndexName::Owner(owner),
            _ => IndexName::All,
        };
        let limit = filter.limit.map_or(PAGE, NonZeroUsize::get);
        let mut listing = Listing::default();
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
            let (batch, whole) = self.older(index, last.as_ref()).await?;
            looked_at += batch.len();
            for (entry, look) in self.look_at(batch).await {
                let here = (entry.score, entry.id.clone());
                match look {
                    Ok(look) if matches(filter, &look.state) => {
                        if listing.sessions.len() == limit {
                            listing.next = last.as_ref().map(print_cursor);
                            return Ok(listing);
                        }
                        listing.sessions.push(Listed {
                            id: entry.id,
                            state: look.state,
                        });
                    }
                    Ok(_) => {}
                    Err(error) => {
                        if entry.is_stale(error)? {
                            self.fix(index, &entry, None).await;
                        }
                    }
                }
                last = Some(here);
            }
            if whole {
                return Ok(listing);
            }
            if looked_at >= MAX_ENTRIES {
                listing.next = last.as_ref().map(print_cursor);
                return Ok(listing);
            }
        }
    }
}

fn print_cursor((score, id): &(u64, SessionId)) -> String {
    format!("{score}:{id}")
}

fn parse_cursor(text: &str) -> Option<(u64, SessionId)> {
    let (score, id) = text.split_once(':')?;
    Some((score.parse().ok()?, id.parse().ok()?))
}

fn matches(filter: &Filter, state: &SessionState) -> bool {
    let status = match state.status {
        Status::Streaming => StatusFilter::Streaming,
        Status::Waiting => StatusFilter::Waiting,
        Status::Ended(Outcome::Complete) => StatusFilter::Complete,
        Status::Ended(Outcome::Aborted) => StatusFilter::Aborted,
        _ => StatusFilter::Error,
    };
    (filter.owner.is_none() || filter.owner == state.meta.owner)
        && (filter.chat.is_none() || filter.chat == state.meta.chat)
        && filter.status.is_none_or(|wanted| wanted == status)
}
