//! The places of a server's sessions, as a plain state: without tasks, clock or locks.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
};

use crate::{
    log::Owner,
    session::{Busy, Limits},
};

/// The places of the sessions of one server. A session holds one place, which counts against the
/// [`Limits`] of running or of waiting sessions.
///
/// A start never fails because of sessions that wait. If more sessions wait than may, the one that
/// has waited longest gives up its place: of the owner that passes its limit, or of the owner that
/// holds most waiting places. Sessions without an owner count as those of one owner then.
///
/// Every operation takes time logarithmic in the number of places.
#[derive(Debug)]
pub(in crate::session) struct Places {
    limits: PlaceLimits,
    // Of the next place, and of the next wait: a later wait has a larger number.
    pub(super) next: u64,
    pub(super) by_id: HashMap<PlaceId, Place>,
    pub(super) groups: HashMap<OwnerGroup, GroupPlaces>,
    // Of each group with waiting sessions: how many, and the longest wait. The last one is the group
    // that gives up a place next.
    pub(super) most: BTreeMap<(usize, Reverse<u64>), OwnerGroup>,
    counts: PlaceCounts,
}

/// The name of one place. A name isn't used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::session) struct PlaceId(u64);

/// The numbers of places in each status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::session) struct PlaceCounts {
    pub(in crate::session) running: usize,
    pub(in crate::session) waiting: usize,
    /// The sessions that end, because they gave up their places.
    pub(in crate::session) ending: usize,
}

#[derive(Debug, Clone, Copy)]
struct PlaceLimits {
    running: usize,
    running_per_owner: usize,
    waiting: usize,
    waiting_per_owner: usize,
}

/// The sessions of one owner, or all those without one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct OwnerGroup(Option<Owner>);

#[derive(Debug)]
pub(super) struct Place {
    group: OwnerGroup,
    status: PlaceStatus,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PlaceStatus {
    Running,
    /// Waiting since this number of a wait.
    Waiting(u64),
    /// Given up, and not yet free.
    Ending,
}

#[derive(Debug, Default)]
pub(super) struct GroupPlaces {
    running: usize,
    /// Of each waiting place: the number of its wait. The first has waited longest.
    waiting: BTreeSet<(u64, PlaceId)>,
}

impl Places {
    pub(in crate::session) fn new(limits: &Limits) -> Self {
        Self {
            limits: PlaceLimits {
                running: limits.running,
                running_per_owner: limits.running_per_owner,
                waiting: limits.waiting,
                waiting_per_owner: limits.waiting_per_owner,
            },
            next: 0,
            by_id: HashMap::new(),
            groups: HashMap::new(),
            most: BTreeMap::new(),
            counts: PlaceCounts::default(),
        }
    }

    /// Takes a place for one more running session.
    ///
    /// # Errors
    ///
    /// [`Busy`] if as many sessions run as may, in all or of this owner.
    pub(in crate::session) fn start(&mut self, owner: Option<&Owner>) -> Result<PlaceId, Busy> {
        if self.counts.running >= self.limits.running {
            return Err(Busy::Running);
        }
        let group = OwnerGroup(owner.cloned());
        let held = self.groups.entry(group.clone()).or_default();
        if owner.is_some() && held.running >= self.limits.running_per_owner {
            self.forget_if_empty(&group);
            return Err(Busy::RunningPerOwner);
        }
        held.running += 1;
        self.counts.running += 1;
        let id = PlaceId(self.number());
        let status = PlaceStatus::Running;
        self.by_id.insert(id, Place { group, status });
        Ok(id)
    }

    /// Counts a running session as waiting. Returns the place that is given up in favour of this
    /// one, which can be this one itself. It has no effect on a session that waits or ends.
    pub(in crate::session) fn wait(&mut self, id: PlaceId) -> Option<PlaceId> {
        if self.status(id) != Some(PlaceStatus::Running) {
            return None;
        }
        let since = self.number();
        self.change(id, PlaceStatus::Waiting(since));
        let group = &self.by_id[&id].group;
        let waiting = self.groups[group].waiting.len();
        let group = if group.0.is_some() && waiting > self.limits.waiting_per_owner {
            group
        } else if self.counts.waiting > self.limits.waiting {
            self.most.last_key_value()?.1
        } else {
            return None;
        };
        let (_, given_up) = *self.groups[group].waiting.first()?;
        self.change(given_up, PlaceStatus::Ending);
        Some(given_up)
    }

    /// Counts a session that goes on as running, even if as many run as may. A place that was given
    /// up is taken back.
    pub(in crate::session) fn run(&mut self, id: PlaceId) {
        self.change(id, PlaceStatus::Running);
    }

    /// Returns true if the place was given up, and not taken back since.
    pub(in crate::session) fn is_given_up(&self, id: PlaceId) -> bool {
        self.status(id) == Some(PlaceStatus::Ending)
    }

    /// Frees a place.
    pub(in crate::session) fn free(&mut self, id: PlaceId) {
        if let Some(Place { group, status }) = self.by_id.remove(&id) {
            self.uncount(id, &group, status);
            self.forget_if_empty(&group);
        }
    }

    /// Returns the numbers of places in each status.
    pub(in crate::session) fn counts(&self) -> PlaceCounts {
        self.counts
    }

    fn status(&self, id: PlaceId) -> Option<PlaceStatus> {
        self.by_id.get(&id).map(|place| place.status)
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn change(&mut self, id: PlaceId, to: PlaceStatus) {
        let Some(place) = self.by_id.get_mut(&id) else {
            return;
        };
        let from = std::mem::replace(&mut place.status, to);
        let group = place.group.clone();
        self.uncount(id, &group, from);
        self.count(id, &group, to);
        self.forget_if_empty(&group);
    }

    fn count(&mut self, id: PlaceId, group: &OwnerGroup, status: PlaceStatus) {
        match status {
            PlaceStatus::Running => {
                self.counts.running += 1;
                self.groups.entry(group.clone()).or_default().running += 1;
            }
            PlaceStatus::Waiting(since) => {
                self.counts.waiting += 1;
                self.change_waiting(group, |waiting| waiting.insert((since, id)));
            }
            PlaceStatus::Ending => self.counts.ending += 1,
        }
    }

    fn uncount(&mut self, id: PlaceId, group: &OwnerGroup, status: PlaceStatus) {
        match status {
            PlaceStatus::Running => {
                self.counts.running -= 1;
                if let Some(held) = self.groups.get_mut(group) {
                    held.running -= 1;
                }
            }
            PlaceStatus::Waiting(since) => {
                self.counts.waiting -= 1;
                self.change_waiting(group, |waiting| waiting.remove(&(since, id)));
            }
            PlaceStatus::Ending => self.counts.ending -= 1,
        }
    }

    /// Changes the waiting places of a group, and its rank among the groups.
    fn change_waiting(
        &mut self,
        group: &OwnerGroup,
        change: impl FnOnce(&mut BTreeSet<(u64, PlaceId)>) -> bool,
    ) {
        let waiting = &mut self.groups.entry(group.clone()).or_default().waiting;
        if let Some(rank) = rank(waiting) {
            self.most.remove(&rank);
        }
        change(waiting);
        if let Some(rank) = rank(waiting) {
            self.most.insert(rank, group.clone());
        }
    }

    fn forget_if_empty(&mut self, group: &OwnerGroup) {
        if let Some(held) = self.groups.get(group)
            && held.running == 0
            && held.waiting.is_empty()
        {
            self.groups.remove(group);
        }
    }
}

impl PlaceCounts {
    /// Returns the number of all places.
    pub(in crate::session) const fn all(self) -> usize {
        self.running + self.waiting + self.ending
    }

    /// Returns the number of the places whose sessions don't wait.
    pub(in crate::session) const fn busy(self) -> usize {
        self.running + self.ending
    }
}

fn rank(waiting: &BTreeSet<(u64, PlaceId)>) -> Option<(usize, Reverse<u64>)> {
    let (since, _) = waiting.first()?;
    Some((waiting.len(), Reverse(*since)))
}
