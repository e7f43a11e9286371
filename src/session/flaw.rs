/// A rule of the registry that a mutation test can switch off, to show that the test would notice.
///
/// Outside tests nothing can switch one off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(
    not(any(test, feature = "testing")),
    allow(
        unreachable_pub,
        dead_code,
        reason = "public only for tests, which alone make them"
    )
)]
pub enum Flaw {
    /// An append that the store did not answer counts as acknowledged.
    TakesSilenceForYes,
    /// A fenced writer seals its own hot log instead of following the new owner's.
    IgnoresFence,
    /// A follower trusts each wake-up to come, and doesn't look again by itself.
    TrustsWakeups,
    /// A reader whose position the store doesn't hold reads on from where the log is.
    ReadsOnAfterRewind,
    /// Dropping the last reader stops the writer.
    StopsWithLastReader,
    /// An abort is confirmed before it is stored.
    ConfirmsAbortEarly,
    /// A start under an id that is taken calls its provider all the same.
    StartsTwice,
    /// A body ends where the log ended when it was opened.
    EndsAtOldTail,
}
