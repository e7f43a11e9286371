use std::{
    collections::{BTreeSet, btree_set},
    hash::{BuildHasher, RandomState},
    iter,
};

use crate::{
    log::{ChatId, Owner},
    store::{Filter, SessionMeta, StatusFilter},
};

/// A set of sessions that a list can ask for.
#[derive(Debug, Clone, Copy, Hash)]
pub(super) enum Scope<'a> {
    All,
    Owner(&'a Owner),
    Chat(&'a ChatId),
    /// The sessions of one chat that have this owner, or that have none.
    OwnedChat(Option<&'a Owner>, &'a ChatId),
}

impl<'a> Scope<'a> {
    /// Returns the narrowest scope that contains every session of a filter.
    pub(super) fn of_filter(filter: &'a Filter) -> Self {
        match (&filter.owner, &filter.chat) {
            (None, None) => Self::All,
            (Some(owner), None) => Self::Owner(owner),
            (None, Some(chat)) => Self::Chat(chat),
            (owner @ Some(_), Some(chat)) => Self::OwnedChat(owner.as_ref(), chat),
        }
    }

    pub(super) fn contains(self, meta: &SessionMeta) -> bool {
        match self {
            Self::All => true,
            Self::Owner(owner) => meta.owner.as_ref() == Some(owner),
            Self::Chat(chat) => meta.chat.as_ref() == Some(chat),
            Self::OwnedChat(owner, chat) => {
                meta.owner.as_ref() == owner && meta.chat.as_ref() == Some(chat)
            }
        }
    }

    /// Returns every scope that contains a session.
    fn around(meta: &'a SessionMeta) -> impl Iterator<Item = Self> {
        let (owner, chat) = (meta.owner.as_ref(), meta.chat.as_ref());
        iter::once(Self::All)
            .chain(owner.map(Self::Owner))
            .chain(chat.map(Self::Chat))
            .chain(chat.map(move |chat| Self::OwnedChat(owner, chat)))
    }
}

/// The listed sessions of every scope, by status and number.
///
/// A scope is known by a keyed hash of 8 bytes in place of its names. So the one who walks it compares
/// the names of each session with those of the scope.
#[derive(Debug, Default)]
pub(super) struct ScopeIndex {
    hasher: RandomState,
    places: BTreeSet<ScopedSession>,
}

/// The scopes of one session.
#[derive(Debug, Clone, Copy)]
pub(super) struct ScopeKeys {
    keys: [u64; 4],
    count: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct ScopedSession {
    scope: u64,
    status: u8,
    number: u64,
}

impl ScopeIndex {
    /// Returns the scopes of a session.
    pub(super) fn keys(&self, meta: &SessionMeta) -> ScopeKeys {
        let mut all = ScopeKeys {
            keys: [0; 4],
            count: 0,
        };
        for (key, scope) in all.keys.iter_mut().zip(Scope::around(meta)) {
            *key = self.hasher.hash_one(scope);
            all.count += 1;
        }
        all
    }

    pub(super) fn insert(&mut self, scopes: &ScopeKeys, status: StatusFilter, number: u64) {
        self.places.extend(scopes.places(status, number));
    }

    pub(super) fn remove(&mut self, scopes: &ScopeKeys, status: StatusFilter, number: u64) {
        for place in scopes.places(status, number) {
            self.places.remove(&place);
        }
    }

    /// Returns the numbers below this one of the sessions with one of these statuses, newest first.
    pub(super) fn newest_below(
        &self,
        scope: Scope<'_>,
        statuses: &[StatusFilter],
        below: u64,
    ) -> impl Iterator<Item = u64> {
        let mut ranges = self.ranges(scope, statuses, 0, below);
        iter::from_fn(move || {
            let last = |range: &btree_set::Range<'_, ScopedSession>| {
                Some(range.clone().next_back()?.number)
            };
            let newest = ranges.iter_mut().max_by_key(|range| last(range))?;
            newest.next_back().map(|place| place.number)
        })
    }

    /// Returns the numbers above this one of the sessions with one of these statuses, oldest first.
    pub(super) fn oldest_above(
        &self,
        scope: Scope<'_>,
        statuses: &[StatusFilter],
        above: u64,
    ) -> impl Iterator<Item = u64> {
        let from = above.saturating_add(1);
        let mut ranges = self.ranges(scope, statuses, from, u64::MAX);
        iter::from_fn(move || {
            let first = |range: &btree_set::Range<'_, ScopedSession>| {
                let place = range.clone().next();
                place.map_or(u64::MAX, |place| place.number)
            };
            let oldest = ranges.iter_mut().min_by_key(|range| first(range))?;
            oldest.next().map(|place| place.number)
        })
    }

    /// Returns the places of each status with the numbers from `from` to below `below`.
    fn ranges(
        &self,
        scope: Scope<'_>,
        statuses: &[StatusFilter],
        from: u64,
        below: u64,
    ) -> Vec<btree_set::Range<'_, ScopedSession>> {
        let scope = self.hasher.hash_one(scope);
        let ranges = statuses.iter().map(|&status| {
            let at = |number| ScopedSession::new(scope, status, number);
            self.places.range(at(from.min(below))..at(below))
        });
        ranges.collect()
    }
}

impl ScopeKeys {
    fn places(&self, status: StatusFilter, number: u64) -> impl Iterator<Item = ScopedSession> {
        let keys = &self.keys[..usize::from(self.count)];
        keys.iter()
            .map(move |&scope| ScopedSession::new(scope, status, number))
    }
}

impl ScopedSession {
    fn new(scope: u64, status: StatusFilter, number: u64) -> Self {
        Self {
            scope,
            status: status as u8,
            number,
        }
    }
}
