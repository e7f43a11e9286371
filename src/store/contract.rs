use std::{fmt, time::Duration};

use super::{
    AbortRequest, AfterAppend, AnswerOutcome, Appended, Claimed, Created, DeleteMode, Durability,
    Filter, Holder, LeaseChange, Listed, Listing, NewSession, PendingEnding, RecordPage, Seen,
    SessionState, StoreError, StoredAnswer, Token,
};
use crate::{
    BoxFuture,
    log::{ChatId, Chunk, Epoch, Owner, Position, ServiceName, SessionId},
};

/// A store for the logs of sessions.
///
/// The [module](super#the-contract) has the rules that hold for all methods, among them what a
/// dropped future means; each method adds its own.
///
/// Every method that takes an id returns [`StoreError::Gone`] for a session that was deleted or has
/// expired, as long as its tombstone lasts. After that, and for an id that was never used, it returns
/// [`StoreError::NotFound`].
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// Returns the failures that an acknowledged record survives. It is constant.
    fn durability(&self) -> Durability;

    /// Returns true if the sessions of this store can be reached once this handle is dropped: through another
    /// handle, by another process, or after a later start. Default: true.
    ///
    /// A [shutdown](crate::session::Sessions::shutdown) hands running sessions over then. Where it is false, nobody
    /// could take them, and the shutdown ends them.
    fn outlives_handle(&self) -> bool {
        true
    }

    /// Creates a session with an empty log under an unused id. The caller owns it until `new.lease`
    /// is over.
    ///
    /// If the id is in use, it returns [`Created::Exists`] and changes nothing. Repeated with the
    /// token of the first call, it returns the epoch of the first call, until another caller has
    /// claimed the session.
    ///
    /// # Errors
    ///
    /// [`StoreError::Gone`] while the id has a tombstone, [`StoreError::TooLarge`] for a request that the
    /// engine can't take under an id that is free, [`StoreError::Unavailable`].
    fn create<'a>(
        &'a self,
        id: &'a SessionId,
        new: NewSession,
    ) -> BoxFuture<'a, Result<Created, StoreError>>;

    /// Takes over an unsealed session whose lease is [over](super::Lease::is_over) and that is still
    /// at the epoch `seen`, and makes a new epoch. Counts an
    /// [attempt without progress](field@SessionState::attempts) if the lease has run out and the epoch `seen` has
    /// appended nothing.
    ///
    /// Repeated with the token of the first call, it returns the epoch of the first call, until
    /// another caller has claimed the session or it is sealed.
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

    /// Extends the leases of sessions, or gives the sessions back, if they are still at their epochs.
    ///
    /// [`LeaseChange::Extend`] sets a new lease from now on, also if the former one had run out. After
    /// [`LeaseChange::GiveBack`] any server may claim the session at once. A later append by this
    /// epoch succeeds until the session is claimed, but does not take the lease again.
    ///
    /// Returns one result for each entry, in order.
    ///
    /// # Errors
    ///
    /// For each entry: [`StoreError::Fenced`], [`StoreError::Sealed`], [`StoreError::Gone`],
    /// [`StoreError::NotFound`], [`StoreError::Unavailable`].
    fn renew<'a>(
        &'a self,
        owned: &'a [(SessionId, Epoch)],
        lease: LeaseChange,
    ) -> BoxFuture<'a, Vec<Result<SessionState, StoreError>>>;

    /// Appends the records of a chunk to the log and sets the status of the session. Extends the
    /// lease to its full length. Returns the abort request, if one is stored.
    ///
    /// The store checks in this order:
    ///
    /// 1. the session is gone or was never there: [`StoreError::Gone`], [`StoreError::NotFound`];
    /// 2. the append is a duplicate (the tail is the chunk's last LSN, and the record there is by
    ///    the chunk's epoch): success, and nothing changes;
    /// 3. the session is at another epoch: [`StoreError::Fenced`];
    /// 4. the session has ended: [`StoreError::Sealed`];
    /// 5. the chunk begins after the LSN that follows the tail, because the store lost records that
    ///    it had acknowledged: [`StoreError::Rewound`]; it begins before that LSN:
    ///    [`StoreError::Conflict`];
    /// 6. the chunk is too large for the engine: [`StoreError::TooLarge`].
    ///
    /// # Errors
    ///
    /// The errors of the list, and [`StoreError::Unavailable`].
    fn append<'a>(
        &'a self,
        id: &'a SessionId,
        chunk: Chunk,
        after: AfterAppend,
    ) -> BoxFuture<'a, Result<Appended, StoreError>>;

    /// Appends as [`append`](Self::append) does, at once, or returns `None` and changes nothing. Default
    /// `None`, so that a wrapper which doesn't name this method is asked to [`append`](Self::append).
    ///
    /// For a store in the memory of the process: it must not block or do I/O. It saves the future of an
    /// append.
    fn append_now(
        &self,
        id: &SessionId,
        chunk: &Chunk,
        after: AfterAppend,
    ) -> Option<Result<Appended, StoreError>> {
        let _ = (id, chunk, after);
        None
    }

    /// Reads the records after a position, and the state from the same snapshot.
    ///
    /// A page has as many records as fit into `max_bytes`, but at least one if there is any. No record
    /// lies past the stable tail.
    ///
    /// # Errors
    ///
    /// [`StoreError::Rewound`] if the position's record is absent, or the position has a tag and its
    /// record is by another epoch; [`StoreError::Corrupt`] if the first record after it can't be read;
    /// [`StoreError::Unsupported`], [`StoreError::Unavailable`].
    fn read<'a>(
        &'a self,
        id: &'a SessionId,
        after: Position,
        max_bytes: usize,
    ) -> BoxFuture<'a, Result<RecordPage, StoreError>>;

    /// Waits until the session has changed since `seen`, and returns its state. Changes are a longer
    /// tail, a seal, an abort, an answer, another epoch, a change between streaming and waiting, a lease that is
    /// given back, and deletion, which returns [`StoreError::Gone`], or [`StoreError::NotFound`] after a
    /// [withdrawal](super::DeleteMode::Withdrawn).
    ///
    /// The wait is level-triggered: subscribe, read again, then sleep. It may return without a
    /// change. It returns after `within` or 2 seconds, whichever is shorter, and at once if the
    /// engine's subscription drops. It relies on a push from the engine, not on polling.
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

    /// Stores a request to stop the session. The owner, or a later claimant, seals the session as
    /// aborted.
    ///
    /// The reason of the first request remains. A sealed session does not change.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    fn abort<'a>(
        &'a self,
        id: &'a SessionId,
        abort: AbortRequest,
    ) -> BoxFuture<'a, Result<SessionState, StoreError>>;

    /// Stores an answer, which the owner or a later claimant reads with [`answers`](Self::answers).
    ///
    /// It wakes every [wait](Self::changed), also that of the owner. It does not depend on the lease.
    ///
    /// The store checks in this order:
    ///
    /// 1. the session is gone or was never there: [`StoreError::Gone`], [`StoreError::NotFound`];
    /// 2. an answer with this name is stored: [`AnswerOutcome::Stored`] if its content is equal, which
    ///    makes this call a repetition, else [`AnswerOutcome::Taken`]; nothing changes;
    /// 3. the session has ended: [`StoreError::Sealed`];
    /// 4. the answer does not [fit](StoredAnswer::fits): [`StoreError::Full`].
    ///
    /// # Errors
    ///
    /// The errors of the list, and [`StoreError::Unavailable`].
    fn answer<'a>(
        &'a self,
        id: &'a SessionId,
        answer: StoredAnswer,
    ) -> BoxFuture<'a, Result<AnswerOutcome, StoreError>>;

    /// Returns the answers of the session without the first `after`, in the order in which they were
    /// stored.
    ///
    /// [`SessionState::answers`] is their number. The seal discards them.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    fn answers<'a>(
        &'a self,
        id: &'a SessionId,
        after: usize,
    ) -> BoxFuture<'a, Result<Vec<StoredAnswer>, StoreError>>;

    /// Keeps a session for at least `keep` from now on. A server with readers holds the session.
    ///
    /// A hold never shortens the retention. A hold of an unsealed session takes effect at its seal.
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

    /// Deletes the session and leaves its tombstone. A session that is already gone is a success.
    ///
    /// [`DeleteMode::Withdrawn`] leaves nothing, in one write. It wakes every [wait](Self::changed), which returns
    /// [`StoreError::NotFound`] then. For it the store checks in this order:
    ///
    /// 1. the session is gone or was never there: [`StoreError::Gone`], [`StoreError::NotFound`];
    /// 2. the session is at another epoch: [`StoreError::Fenced`];
    /// 3. the session has ended: [`StoreError::Sealed`].
    ///
    /// It does not depend on the lease, nor on holds, answers or a stored abort.
    ///
    /// # Errors
    ///
    /// [`StoreError::Held`] for [`DeleteMode::Released`] while another server holds the session or its
    /// [ending](Self::endings) waits for its delivery, the errors of the list for [`DeleteMode::Withdrawn`],
    /// [`StoreError::NotFound`], [`StoreError::Unavailable`].
    fn delete<'a>(
        &'a self,
        id: &'a SessionId,
        how: DeleteMode,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Lists up to `limit` sessions of one chat of one owner: first those that run, then those that have
    /// ended, newest first in both groups.
    ///
    /// With `None` as the owner it lists sessions that have no owner. The work doesn't depend on the number
    /// of sessions in other chats or of other owners. It may lag behind the writes, but a session whose
    /// [`create`](Self::create) was acknowledged is listed until its deletion.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    fn of_chat<'a>(
        &'a self,
        owner: Option<&'a Owner>,
        chat: &'a ChatId,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Listed>, StoreError>>;

    /// Lists the sessions that match a filter, newest first. It may lag behind the writes.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    fn list<'a>(&'a self, filter: &'a Filter) -> BoxFuture<'a, Result<Listing, StoreError>>;

    /// Lists up to `limit` unsealed sessions whose lease is over. It may lag behind the writes;
    /// [`claim`](Self::claim) decides.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    fn orphans(&self, limit: usize) -> BoxFuture<'_, Result<Vec<Listed>, StoreError>>;

    /// Takes up to `limit` endings of a service that wait for their delivery, those that were due first
    /// first, and leases each to the caller for this long. Until then no other call gets it.
    ///
    /// A seal puts the ending of a session with an [outbox](field@super::SessionMeta::outbox) there, in the same write.
    /// It stays until it is [`delivered`](Self::delivered), and for the time in
    /// [`SessionMeta::outbox`](field@super::SessionMeta::outbox) at most. Until then the session doesn't expire, and its request is
    /// kept. If the session is [deleted](DeleteMode::Now) meanwhile, its records, its request and the reason of an
    /// abort go, and the ending remains with its [summary](field@super::Seal::summary).
    ///
    /// It may lag behind the writes. The work doesn't depend on the number of sessions, nor on the endings
    /// of other services.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    fn endings<'a>(
        &'a self,
        service: &'a ServiceName,
        limit: usize,
        lease: Duration,
    ) -> BoxFuture<'a, Result<Vec<PendingEnding>, StoreError>>;

    /// Sets the time from which an ending may be taken again to `by` from now on: later, to go on with its
    /// delivery, or sooner, to give it back. `delivery` is the number in [`PendingEnding::delivery`].
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] or [`StoreError::Gone`] if the ending isn't in the outbox any more,
    /// [`StoreError::Fenced`] if it was taken since, [`StoreError::Unavailable`].
    fn postpone_ending<'a>(
        &'a self,
        id: &'a SessionId,
        delivery: u32,
        by: Duration,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Removes an ending from the outbox, whoever has taken it. `sealed_by` is the
    /// [epoch](field@SessionState::epoch) in its state. One that isn't there, or that another epoch has sealed, is a
    /// success, and changes nothing.
    ///
    /// A session that was kept only for its ending is gone then, and its tombstone begins.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    fn delivered<'a>(
        &'a self,
        id: &'a SessionId,
        sealed_by: Epoch,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Removes up to `limit` sessions and tombstones that have expired, and returns their number.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    fn sweep(&self, limit: usize) -> BoxFuture<'_, Result<usize, StoreError>>;
}

/// Further methods of every [`Store`], built on those of the trait.
pub trait StoreExt: Store {
    /// Returns the present state of a session.
    ///
    /// # Errors
    ///
    /// The errors of [`Store::changed`].
    fn state<'a>(&'a self, id: &'a SessionId) -> BoxFuture<'a, Result<SessionState, StoreError>> {
        self.changed(id, Seen::Nothing, Duration::ZERO)
    }
}

impl<S: Store + ?Sized> StoreExt for S {}
