use std::num::NonZeroUsize;

use crate::{
    log::{Outcome, Status},
    store::{
        Filter, Listed, Listing, SessionState, StatusFilter,
        table::{SessionTable, entry::HasMachine},
    },
};

/// So many sessions are taken from the index at once, so that its lock is never held for long.
const BATCH: usize = 256;
/// A page, where the caller has no measure.
const PAGE: usize = 100;

impl<K: HasMachine> SessionTable<K> {
    pub fn list(&self, filter: &Filter) -> Listing {
        let limit = filter.limit.map_or(PAGE, NonZeroUsize::get);
        let mut page = Listing::default();
        let mut from = match &filter.after {
            None => u64::MAX,
            // Nothing follows a page that we never gave.
            Some(after) => after.parse().unwrap_or(0),
        };
        let mut last = from;
        loop {
            let batch = self.index().older(from, BATCH);
            for entry in &batch {
                from = entry.number;
                let (kept, now) = (entry.lock(), self.now());
                if kept.machine().check_present(now).is_err() {
                    continue;
                }
                let state = kept.machine().state(now);
                if !matches(filter, &state) {
                    continue;
                }
                if page.sessions.len() == limit {
                    page.next = Some(last.to_string());
                    break;
                }
                last = entry.number;
                page.sessions.push(Listed {
                    id: entry.id.clone(),
                    state,
                });
            }
            if page.next.is_some() || batch.len() < BATCH {
                break;
            }
        }
        page
    }

    pub fn orphans(&self, limit: usize) -> Vec<Listed> {
        let mut orphans = Vec::new();
        let mut from = 0;
        loop {
            let batch = self.index().unsealed(from, BATCH);
            for entry in &batch {
                if orphans.len() >= limit {
                    return orphans;
                }
                from = entry.number;
                let (kept, now) = (entry.lock(), self.now());
                if kept.machine().is_orphan(now) {
                    orphans.push(Listed {
                        id: entry.id.clone(),
                        state: kept.machine().state(now),
                    });
                }
            }
            if batch.len() < BATCH {
                return orphans;
            }
        }
    }
}

fn matches(filter: &Filter, state: &SessionState) -> bool {
    let status = match state.status {
        Status::Streaming => StatusFilter::Streaming,
        Status::Waiting => StatusFilter::Waiting,
        Status::Ended(Outcome::Complete) => StatusFilter::Complete,
        Status::Ended(Outcome::Aborted) => StatusFilter::Aborted,
        Status::Ended(Outcome::Error(_)) => StatusFilter::Error,
    };
    (filter.owner.is_none() || filter.owner == state.info.owner)
        && (filter.chat.is_none() || filter.chat == state.info.chat)
        && filter.status.is_none_or(|wanted| wanted == status)
}
