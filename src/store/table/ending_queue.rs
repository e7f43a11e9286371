use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use crate::log::ServiceName;

/// The endings that wait for their delivery, by service and by the time from which they may be taken.
#[derive(Debug, Default)]
pub(super) struct EndingQueue {
    by_service: HashMap<ServiceName, BTreeSet<(Duration, u64)>>,
    by_number: HashMap<u64, (ServiceName, Duration)>,
}

impl EndingQueue {
    /// Sets the place of the ending of the session with this number. `None` removes it.
    pub(super) fn set(&mut self, number: u64, ending: Option<(ServiceName, Duration)>) {
        if self.by_number.get(&number) == ending.as_ref() {
            return;
        }
        if let Some((service, at)) = self.by_number.remove(&number)
            && let Some(queue) = self.by_service.get_mut(&service)
        {
            queue.remove(&(at, number));
            if queue.is_empty() {
                self.by_service.remove(&service);
            }
        }
        if let Some((service, at)) = ending {
            let queue = self.by_service.entry(service.clone()).or_default();
            queue.insert((at, number));
            self.by_number.insert(number, (service, at));
        }
    }

    /// Returns the numbers of the sessions of a service whose endings may be taken at the time `now`.
    pub(super) fn due(&self, service: &ServiceName, now: Duration) -> impl Iterator<Item = u64> {
        let queue = self.by_service.get(service).into_iter().flatten();
        queue
            .take_while(move |(at, _)| *at <= now)
            .map(|(_, number)| *number)
    }
}
