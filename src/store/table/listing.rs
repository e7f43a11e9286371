use std::{cmp::Reverse, num::NonZeroUsize, ops::ControlFlow, slice};

use crate::{
    log::{ChatId, Owner},
    store::{
        Filter, Listed, Listing, StatusFilter,
        table::{
            SessionTable,
            entry::{HasMachine, TableEntry},
            scope::Scope,
        },
    },
};

/// The most sessions that are taken from the index at once, which bounds the time under its lock.
const BATCH: usize = 256;
/// The number of sessions in a page if the filter gives none.
const PAGE: usize = 100;

const RUNNING: &[StatusFilter] = &[StatusFilter::Streaming, StatusFilter::Waiting];
const ENDED: &[StatusFilter] = &[
    StatusFilter::Complete,
    StatusFilter::Aborted,
    StatusFilter::Error,
];
const ALL: &[StatusFilter] = &[
    StatusFilter::Streaming,
    StatusFilter::Waiting,
    StatusFilter::Complete,
    StatusFilter::Aborted,
    StatusFilter::Error,
];

impl<S: HasMachine, T> SessionTable<S, T> {
    /// Lists the sessions of one chat of one owner as [`Store::of_chat`](crate::store::Store::of_chat)
    /// does. It visits as many sessions as it returns, and those of the chat that have expired since the
    /// last list.
    pub fn of_chat(&self, owner: Option<&Owner>, chat: &ChatId, limit: usize) -> Vec<Listed> {
        if limit == 0 {
            return Vec::new();
        }
        let scope = Scope::OwnedChat(owner, chat);
        let (mut running, mut ended) = (Vec::new(), Vec::new());
        self.visit(scope, RUNNING, u64::MAX, limit, |number, listed| {
            if listed.state.status.outcome().is_some() {
                // It has ended since the index was asked.
                ended.push((number, listed));
            } else {
                running.push((number, listed));
            }
            go_on(running.len() < limit)
        });
        let mut left = limit - running.len();
        if left > 0 {
            self.visit(scope, ENDED, u64::MAX, left, |number, listed| {
                // Running ones may have ended, and moved here, between the two walks.
                let seen = running.binary_search_by(|(seen, _)| number.cmp(seen));
                if seen.is_err() {
                    ended.push((number, listed));
                    left -= 1;
                }
                go_on(left > 0)
            });
        }
        ended.sort_by_key(|(number, _)| Reverse(*number));
        ended.dedup_by_key(|(number, _)| *number);
        let all = running.into_iter().chain(ended);
        all.map(|(_, listed)| listed).take(limit).collect()
    }

    /// Lists sessions as [`Store::list`](crate::store::Store::list) does. A page has 100 sessions if the
    /// filter gives no limit. It visits as many sessions as the page holds, one more, and those of the
    /// filter that have expired since the last list.
    pub fn list(&self, filter: &Filter) -> Listing {
        let limit = filter.limit.map_or(PAGE, NonZeroUsize::get);
        let statuses = filter.status.as_ref().map_or(ALL, slice::from_ref);
        let from = match &filter.after {
            None => u64::MAX,
            // An unreadable value gets an empty page.
            Some(after) => after.parse().unwrap_or(0),
        };
        let (mut page, mut last) = (Listing::default(), from);
        let (scope, wanted) = (Scope::of_filter(filter), limit.saturating_add(1));
        self.visit(scope, statuses, from, wanted, |number, listed| {
            // It has another status since the index was asked.
            if !statuses.contains(&StatusFilter::of(listed.state.status)) {
                return go_on(true);
            }
            if page.sessions.len() == limit {
                page.next = Some(last.to_string());
                return go_on(false);
            }
            last = number;
            page.sessions.push(listed);
            go_on(true)
        });
        page
    }

    /// Lists orphans as [`Store::orphans`](crate::store::Store::orphans) does. It visits sessions that
    /// have not ended.
    pub fn orphans(&self, limit: usize) -> Vec<Listed> {
        let mut orphans = Vec::new();
        let mut from = 0;
        loop {
            let batch = self.index().oldest_above(RUNNING, from, BATCH);
            for entry in &batch {
                if orphans.len() >= limit {
                    return orphans;
                }
                from = entry.number;
                let (session, now) = (entry.lock(), self.now());
                let machine = session.machine();
                if machine.is_orphan(now) {
                    orphans.push(Listed {
                        id: entry.id.clone(),
                        state: machine.state(now),
                    });
                }
            }
            if batch.len() < BATCH {
                return orphans;
            }
        }
    }

    /// Shows the sessions of a scope below this number with one of these statuses, newest first, until
    /// `show` breaks. About `wanted` of them are taken from the index at once.
    fn visit(
        &self,
        scope: Scope<'_>,
        statuses: &[StatusFilter],
        mut below: u64,
        wanted: usize,
        mut show: impl FnMut(u64, Listed) -> ControlFlow<()>,
    ) {
        let size = wanted.clamp(1, BATCH);
        loop {
            let batch = self.index().newest_below(scope, statuses, below, size);
            let mut gone = Vec::new();
            let mut shown = ControlFlow::Continue(());
            for entry in &batch {
                below = entry.number;
                match self.listed(entry, scope) {
                    Visit::Listed(listed) => shown = show(entry.number, listed),
                    Visit::Gone => gone.push(entry.clone()),
                    Visit::OtherScope => {}
                }
                if shown.is_break() {
                    break;
                }
            }
            if !gone.is_empty() {
                let now = self.now();
                self.index().unlist_gone(&gone, now);
            }
            if shown.is_break() || batch.len() < size {
                return;
            }
        }
    }

    fn listed(&self, entry: &TableEntry<S>, scope: Scope<'_>) -> Visit {
        let (session, now) = (entry.lock(), self.now());
        let machine = session.machine();
        if machine.check_present(now).is_err() {
            Visit::Gone
        } else if scope.contains(machine.meta()) {
            Visit::Listed(Listed {
                id: entry.id.clone(),
                state: machine.state(now),
            })
        } else {
            Visit::OtherScope
        }
    }
}

enum Visit {
    Listed(Listed),
    Gone,
    /// Another scope has the same hash.
    OtherScope,
}

fn go_on(wanted: bool) -> ControlFlow<()> {
    if wanted {
        ControlFlow::Continue(())
    } else {
        ControlFlow::Break(())
    }
}
