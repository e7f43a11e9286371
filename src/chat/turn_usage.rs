use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::Usage;

/// The usage of the turn that the model is in, as far as its server has told it.
///
/// Some servers tell the usage while they answer. A provider reports it here, so that an answer that ends
/// in the middle of a turn (it was stopped, took too long, met a limit, or its provider panicked) ends with
/// it, added to the usage of the turns that are over. Once the turn is over, the usage of its
/// [`TurnEnd`](super::TurnEnd) or [`Complete`](super::Complete) counts instead. Where that has none, the
/// last report does.
///
/// Clones report to the same place; the default reports to none.
///
/// ```
/// use unbroken::chat::{ChatRequest, TurnUsage, Usage};
///
/// let mut request = ChatRequest::from_user("Hi");
/// request.turn_usage = TurnUsage::new(); // as the session's source does
/// let in_the_provider = request.turn_usage.clone();
/// assert_eq!(request.turn_usage.known(), None);
/// in_the_provider.report(&Usage::new(20, 1));
/// in_the_provider.report(&Usage::new(20, 2));
/// assert_eq!(request.turn_usage.known(), Some(Usage::new(20, 2)));
/// ```
#[derive(Clone, Default)]
pub struct TurnUsage {
    cell: Option<Arc<Mutex<Option<Usage>>>>,
}

impl TurnUsage {
    /// Creates a place to which nothing has been reported.
    pub fn new() -> Self {
        Self {
            cell: Some(Arc::default()),
        }
    }

    /// Sets the usage of the turn so far. It replaces what was reported before: it is a total, not a
    /// difference.
    pub fn report(&self, usage: &Usage) {
        if let Some(mut told) = self.lock()
            && told.as_ref() != Some(usage)
        {
            *told = Some(usage.clone());
        }
    }

    /// Returns the usage that was reported last. `None` if there was none in this turn, or if nothing is
    /// kept.
    pub fn known(&self) -> Option<Usage> {
        self.lock()?.clone()
    }

    /// Forgets the usage: its turn is over. For layers that call the model several times for one answer;
    /// the layers of this crate do it.
    pub fn clear(&self) {
        if let Some(mut told) = self.lock() {
            *told = None;
        }
    }

    // A provider may have panicked, but not under this lock.
    fn lock(&self) -> Option<MutexGuard<'_, Option<Usage>>> {
        let cell = self.cell.as_ref()?;
        Some(cell.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for TurnUsage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TurnUsage").field(&self.known()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_report_of_any_clone_counts_until_it_is_cleared() {
        let usage = TurnUsage::new();
        assert_eq!(usage.known(), None);
        usage.clone().report(&Usage::new(3, 1));
        usage.report(&Usage::new(3, 2));
        assert_eq!(usage.clone().known(), Some(Usage::new(3, 2)));
        usage.clone().clear();
        assert_eq!(usage.known(), None);
    }

    #[test]
    fn the_default_keeps_nothing() {
        let usage = TurnUsage::default();
        usage.report(&Usage::new(3, 1));
        assert_eq!(usage.known(), None);
    }
}
