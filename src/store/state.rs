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
    /// What a waiter has seen, for [`Store::changed`](super::Store::changed).
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

impl Lease {
    /// Whether an unsealed session with this lease may be claimed.
    pub const fn is_over(self) -> bool {
        !matches!(self, Self::Held(_))
    }
}

/// What a waiter has seen of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    epoch: Epoch,
    tail: Lsn,
    status: Status,
    aborted: bool,
    answers: u32,
}

impl Version {
    /// Nothing seen yet: every session has moved on from this.
    pub const UNSEEN: Self = Self {
        epoch: Epoch {
            counter: 0,
            bits: 0,
        },
        tail: Lsn::ZERO,
        status: Status::Streaming,
        aborted: false,
        answers: 0,
    };

    /// What an owner at `epoch` has seen of a session that nobody has aborted, or answered.
    pub const fn of_owner(epoch: Epoch) -> Self {
        Self {
            epoch,
            tail: Lsn::MAX,
            status: Status::Streaming,
            aborted: false,
            answers: 0,
        }
    }

    /// The same, but records and the change between streaming and waiting don't count: what an
    /// owner waits for.
    #[must_use]
    pub fn for_owner(self) -> Self {
        Self {
            tail: Lsn::MAX,
            status: Status::Streaming,
            ..self
        }
    }

    /// Whether this was made with [`for_owner`](Self::for_owner): records don't count.
    pub fn is_for_owner(&self) -> bool {
        self.tail == Lsn::MAX
    }

    /// Whether a session that is at `now` has moved on from this.
    pub fn is_behind(&self, now: &Self) -> bool {
        let owner = self.is_for_owner();
        self.epoch != now.epoch
            || self.aborted != now.aborted
            || self.answers != now.answers
            || self.tail < now.tail
            || (!owner && (self.status != now.status || self.tail != now.tail))
            || (owner && now.status.outcome().is_some())
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
