use std::task::Waker;

/// The wakers of waiting readers, by slot, so that a reader that polls again replaces its own.
#[derive(Debug, Default)]
pub(super) struct Wakers {
    slots: Vec<Option<Waker>>,
    free: Vec<usize>,
    waiting: usize,
}

/// The wakers to wake. Most sessions have one reader, whose waker needs no list.
#[derive(Debug, Default)]
#[must_use = "the readers wait until they are woken"]
pub(super) struct TakenWakers {
    first: Option<Waker>,
    rest: Vec<Waker>,
}

impl TakenWakers {
    pub(super) fn wake(self) {
        self.first
            .into_iter()
            .chain(self.rest)
            .for_each(Waker::wake);
    }
}

impl Wakers {
    pub(super) fn open(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        })
    }

    pub(super) fn close(&mut self, slot: usize) {
        if self.slots[slot].take().is_some() {
            self.waiting -= 1;
        }
        self.free.push(slot);
    }

    pub(super) fn register(&mut self, slot: usize, waker: &Waker) {
        match &mut self.slots[slot] {
            Some(registered) => registered.clone_from(waker),
            empty => {
                *empty = Some(waker.clone());
                self.waiting += 1;
            }
        }
    }

    /// Takes the wakers. The caller must release the lock before it wakes them, since a waker may run
    /// code that takes the lock.
    pub(super) fn take(&mut self) -> TakenWakers {
        if self.waiting == 0 {
            return TakenWakers::default();
        }
        self.waiting = 0;
        let mut taken = self.slots.iter_mut().filter_map(Option::take);
        TakenWakers {
            first: taken.next(),
            rest: taken.collect(),
        }
    }

    /// Returns the number of registered wakers.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Returns the number of open slots.
    pub(super) fn open_slots(&self) -> usize {
        self.slots.len() - self.free.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_waker_of_a_closed_slot_is_gone_and_the_slot_is_opened_again() {
        let mut wakers = Wakers::default();
        let (closed, other) = (wakers.open(), wakers.open());
        wakers.register(closed, Waker::noop());
        wakers.register(other, Waker::noop());
        wakers.close(closed);
        assert_eq!((wakers.waiting(), wakers.open_slots()), (1, 1));
        assert_eq!(wakers.open(), closed);
        let taken = wakers.take();
        assert!(taken.first.is_some() && taken.rest.is_empty());
    }
}
