use std::{sync::Arc, time::Duration};

use crate::log::{ChatId, Chunk, Digest, Epoch, Lsn, Owner, ServiceName, Status};

/// What an acknowledged record survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Durability {
    /// Nothing beyond the process that holds it.
    Process,
    /// The end of the process, and a power cut of its host.
    Host,
    /// The loss of the host.
    Replicated,
}

/// What stays the same for a session's whole machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionMeta {
    /// Whose it is, where the access policy has owners.
    pub owner: Option<Owner>,
    /// Which conversation it belongs to.
    pub chat: Option<ChatId>,
    /// What started it, and can start it again.
    pub service: ServiceName,
    /// Of the request that started it.
    pub digest: Digest,
    /// How its records are written. An older library answers `Unsupported` to one it doesn't know.
    pub format: u16,
}

impl SessionMeta {
    /// The newest format that this library knows; it reads and claims no session of a newer one.
    pub const LATEST_FORMAT: u16 = 1;
}

/// Where a session stands.
#[derive(Debug, Clone)]
pub struct SessionState {
    /// What it is.
    pub info: Arc<SessionMeta>,
    /// How long ago it was created, by the store's clock.
    pub age: Duration,
    /// Who owns it, or did last.
    pub epoch: Epoch,
    /// How many times it was claimed.
    pub attempts: u32,
    /// The last LSN; if the status is an outcome, that of the terminal event.
    pub tail: Lsn,
    /// As clients see it.
    pub status: Status,
    /// Somebody wants it stopped.
    pub abort: Option<AbortRequest>,
    /// For how long its owner may write without renewing.
    pub lease: Lease,
    /// How many [answers](super::Store::answer) its owner can read; none once it is sealed.
    pub answers: u32,
}

impl SessionState {
    /// Returns the version of this state, to wait for the next one with
    /// [`Store::changed`](super::Store::changed).
    pub fn version(&self) -> Version {
        Version {
            epoch: self.epoch,
            tail: self.tail,
            status: self.status,
            aborted: self.abort.is_some(),
            answers: self.answers,
        }
    }
}

/// The right to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lease {
    /// Runs for this much longer.
    Held(Duration),
    /// Has run out: its owner died or hangs.
    Expired,
    /// Was given back, or the session is sealed: nobody owns it.
    Free,
}

/// A change of a lease by its owner, for [`Store::renew`](super::Store::renew).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseChange {
    /// The lease runs for this long from now.
    Extend(Duration),
    /// The lease ends, and any server may claim the session at once.
    GiveBack,
}

impl LeaseChange {
    /// Returns the length of the lease from now on; zero if it was given back.
    pub const fn length(self) -> Duration {
        match self {
            Self::Extend(length) => length,
            Self::GiveBack => Duration::ZERO,
        }
    }
}

impl Lease {
    /// Whether an unsealed session with this lease may be claimed.
    pub const fn is_over(self) -> bool {
        !matches!(self, Self::Held(_))
    }
}

/// A point in the history of a session's state; see [`SessionState::version`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    epoch: Epoch,
    tail: Lsn,
    status: Status,
    aborted: bool,
    answers: u32,
}

/// The state that a waiter has seen, for [`Store::changed`](super::Store::changed).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// No state yet: the wait ends at once.
    Nothing,
    /// This version: the wait ends with any change.
    Reader(Version),
    /// This version, by the session's owner: records and the change between streaming and waiting
    /// don't end the wait.
    Owner(Version),
}

impl Seen {
    /// Returns the view of an owner at `epoch` of a session without an abort and without answers.
    pub const fn by_owner(epoch: Epoch) -> Self {
        Self::Owner(Version {
            epoch,
            tail: Lsn::ZERO,
            status: Status::Streaming,
            aborted: false,
            answers: 0,
        })
    }

    /// Returns true if this is an owner's view.
    pub const fn is_owner(&self) -> bool {
        matches!(self, Self::Owner(_))
    }

    /// Returns true if a session at the version `now` has moved on from this.
    pub fn is_behind(&self, now: &Version) -> bool {
        match self {
            Self::Nothing => true,
            Self::Reader(seen) => seen != now,
            Self::Owner(seen) => {
                seen.epoch != now.epoch
                    || seen.aborted != now.aborted
                    || seen.answers != now.answers
                    || now.status.outcome().is_some()
            }
        }
    }
}

impl From<Version> for Seen {
    fn from(version: Version) -> Self {
        Self::Reader(version)
    }
}

/// A wish that the session be stopped.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AbortRequest {
    /// What the terminal event gives as the reason.
    pub reason: Option<Arc<str>>,
}

/// Records after a position, and the state from the same snapshot.
#[derive(Debug, Clone)]
pub struct RecordPage {
    /// The records, in order, without a gap. A new chunk begins where the epoch changes, or sooner.
    pub chunks: Vec<Chunk>,
    /// Where the session stands; its tail may lie beyond the page.
    pub state: SessionState,
}

/// What is left of a session that is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tombstone {
    /// Whose it was.
    pub owner: Option<Owner>,
    /// Of the request that started it.
    pub digest: Digest,
}

/// A server among those that share a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Holder(pub u64);

/// How to delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeleteMode {
    /// Whoever reads it.
    Now,
    /// Only if no other server than this one holds it.
    Released(Holder),
}
