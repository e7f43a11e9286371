use super::{Shelf, slot::Lives};
use crate::{
    session::{Outcome, Status, rule::Rule},
    store::{Filter, Listed, Listing, State, StatusFilter},
};

/// So many sessions are taken from the index at once, so that its lock is never held for long.
const BATCH: usize = 256;
/// A page, where the caller has no measure.
const PAGE: usize = 100;

impl<K: Lives> Shelf<K> {
    pub(in crate::store) fn list(&self, filter: &Filter) -> Listing {
        let limit = match filter.limit {
            0 => PAGE,
            limit => limit,
        };
        let mut page = Listing::default();
        let mut from = match &filter.after {
            None => u64::MAX,
            Some(_) if !self.rules.hold(Rule::ListPages) => u64::MAX,
            // Nothing follows a page that we never gave.
            Some(after) => after.parse().unwrap_or(0),
        };
        let mut last = from;
        loop {
            let batch = self.index().older(from, BATCH);
            for slot in &batch {
                from = slot.number;
                let (kept, now) = (slot.lock(), self.now());
                if kept.life().here(now).is_err() {
                    continue;
                }
                let state = kept.life().state(now);
                if !matches(filter, &state) && self.rules.hold(Rule::ListFilter) {
                    continue;
                }
                if page.sessions.len() == limit {
                    page.next = Some(last.to_string());
                    break;
                }
                last = slot.number;
                page.sessions.push(Listed {
                    id: slot.id.clone(),
                    state,
                });
            }
            if page.next.is_some() || batch.len() < BATCH {
                break;
            }
        }
        if !self.rules.hold(Rule::ListOrder) {
            page.sessions.reverse();
        }
        page
    }

    pub(in crate::store) fn orphans(&self, limit: usize) -> Vec<Listed> {
        let mut orphans = Vec::new();
        let mut from = 0;
        let limit = if self.rules.hold(Rule::OrphansLimit) {
            limit
        } else {
            usize::MAX
        };
        loop {
            let batch = if self.rules.hold(Rule::OrphansUnsealed) {
                self.index().unsealed(from, BATCH)
            } else {
                self.index().older(u64::MAX, usize::MAX)
            };
            for slot in &batch {
                if orphans.len() >= limit {
                    return orphans;
                }
                from = slot.number;
                let (kept, now) = (slot.lock(), self.now());
                if kept.life().is_orphan(now) {
                    orphans.push(Listed {
                        id: slot.id.clone(),
                        state: kept.life().state(now),
                    });
                }
            }
            if batch.len() != BATCH {
                return orphans;
            }
        }
    }
}

fn matches(filter: &Filter, state: &State) -> bool {
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
