use std::{sync::Arc, time::Duration};

use crate::log::{ChatId, Chunk, Digest, Epoch, Lsn, Owner, ServiceName, Status};

/// The failures that an acknowledged record survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Durability {
    /// None: records end with the process that holds them.
    Process,
    /// The end of the process, and a power cut of the host.
    Host,
    /// The loss of the host.
    Replicated,
}

/// The part of a session that never changes after its creation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionMeta {
    /// The owner; `None` if the access policy names none.
    pub owner: Option<Owner>,
    /// The conversation that the session belongs to, if any.
    pub chat: Option<ChatId>,
    /// The name of the layer that started the session and can start it again.
    pub service: ServiceName,
    /// The digest of the request that started the session.
    pub digest: Digest,
    /// The format of the records. A library that does not know it returns
    /// [`StoreError::Unsupported`](super::StoreError::Unsupported).
    pub format: u16,
}

impl SessionMeta {
    /// The latest format that this library knows. It reads and claims no session of a later one.
    pub const LATEST_FORMAT: u16 = 1;
}

/// The state of a session at one moment.
#[derive(Debug, Clone)]
pub struct SessionState {
    /// The part of the session that never changes.
    pub info: Arc<SessionMeta>,
    /// The time since the session's creation, by the store's clock.
    pub age: Duration,
    /// The epoch of the owner, or of the last owner.
    pub epoch: Epoch,
    /// The number of claims so far.
    pub attempts: u32,
    /// The last LSN. Of a session that has ended, the LSN of the terminal event.
    pub tail: Lsn,
    /// The status, as clients see it.
    pub status: Status,
    /// The abort request, if one is stored.
    pub abort: Option<AbortRequest>,
    /// The lease of the owner.
    pub lease: Lease,
    /// The number of [answers](super::Store::answer) that the owner can read; 0 once the session is
    /// sealed.
    pub answers: u32,
}

impl SessionState {
    /// Returns the version of this state, to wait for a later one with
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

/// The right of an owner to write, at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lease {
    /// The lease runs for this much longer.
    Held(Duration),
    /// The lease has run out: the owner died or hangs.
    Expired,
    /// The lease was given back, or the session is sealed.
    Free,
}

impl Lease {
    /// Returns true if an unsealed session with this lease may be claimed.
    pub const fn is_over(self) -> bool {
        !matches!(self, Self::Held(_))
    }
}

/// A version of a session's state, to wait for the next one with
/// [`Store::changed`](super::Store::changed).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    epoch: Epoch,
    tail: Lsn,
    status: Status,
    aborted: bool,
    answers: u32,
}

impl Version {
    /// The version before every session: each one has changed since.
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

    /// Creates the version that an owner at `epoch` waits with while no abort and no answer is
    /// stored. Appends don't count as a change.
    pub const fn of_owner(epoch: Epoch) -> Self {
        Self {
            epoch,
            tail: Lsn::MAX,
            status: Status::Streaming,
            aborted: false,
            answers: 0,
        }
    }

    /// Returns this version for an owner that waits: appends, and the change between streaming and
    /// waiting, don't count as a change.
    #[must_use]
    pub fn for_owner(self) -> Self {
        Self {
            tail: Lsn::MAX,
            status: Status::Streaming,
            ..self
        }
    }

    /// Returns true if appends don't count as a change: the version comes from
    /// [`for_owner`](Self::for_owner) or [`of_owner`](Self::of_owner).
    pub fn is_for_owner(&self) -> bool {
        self.tail == Lsn::MAX
    }

    /// Returns true if a session whose version is `now` has changed since this version.
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

/// A request to stop a session.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AbortRequest {
    /// The reason, which the terminal event repeats.
    pub reason: Option<Arc<str>>,
}

/// Records after a position, and the state of the session from the same snapshot.
#[derive(Debug, Clone)]
pub struct RecordPage {
    /// The records, in order, without a gap. A new chunk begins where the epoch changes, or sooner.
    pub chunks: Vec<Chunk>,
    /// The state of the session. Its tail may lie beyond the page.
    pub state: SessionState,
}

/// The remains of a session that was deleted or has expired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tombstone {
    /// The owner of the session, if it had one.
    pub owner: Option<Owner>,
    /// The digest of the request that started the session.
    pub digest: Digest,
}

/// The id of a server among those that share a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Holder(pub u64);

/// The condition of a [`Store::delete`](super::Store::delete).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeleteMode {
    /// Deletes the session even while servers hold it for readers.
    Now,
    /// Deletes the session only if no server but this one holds it.
    Released(Holder),
}
