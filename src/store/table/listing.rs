use std::num::NonZeroUsize;

use crate::{
    log::{Outcome, Status},
    store::{
        Filter, Listed, Listing, SessionState, StatusFilter,
        table::{SessionTable, entry::HasMachine},
    },
};

/// The number of sessions that are taken from the index at once, which bounds the time under its lock.
const BATCH: usize = 256;
/// The number of sessions in a page if the filter gives none.
const PAGE: usize = 100;

impl<S: HasMachine> SessionTable<S> {
    /// Lists sessions as [`Store::list`](crate::store::Store::list) does. A page has 100 sessions if the
    /// filter gives no limit.
    pub fn list(&self, filter: &Filter) -> Listing {
        let limit = filter.limit.map_or(PAGE, NonZeroUsize::get);
        let mut page = Listing::default();
        let mut from = match &filter.after {
            None => u64::MAX,
            // An unreadable value gets an empty page.
            Some(after) => after.parse().unwrap_or(0),
        };
        let mut last = from;
        loop {
            let batch = self.index().older_than(from, BATCH);
            for entry in &batch {
                from = entry.number;
                let (session, now) = (entry.lock(), self.now());
                if session.machine().check_present(now).is_err() {
                    continue;
                }
                let state = session.machine().state(now);
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

    /// Lists orphans as [`Store::orphans`](crate::store::Store::orphans) does.
    pub fn orphans(&self, limit: usize) -> Vec<Listed> {
        let mut orphans = Vec::new();
        let mut from = 0;
        loop {
            let batch = self.index().unsealed_after(from, BATCH);
            for entry in &batch {
                if orphans.len() >= limit {
                    return orphans;
                }
                from = entry.number;
                let (session, now) = (entry.lock(), self.now());
                if session.machine().is_orphan(now) {
                    orphans.push(Listed {
                        id: entry.id.clone(),
                        state: session.machine().state(now),
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
    (filter.owner.is_none() || filter.owner == state.meta.owner)
        && (filter.chat.is_none() || filter.chat == state.meta.chat)
        && filter.status.is_none_or(|wanted| wanted == status)
}
