use std::{fmt, time::Duration};

use super::{
    AbortRequest, AfterAppend, AnswerOutcome, Appended, Claimed, Created, DeleteMode, Durability,
    Filter, Holder, LeaseChange, Listed, Listing, NewSession, RecordPage, Seen, SessionState,
    StoreError, StoredAnswer, Token, Version,
};
use crate::{
    BoxFuture,
    log::{Chunk, Epoch, Position, SessionId},
};

/// Keeps the logs of sessions. The module's documentation has the contract that holds for all
/// methods; each method has its own rules.
///
/// On an id whose session was deleted or has expired, every method that takes one answers
/// [`StoreError::Gone`] while the tombstone lasts, and [`StoreError::NotFound`] after that and for
/// an id that never was.
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// What an acknowledged record survives. Constant.
    fn durability(&self) -> Durability;

    /// Makes a session under an id that nobody has, with an empty log, owned by the caller until
    /// `new.lease` is over.
    ///
    /// Under an id that is taken, the answer is [`Created::Exists`] and nothing changes. Repeated
    /// with the same token, the first answer's epoch comes again, for as long as nobody else has
    /// claimed the session.
    ///
    /// # Errors
    ///
    /// [`StoreError::Gone`] under a tombstone, [`StoreError::Unavailable`].
    fn create<'a>(
        &'a self,
        id: &'a SessionId,
        new: NewSession,
    ) -> BoxFuture<'a, Result<Created, StoreError>>;

    /// Takes over a session that is unsealed, whose lease is [over](super::Lease::is_over), and
    /// that is still at the epoch `seen`: makes a new epoch and counts the attempt.
    ///
    /// Repeated with the same token, the same epoch comes again, for as long as nobody else has
    /// claimed the session and it is not sealed.
    ///
    /// # Errors
    ///
    /// [`StoreError::Held`] while the lease runs or if the session is at another epoch,
    /// [`StoreError::Sealed`], [`StoreError::Unsupported`] for a format that this library does not
    /// know, [`StoreError::Unavailable`].
    fn claim<'a>(
        &'a self,
        id: &'a SessionId,
        seen: Epoch,
        token: Token,
        lease: Duration,
    ) -> BoxFuture<'a, Result<Claimed, StoreError>>;

    /// Extends leases, or gives them back: of each session that is still at its epoch. After
    /// [`LeaseChange::GiveBack`] any server may claim the session at once; a later append by the same
    /// epoch succeeds while none has, but doesn't take the lease again.
    ///
    /// One answer for each entry, in order: the state, or [`StoreError::Fenced`],
    /// [`StoreError::Sealed`], [`StoreError::Gone`], [`StoreError::NotFound`],
    /// [`StoreError::Unavailable`]. A lease that has run out but was not claimed is extended.
    fn renew<'a>(
        &'a self,
        owned: &'a [(SessionId, Epoch)],
        lease: LeaseChange,
    ) -> BoxFuture<'a, Vec<Result<SessionState, StoreError>>>;

    /// Adds the chunk's records to the log and says how the session stands after them. Extends the
    /// lease to its full length. Tells of an abort that is stored.
    ///
    /// Checked in this order:
    ///
    /// 1. gone or never there: [`StoreError::Gone`], [`StoreError::NotFound`];
    /// 2. a duplicate (the tail is the chunk's last LSN and the record there is by the chunk's
    ///    epoch): success, and nothing changes;
    /// 3. [`StoreError::Fenced`] if the session is at another epoch;
    /// 4. [`StoreError::Sealed`];
    /// 5. [`StoreError::Rewound`] if the chunk begins beyond the LSN after the tail (the store lost
    ///    records that it had acknowledged), [`StoreError::Conflict`] if it begins before;
    /// 6. [`StoreError::TooLarge`] for a chunk that the engine can't take.
    ///
    /// # Errors
    ///
    /// Those, and [`StoreError::Unavailable`].
    fn append<'a>(
        &'a self,
        id: &'a SessionId,
        chunk: Chunk,
        then: AfterAppend,
    ) -> BoxFuture<'a, Result<Appended, StoreError>>;

    /// The records after a position, as many as fit into `max_bytes` but at least one if there is
    /// any, with the state from the same snapshot. Never past the stable tail.
    ///
    /// # Errors
    ///
    /// [`StoreError::Rewound`] if the position's record is absent, or carries a tag and is by
    /// another epoch; [`StoreError::Corrupt`] if the first record after it can't be read;
    /// [`StoreError::Unsupported`], [`StoreError::Unavailable`].
    fn read<'a>(
        &'a self,
        id: &'a SessionId,
        after: Position,
        max_bytes: usize,
    ) -> BoxFuture<'a, Result<RecordPage, StoreError>>;

    /// Waits until the session has moved on from `seen`: a longer tail, a seal, an abort, an answer,
    /// another epoch, waiting or no longer so, or deletion (which answers [`StoreError::Gone`]).
    ///
    /// Level-triggered: subscribe, re-read, then sleep. May return without a change. Returns after
    /// `within` or 2 seconds at the latest, whichever is shorter, and at once if the engine's
    /// subscription drops. Rests on a push from the engine, not on a poll.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unsupported`], [`StoreError::Unavailable`].
    fn changed<'a>(
        &'a self,
        id: &'a SessionId,
        seen: Seen,
        within: Duration,
    ) -> BoxFuture<'a, Result<SessionState, StoreError>>;

    /// Stores that somebody wants the session stopped; its owner, or whoever claims it, seals it as
    /// aborted. The first abort's reason stays. On a sealed session nothing changes.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    fn abort<'a>(
        &'a self,
        id: &'a SessionId,
        abort: AbortRequest,
    ) -> BoxFuture<'a, Result<SessionState, StoreError>>;

    /// Leaves an answer where the session's owner, or whoever claims it, finds it with
    /// [`answers`](Self::answers). Whoever [waits](Self::changed) is woken, the owner too. The lease
    /// doesn't matter.
    ///
    /// Checked in this order:
    ///
    /// 1. gone or never there: [`StoreError::Gone`], [`StoreError::NotFound`];
    /// 2. an answer under this name is there: [`AnswerOutcome::Stored`] if it has the same content, for
    ///    then this is a repetition, else [`AnswerOutcome::Taken`]; nothing changes;
    /// 3. [`StoreError::Sealed`];
    /// 4. [`StoreError::Full`] if it doesn't [fit](StoredAnswer::fits).
    ///
    /// # Errors
    ///
    /// Those, and [`StoreError::Unavailable`].
    fn answer<'a>(
        &'a self,
        id: &'a SessionId,
        answer: StoredAnswer,
    ) -> BoxFuture<'a, Result<AnswerOutcome, StoreError>>;

    /// The session's answers but for the first `after` ones, in the order in which they were stored.
    /// [`SessionState::answers`] says how many there are. They go with the seal: then there are none.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    fn answers<'a>(
        &'a self,
        id: &'a SessionId,
        after: usize,
    ) -> BoxFuture<'a, Result<Vec<StoredAnswer>, StoreError>>;

    /// Keeps a session for at least `keep` from now: a server with readers holds. Only ever
    /// lengthens the retention. A hold of a session that isn't sealed yet counts at its seal.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    fn hold<'a>(
        &'a self,
        id: &'a SessionId,
        by: Holder,
        keep: Duration,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Forgets the session but for its tombstone. Safe to repeat: a session that is gone already is
    /// a success.
    ///
    /// # Errors
    ///
    /// [`StoreError::Held`] for [`DeleteMode::Released`] while another server holds the session,
    /// [`StoreError::NotFound`], [`StoreError::Unavailable`].
    fn delete<'a>(
        &'a self,
        id: &'a SessionId,
        how: DeleteMode,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Sessions that match, newest first. May lag behind the writes.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    fn list<'a>(&'a self, filter: &'a Filter) -> BoxFuture<'a, Result<Listing, StoreError>>;

    /// Up to `limit` unsealed sessions whose lease is over. May lag: [`claim`](Self::claim) decides.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    fn orphans(&self, limit: usize) -> BoxFuture<'_, Result<Vec<Listed>, StoreError>>;

    /// Removes up to `limit` sessions and tombstones that have expired, and says how many went.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    fn sweep(&self, limit: usize) -> BoxFuture<'_, Result<usize, StoreError>>;
}

/// What follows from the methods of every [`Store`].
pub trait StoreExt: Store {
    /// Where the session stands now.
    ///
    /// # Errors
    ///
    /// As [`Store::changed`].
    fn state<'a>(&'a self, id: &'a SessionId) -> BoxFuture<'a, Result<SessionState, StoreError>> {
        self.changed(id, Seen::Nothing, Duration::ZERO)
    }
}

impl<S: Store + ?Sized> StoreExt for S {}
