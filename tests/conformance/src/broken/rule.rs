macro_rules! rules {
    ($($(#[$doc:meta])* $rule:ident,)*) => {
        /// A rule of the store contract that a [`BrokenStore`](super::BrokenStore) can break.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ContractRule {
            $($(#[$doc])* $rule,)*
        }

        impl ContractRule {
            /// Every rule.
            pub const ALL: &[Self] = &[$(Self::$rule,)*];
        }
    };
}

rules! {
    /// An id that is taken is not created again.
    CreateOnce,
    /// `create` answers `Exists` under an id that is taken.
    CreateExists,
    /// A repeated `create` is known by its token.
    CreateToken,
    /// A tombstone keeps its id from being created again.
    CreateUnderTombstone,
    /// A lease that runs keeps the session from being claimed.
    ClaimWaits,
    /// A session at another epoch than the expected one is not claimed.
    ClaimSeen,
    /// A sealed session is not claimed.
    ClaimUnsealed,
    /// A claim makes a new epoch.
    ClaimFences,
    /// A claim counts the attempt of an owner who appended nothing.
    ClaimCounts,
    /// An owner who appended, or gave the lease back, costs no attempt.
    ClaimProgress,
    /// A repeated `claim` is known by its token.
    ClaimToken,
    /// A claim returns the request.
    ClaimRequest,
    /// A format that the library does not know is refused.
    Format,
    /// Only the owner renews.
    RenewEpoch,
    /// A renewal extends the lease.
    RenewExtends,
    /// Renewals are answered in the order of their entries.
    RenewOrder,
    /// An owner can give the session back.
    GiveBack,
    /// An append is compared with the session's epoch.
    AppendEpoch,
    /// An append by a fenced owner is answered with `Fenced`.
    AppendFenced,
    /// An append that is stored already is a success and changes nothing.
    AppendDuplicate,
    /// An append that begins before the end of the log is a conflict.
    AppendConflict,
    /// An append that begins beyond the end of the log is refused.
    AppendRewound,
    /// An append to a sealed session is refused.
    AppendSealed,
    /// An append that is too large for the engine is refused.
    AppendTooLarge,
    /// An append extends the lease.
    AppendExtends,
    /// The answer to an append carries a stored abort.
    AppendTellsAbort,
    /// The bytes of an append are kept.
    AppendKept,
    /// The tail is the LSN of the last record.
    AppendTail,
    /// An append sets the status `waiting`.
    AppendWaiting,
    /// A seal sets the outcome.
    SealOutcome,
    /// An abort is stored.
    AbortStored,
    /// The first abort's reason stays.
    AbortFirst,
    /// A sealed session is not aborted.
    AbortUnsealed,
    /// An answer is stored.
    AnswerStored,
    /// The first answer under a name stays, and another one is answered with `Taken`.
    AnswerFirst,
    /// A repeated answer is a success and is stored once.
    AnswerAgain,
    /// A sealed session takes no answer.
    AnswerUnsealed,
    /// The answers of a session are bounded.
    AnswerFits,
    /// `answers` leaves out the first `after` answers.
    AnswersAfter,
    /// The seal removes the answers.
    AnswersEnd,
    /// A hold never shortens the retention.
    HoldLengthens,
    /// A hold keeps the session.
    HoldKeeps,
    /// `Released` waits for the holds of other servers.
    HoldOthers,
    /// Deleting again is a success.
    DeleteAgain,
    /// A withdrawn session leaves no tombstone.
    WithdrawLeavesNothing,
    /// A withdrawal is compared with the session's epoch.
    WithdrawEpoch,
    /// A sealed session is not withdrawn.
    WithdrawUnsealed,
    /// A withdrawal under a tombstone is refused.
    WithdrawGone,
    /// A repeated withdrawal finds nothing.
    WithdrawAgain,
    /// A withdrawal doesn't depend on the lease.
    WithdrawWithoutLease,
    /// A withdrawn session is in no list.
    WithdrawListed,
    /// The state tells the time since the seal.
    EndedSince,
    /// A session is kept to the end of its retention.
    ExpiryNotEarly,
    /// A session whose retention is over is gone, swept or not.
    ExpiryExact,
    /// A session that is gone leaves a tombstone.
    TombstoneStands,
    /// A tombstone names the owner.
    TombstoneOwner,
    /// A tombstone has the digest of the request.
    TombstoneDigest,
    /// A tombstone expires.
    TombstoneEnds,
    /// A read after a record that is absent is refused.
    ReadAbsent,
    /// A read after a lost record does not go on from where the log ends now.
    ReadRewound,
    /// A read after a record of another epoch is refused.
    ReadTag,
    /// A read begins after its position.
    ReadAfter,
    /// A page keeps to its maximum size.
    ReadMax,
    /// A page has at least one record if there is any.
    ReadOne,
    /// A record carries the epoch that wrote it.
    ReadEpoch,
    /// A record that can't be read is not skipped.
    ReadCorrupt,
    /// An append ends a wait.
    WakeAppend,
    /// A lease that is given back ends a wait.
    WakeGiveBack,
    /// An abort ends a wait.
    WakeAbort,
    /// An answer ends a wait.
    WakeAnswer,
    /// A claim ends a wait.
    WakeClaim,
    /// A deletion ends a wait.
    WakeDelete,
    /// A withdrawal ends a wait.
    WakeWithdraw,
    /// A change from before the wait ends it at once.
    WakeLevel,
    /// A wait ends at its limit.
    WakeWithin,
    /// A wait ends after two seconds.
    WakeCap,
    /// A list is newest first.
    ListOrder,
    /// A list has the sessions of its filter, and no others.
    ListFilter,
    /// The pages of a list follow one another without a gap or a repetition.
    ListPages,
    /// A later page of a list has the filter of the first.
    ListPagesFilter,
    /// A list has no session that was deleted.
    ListPresent,
    /// The sessions of a chat have the owner that is asked for.
    ChatOwner,
    /// The sessions of a chat without an owner have no owner.
    ChatUnowned,
    /// The limit counts the sessions of the owner only.
    ChatOthers,
    /// Names of owners and chats are compared byte by byte.
    ChatNames,
    /// The running sessions of a chat come before those that have ended.
    ChatRunningFirst,
    /// The sessions of a chat are newest first.
    ChatOrder,
    /// The sessions of a chat keep to their limit.
    ChatLimit,
    /// A session that waits counts as running.
    ChatWaiting,
    /// A chat has no session that was deleted.
    ChatPresent,
    /// A session with a running lease is no orphan.
    OrphansOver,
    /// A sealed session is no orphan.
    OrphansUnsealed,
    /// A list of orphans keeps to its limit.
    OrphansLimit,
    /// A seal puts the ending into the outbox.
    EndingsStored,
    /// A taken ending is leased.
    EndingsLease,
    /// An ending comes again after its lease.
    EndingsReturn,
    /// Endings keep to their limit.
    EndingsLimit,
    /// The endings that were due first come first.
    EndingsOrder,
    /// Endings are those of the service.
    EndingsService,
    /// An ending has the summary of its seal.
    EndingsSummary,
    /// An ending has the request of its session.
    EndingsRequest,
    /// An ending tells how often it was taken.
    EndingsCount,
    /// An ending tells that its session was deleted.
    EndingsDeleted,
    /// An ending tells when it expires.
    EndingsExpire,
    /// The ending of a deleted session has no request.
    EndingsForget,
    /// A session doesn't expire while its ending waits.
    EndingsKeep,
    /// An ending is dropped after its time.
    EndingsDropped,
    /// A session without an outbox has no ending.
    EndingsWanted,
    /// An ending can be postponed.
    PostponeMoves,
    /// A former taker can't postpone an ending.
    PostponeFenced,
    /// An ending that isn't in the outbox can't be postponed.
    PostponeFound,
    /// A delivered ending doesn't come again.
    DeliveredRemoves,
    /// A delivery can be told again.
    DeliveredAgain,
    /// A delivery removes only the ending of its epoch.
    DeliveredEpoch,
    /// A session that was kept for its ending leaves a tombstone.
    DeliveredTombstone,
    /// A deletion leaves the ending in the outbox.
    DeleteKeepsEnding,
    /// A released session is not deleted before its ending is delivered.
    DeleteWaits,
    /// A sweep keeps to its limit.
    SweepLimit,
    /// A sweep removes only what has expired.
    SweepExpired,
}
