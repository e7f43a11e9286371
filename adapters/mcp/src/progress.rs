use std::time::Duration;

/// The time from one step to the next that is passed on.
pub(crate) const PAUSE: Duration = Duration::from_millis(100);
/// The maximum length of a step's text in bytes of UTF-8.
pub(crate) const TEXT_BYTES: usize = 1024;

/// A step of a call, as its server reports it.
#[derive(Debug, PartialEq)]
pub(crate) struct Step {
    pub(crate) message: Option<String>,
    pub(crate) done: f64,
    pub(crate) total: Option<f64>,
}

/// The progress of one call. Of steps that come fast, the newest is passed on.
pub(crate) struct CallProgress {
    // The last one that came: notifications may overtake each other.
    done: f64,
    waiting: Option<Step>,
    // True while somebody passes steps on.
    passed_on: bool,
}

impl CallProgress {
    pub(crate) fn new() -> Self {
        Self {
            done: f64::NEG_INFINITY,
            waiting: None,
            passed_on: false,
        }
    }

    /// Takes a step, unless there was a later one. Returns true if the caller has to pass steps on
    /// until none is left.
    pub(crate) fn put(&mut self, step: Step) -> bool {
        if step.done < self.done {
            return false;
        }
        self.done = step.done;
        self.waiting = Some(step);
        !std::mem::replace(&mut self.passed_on, true)
    }

    /// Returns the step to pass on.
    pub(crate) fn next(&mut self) -> Option<Step> {
        let next = self.waiting.take();
        self.passed_on = next.is_some();
        next
    }

    /// Returns the last step of a call that is over.
    pub(crate) fn last(&mut self) -> Option<Step> {
        self.waiting.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(done: f64) -> Step {
        Step {
            message: None,
            done,
            total: None,
        }
    }

    #[test]
    fn of_steps_that_come_fast_the_newest_is_passed_on() {
        let mut progress = CallProgress::new();
        assert!(progress.put(step(1.0)));
        assert_eq!(progress.next(), Some(step(1.0)));
        // While the first pause lasts.
        for done in 2_u32..1000 {
            assert!(!progress.put(step(done.into())));
        }
        assert!(!progress.put(step(3.0)), "it was overtaken");
        assert_eq!(progress.next(), Some(step(999.0)));
        assert_eq!(progress.next(), None);
        assert!(progress.put(step(1000.0)), "somebody else passes on");
        assert_eq!(progress.last(), Some(step(1000.0)));
        assert_eq!(progress.next(), None);
    }
}
