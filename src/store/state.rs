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
    /// The longest time for which the ending stays in the [outbox](super::Store::endings) after the seal;
    /// `None` if it isn't delivered.
    pub outbox: Option<Duration>,
}

impl SessionMeta {
    /// The latest format that this library knows. It reads and claims no session of a later one.
    pub const LATEST_FORMAT: u16 = 2;
}

/// The state of a session at one moment.
#[derive(Debug, Clone)]
pub struct SessionState {
    /// The part of the session that never changes.
    pub meta: Arc<SessionMeta>,
    /// The time since the session's creation, by the store's clock.
    pub age: Duration,
    /// The time since the seal, by the store's clock; `None` until then.
    pub ended: Option<Duration>,
    /// The epoch of the owner, or of the last owner.
    pub epoch: Epoch,
    /// The number of attempts without progress: of claims that followed an owner who had appended nothing, and had not given its
    /// lease back. The number of all claims is in the [epoch](Epoch::claims).
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
    /// Returns the version of this state, to wait for the next one with
    /// [`Store::changed`](super::Store::changed).
    pub fn version(&self) -> Version {
        Version {
            epoch: self.epoch,
            tail: self.tail,
            status: self.status,
            aborted: self.abort.is_some(),
            answers: self.answers,
            given_back: self.status.outcome().is_none() && self.lease == Lease::Free,
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

/// A change of a lease by its owner, for [`Store::renew`](super::Store::renew).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseChange {
    /// The lease runs for this long from now on. Zero gives the session back.
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
    /// Returns true if an unsealed session with this lease may be claimed.
    pub const fn is_over(self) -> bool {
        !matches!(self, Self::Held(_))
    }
}

/// A version of a session's state; see [`SessionState::version`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    epoch: Epoch,
    tail: Lsn,
    status: Status,
    aborted: bool,
    answers: u32,
    given_back: bool,
}

/// The state that a waiter has seen, for [`Store::changed`](super::Store::changed).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// No state: the wait ends at once.
    Nothing,
    /// A version that a reader has seen: any change ends the wait.
    Reader(Version),
    /// A version that the owner has seen: appends, the change between streaming and waiting, and a lease that is
    /// given back don't end the wait.
    Owner(Version),
}

impl Seen {
    /// Creates the view that an owner at `epoch` has of a session without an abort and without
    /// answers.
    pub const fn by_owner(epoch: Epoch) -> Self {
        Self::Owner(Version {
            epoch,
            tail: Lsn::ZERO,
            status: Status::Streaming,
            aborted: false,
            answers: 0,
            given_back: false,
        })
    }

    /// Returns true if this is an owner's view.
    pub const fn is_owner(&self) -> bool {
        matches!(self, Self::Owner(_))
    }

    /// Returns true if a session whose version is `now` has changed since.
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
    /// Takes a session that turned out never to have been one out of the store, as though it had not been created: it
    /// leaves no tombstone, and its id is free at once. Only its owner may, at this epoch, while it is not sealed.
    ///
    /// A repetition after it worked finds nothing, as under an id that was never used, and gets
    /// [`NotFound`](super::StoreError::NotFound). A caller that lost the first reply takes that for a success. If the id
    /// has a new session meanwhile, the repetition gets [`Fenced`](super::StoreError::Fenced) and changes nothing.
    Withdrawn(Epoch),
}

impl DeleteMode {
    /// Returns true if a session that was deleted or has expired before counts as a success.
    pub const fn accepts_gone(self) -> bool {
        !matches!(self, Self::Withdrawn(_))
    }
}
