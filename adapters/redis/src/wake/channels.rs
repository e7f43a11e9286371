use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use super::ChannelWatch;

/// The channels that somebody waits on, or did a moment ago.
#[derive(Debug)]
pub(crate) struct Channels {
    hung: Mutex<ChannelMap>,
    /// Told when there is a channel to subscribe to.
    pub(super) wanted: Notify,
    linger: Duration,
}

#[derive(Debug, Default)]
struct ChannelMap {
    bells: HashMap<String, Channel>,
    // Those that are not subscribed to yet; some may be gone again.
    wanted: Vec<String>,
}

#[derive(Debug)]
struct Channel {
    sender: watch::Sender<ChannelState>,
    waiters: usize,
    // Since when there are no waiters.
    idle: Instant,
}

/// What a waiter hears.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct ChannelState {
    /// Whether the channel is subscribed to.
    pub(super) live: bool,
    /// How often it rang.
    pub(super) rings: u64,
}

impl Channels {
    pub(crate) fn new(linger: Duration) -> Self {
        Self {
            hung: Mutex::default(),
            wanted: Notify::new(),
            linger,
        }
    }

    /// Listens to a channel. It is subscribed to unless it is already.
    pub(crate) fn watch(self: &Arc<Self>, channel: String) -> ChannelWatch {
        let mut hung = self.lock();
        let ChannelMap { bells, wanted } = &mut *hung;
        let bell = bells.entry(channel.clone()).or_insert_with(|| {
            wanted.push(channel.clone());
            self.wanted.notify_one();
            Channel {
                sender: watch::Sender::new(ChannelState::default()),
                waiters: 0,
                idle: Instant::now(),
            }
        });
        bell.waiters += 1;
        ChannelWatch::new(self.clone(), channel, bell.sender.subscribe())
    }

    pub(super) fn leave(&self, channel: &str) {
        if let Some(bell) = self.lock().bells.get_mut(channel) {
            bell.waiters -= 1;
            bell.idle = Instant::now();
        }
    }

    /// Something was published.
    pub(super) fn ring(&self, channel: &str) {
        if let Some(bell) = self.lock().bells.get(channel) {
            bell.sender.send_modify(|heard| heard.rings += 1);
        }
    }

    /// Whether there is a channel to subscribe to.
    pub(super) fn any_wanted(&self) -> bool {
        !self.lock().wanted.is_empty()
    }

    /// Takes the channels that are to be subscribed to.
    pub(super) fn take_wanted(&self) -> Vec<String> {
        let mut hung = self.lock();
        let mut wanted = std::mem::take(&mut hung.wanted);
        wanted.retain(|channel| hung.bells.contains_key(channel));
        wanted
    }

    /// These are subscribed to now.
    pub(super) fn subscribed(&self, channels: &[String]) {
        let hung = self.lock();
        for bell in channels
            .iter()
            .filter_map(|channel| hung.bells.get(channel))
        {
            bell.sender.send_modify(|heard| heard.live = true);
        }
    }

    /// None is subscribed to any more: whoever waits looks again.
    pub(super) fn silence(&self) {
        let mut hung = self.lock();
        hung.bells.retain(|_, bell| bell.waiters > 0);
        for bell in hung.bells.values() {
            bell.sender
                .send_if_modified(|heard| std::mem::take(&mut heard.live));
        }
        hung.wanted = hung.bells.keys().cloned().collect();
    }

    /// Takes out the channels that nobody has waited on for the linger.
    pub(super) fn take_idle(&self) -> Vec<String> {
        let mut idle = Vec::new();
        self.lock().bells.retain(|channel, bell| {
            let keep = bell.waiters > 0 || bell.idle.elapsed() < self.linger;
            if !keep && bell.sender.borrow().live {
                idle.push(channel.clone());
            }
            keep
        });
        idle
    }

    fn lock(&self) -> MutexGuard<'_, ChannelMap> {
        self.hung.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
