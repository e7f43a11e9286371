/// A rule of the store contract, by name.
///
/// A test can switch one off, in [`Memory`](crate::store::Memory) and in whatever else is built on
/// the same state machine, to see that something notices. In a build without the feature `testing`
/// every rule holds, and asking costs nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(
    not(feature = "testing"),
    expect(unreachable_pub, reason = "public with the feature")
)]
#[non_exhaustive]
pub enum Rule {
    /// An id that is taken is not created again.
    CreateOnce,
    /// A repeated `create` is known by its token.
    CreateToken,
    /// A tombstone keeps its id from being created again.
    CreateUnderTombstone,
    /// A lease that runs keeps the session from being claimed.
    ClaimWaits,
    /// A session that is at another epoch than the claimant saw is not claimed.
    ClaimSeen,
    /// A sealed session is not claimed.
    ClaimUnsealed,
    /// A claim makes a new epoch.
    ClaimFences,
    /// A claim counts the attempt.
    ClaimCounts,
    /// A repeated `claim` is known by its token.
    ClaimToken,
    /// A claimant is given the request.
    ClaimRequest,
    /// A format that the library doesn't know is refused.
    Format,
    /// Only the owner renews.
    RenewEpoch,
    /// A renewal extends the lease.
    RenewExtends,
    /// A lease of zero gives the session back.
    GiveBack,
    /// An append is compared with the session's epoch.
    AppendEpoch,
    /// An append that is already there is a success, and nothing changes.
    AppendDuplicate,
    /// An append that begins before the end of the log is a conflict.
    AppendConflict,
    /// An append that begins beyond the end of the log is refused.
    AppendRewound,
    /// Nothing follows the terminal event.
    AppendSealed,
    /// An append that is too large for the engine is refused.
    AppendTooLarge,
    /// An append extends the lease.
    AppendExtends,
    /// An append tells of an abort.
    AppendTellsAbort,
    /// What was appended is kept.
    AppendKept,
    /// The tail is that of the last record.
    AppendTail,
    /// An append says whether the session waits.
    AppendWaiting,
    /// An abort is stored.
    AbortStored,
    /// The first abort's reason stays.
    AbortFirst,
    /// A sealed session is not aborted.
    AbortUnsealed,
    /// An answer is stored.
    AnswerStored,
    /// The first answer under a name stays, and another one is told so.
    AnswerFirst,
    /// The same answer again is a success, and is stored once.
    AnswerAgain,
    /// A sealed session takes no answer.
    AnswerUnsealed,
    /// The answers of a session are bounded.
    AnswerFits,
    /// Answers are given in order, after those that are known.
    AnswersAfter,
    /// Answers go with the seal.
    AnswersEnd,
    /// A hold never shortens the retention.
    HoldLengthens,
    /// A hold keeps the session.
    HoldKeeps,
    /// `Released` waits for other servers' holds.
    HoldOthers,
    /// Deleting again is a success.
    DeleteAgain,
    /// A session is kept to the end of its retention.
    ExpiryNotEarly,
    /// A session whose retention is over is gone, swept or not.
    ExpiryExact,
    /// What is gone leaves a tombstone.
    TombstoneStands,
    /// A tombstone runs out.
    TombstoneEnds,
    /// A read after a record that is absent is refused.
    ReadAbsent,
    /// A read after a record of another epoch is refused.
    ReadTag,
    /// A read begins after its position.
    ReadAfter,
    /// A page keeps to its size.
    ReadMax,
    /// A page has at least one record if there is any.
    ReadOne,
    /// A record that can't be read is not passed over.
    #[cfg(feature = "testing")]
    ReadCorrupt,
    /// An append wakes who waits.
    WakeAppend,
    /// An abort wakes who waits.
    WakeAbort,
    /// An answer wakes who waits.
    WakeAnswer,
    /// A claim wakes who waits.
    WakeClaim,
    /// A deletion wakes who waits.
    WakeDelete,
    /// A change from before the wait ends it at once.
    WakeLevel,
    /// A wait ends at its limit.
    WakeWithin,
    /// A wait ends after two seconds.
    WakeCap,
    /// A list is newest first.
    ListOrder,
    /// A list has what its filter asks for, and nothing else.
    ListFilter,
    /// Pages of a list follow one another without a gap or a repetition.
    ListPages,
    /// A session whose lease is over is an orphan, any other is not.
    OrphansOver,
    /// A sealed session is no orphan.
    OrphansUnsealed,
    /// A list of orphans keeps to its limit.
    OrphansLimit,
    /// A sweep keeps to its limit.
    SweepLimit,
    /// A sweep removes only what has expired.
    SweepExpired,
}

#[cfg(feature = "testing")]
impl Rule {
    /// Every rule.
    pub const ALL: &[Self] = &[
        Self::CreateOnce,
        Self::CreateToken,
        Self::CreateUnderTombstone,
        Self::ClaimWaits,
        Self::ClaimSeen,
        Self::ClaimUnsealed,
        Self::ClaimFences,
        Self::ClaimCounts,
        Self::ClaimToken,
        Self::ClaimRequest,
        Self::Format,
        Self::RenewEpoch,
        Self::RenewExtends,
        Self::GiveBack,
        Self::AppendEpoch,
        Self::AppendDuplicate,
        Self::AppendConflict,
        Self::AppendRewound,
        Self::AppendSealed,
        Self::AppendTooLarge,
        Self::AppendExtends,
        Self::AppendTellsAbort,
        Self::AppendKept,
        Self::AppendTail,
        Self::AppendWaiting,
        Self::AbortStored,
        Self::AbortFirst,
        Self::AbortUnsealed,
        Self::AnswerStored,
        Self::AnswerFirst,
        Self::AnswerAgain,
        Self::AnswerUnsealed,
        Self::AnswerFits,
        Self::AnswersAfter,
        Self::AnswersEnd,
        Self::HoldLengthens,
        Self::HoldKeeps,
        Self::HoldOthers,
        Self::DeleteAgain,
        Self::ExpiryNotEarly,
        Self::ExpiryExact,
        Self::TombstoneStands,
        Self::TombstoneEnds,
        Self::ReadAbsent,
        Self::ReadTag,
        Self::ReadAfter,
        Self::ReadMax,
        Self::ReadOne,
        #[cfg(feature = "testing")]
        Self::ReadCorrupt,
        Self::WakeAppend,
        Self::WakeAbort,
        Self::WakeAnswer,
        Self::WakeClaim,
        Self::WakeDelete,
        Self::WakeLevel,
        Self::WakeWithin,
        Self::WakeCap,
        Self::ListOrder,
        Self::ListFilter,
        Self::ListPages,
        Self::OrphansOver,
        Self::OrphansUnsealed,
        Self::OrphansLimit,
        Self::SweepLimit,
        Self::SweepExpired,
    ];
}

/// Which rules hold: all of them, but for those that a test switched off.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Rules {
    #[cfg(feature = "testing")]
    off: u128,
}

impl Rules {
    /// Whether this rule holds.
    #[cfg(feature = "testing")]
    pub(crate) const fn hold(self, rule: Rule) -> bool {
        self.off >> (rule as u8) & 1 == 0
    }

    /// Whether this rule holds.
    #[cfg(not(feature = "testing"))]
    #[expect(clippy::unused_self, reason = "the same shape as with the feature")]
    pub(crate) const fn hold(self, _: Rule) -> bool {
        true
    }

    /// The same without this one.
    #[cfg(feature = "testing")]
    pub(crate) const fn without(self, rule: Rule) -> Self {
        Self {
            off: self.off | 1 << rule as u8,
        }
    }
}
