use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

/// The time since a request's model server was last heard.
///
/// A server may send bytes for minutes before it sends an event: pings, empty deltas, pieces of a
/// call. A provider reports them by [`heard`](Self::heard), so that
/// [`Limits::idle`](field@crate::session::Limits::idle) counts from the last bytes and not from the
/// last event. An event is a sign of life by itself. Clones report to the same clock; the default
/// reports to none.
///
/// ```
/// use unbroken::chat::{ChatRequest, Liveness};
///
/// let mut request = ChatRequest::from_user("Hi");
/// request.liveness = Liveness::new(); // as the session's source does
/// let in_the_provider = request.liveness.clone();
/// assert_eq!(request.liveness.silence(), None);
/// in_the_provider.heard();
/// assert!(request.liveness.silence().is_some());
/// ```
#[derive(Clone, Default)]
pub struct Liveness {
    clock: Option<Arc<LivenessClock>>,
}

struct LivenessClock {
    start: Instant,
    // Microseconds after `start`, plus one. Zero until something is heard.
    heard: AtomicU64,
    ended: AtomicBool,
}

impl Liveness {
    /// Creates a clock on which nothing has been heard.
    pub fn new() -> Self {
        Self {
            clock: Some(Arc::new(LivenessClock {
                start: Instant::now(),
                heard: AtomicU64::new(0),
                ended: AtomicBool::new(false),
            })),
        }
    }

    /// Records that something came from the model's server now.
    pub fn heard(&self) {
        if let Some(clock) = &self.clock {
            let micros = clock.start.elapsed().as_micros();
            let heard = u64::try_from(micros).unwrap_or(u64::MAX - 1) + 1;
            clock.heard.fetch_max(heard, Ordering::Relaxed);
        }
    }

    /// Returns the time since the server was last heard. `None` if it wasn't heard yet, or if nothing
    /// is recorded.
    pub fn silence(&self) -> Option<Duration> {
        let clock = self.clock.as_ref()?;
        let heard = clock.heard.load(Ordering::Relaxed).checked_sub(1)?;
        let at = clock.start + Duration::from_micros(heard);
        Some(at.elapsed())
    }

    /// Records that the answer ends here, before its stream is dropped: it was stopped, or a limit was reached.
    pub fn end(&self) {
        if let Some(clock) = &self.clock {
            clock.ended.store(true, Ordering::Relaxed);
        }
    }

    /// Returns true if another server may read the answer on once its stream is dropped here: a session that
    /// didn't [end](Self::end) goes to its next owner. False for the default, which no session keeps.
    ///
    /// A provider that leaves work behind at its model's server asks when its stream is dropped.
    pub fn may_go_on(&self) -> bool {
        let clock = self.clock.as_ref();
        clock.is_some_and(|clock| !clock.ended.load(Ordering::Relaxed))
    }
}

impl fmt::Debug for Liveness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Liveness")
            .field("silence", &self.silence())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn silence_counts_from_what_was_heard_last_on_any_clone() {
        let liveness = Liveness::new();
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(liveness.silence(), None);
        liveness.clone().heard();
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(liveness.silence(), Some(Duration::from_secs(3)));
        liveness.heard();
        assert_eq!(liveness.silence(), Some(Duration::ZERO));
    }

    #[test]
    fn an_answer_may_go_on_elsewhere_unless_it_ends_or_has_no_session() {
        let liveness = Liveness::new();
        assert!(liveness.may_go_on());
        liveness.clone().end();
        assert!(!liveness.may_go_on());
        assert!(!Liveness::default().may_go_on());
    }

    #[test]
    fn the_default_records_nothing() {
        let liveness = Liveness::default();
        liveness.heard();
        assert_eq!(liveness.silence(), None);
    }
}
