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

/// The channels that have waiters, or had some until a moment ago.
#[derive(Debug)]
pub(crate) struct Channels {
    map: Mutex<ChannelMap>,
    /// Notified when there is a channel to subscribe to.
    pub(super) wanted: Notify,
    linger: Duration,
}

#[derive(Debug, Default)]
struct ChannelMap {
    channels: HashMap<String, Channel>,
    // Channels that are not subscribed to yet; some may have been removed since.
    wanted: Vec<String>,
}

#[derive(Debug)]
struct Channel {
    sender: watch::Sender<ChannelState>,
    waiters: usize,
    // The time at which the last waiter left.
    idle: Instant,
}

/// The state of a channel, as its waiters see it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct ChannelState {
    /// True if the channel is subscribed to.
    pub(super) subscribed: bool,
    /// The number of messages that came.
    pub(super) published: u64,
}

impl Channels {
    pub(crate) fn new(linger: Duration) -> Self {
        Self {
            map: Mutex::default(),
            wanted: Notify::new(),
            linger,
        }
    }

    /// Adds a waiter to a channel, and asks for a subscription unless there is one.
    pub(crate) fn watch(self: &Arc<Self>, name: String) -> ChannelWatch {
        let mut map = self.lock();
        let ChannelMap { channels, wanted } = &mut *map;
        let channel = channels.entry(name.clone()).or_insert_with(|| {
            wanted.push(name.clone());
            self.wanted.notify_one();
            Channel {
                sender: watch::Sender::new(ChannelState::default()),
                waiters: 0,
                idle: Instant::now(),
            }
        });
        channel.waiters += 1;
        ChannelWatch::new(self.clone(), name, channel.sender.subscribe())
    }

    pub(super) fn unwatch(&self, name: &str) {
        if let Some(channel) = self.lock().channels.get_mut(name) {
            channel.waiters -= 1;
            channel.idle = Instant::now();
        }
    }

    /// Wakes the waiters of a channel.
    pub(super) fn publish(&self, name: &str) {
        if let Some(channel) = self.lock().channels.get(name) {
            channel.sender.send_modify(|state| state.published += 1);
        }
    }

    /// Returns true if there is a channel to subscribe to.
    pub(super) fn any_wanted(&self) -> bool {
        !self.lock().wanted.is_empty()
    }

    /// Takes the names of the channels to subscribe to.
    pub(super) fn take_wanted(&self) -> Vec<String> {
        let mut map = self.lock();
        let mut wanted = std::mem::take(&mut map.wanted);
        wanted.retain(|name| map.channels.contains_key(name));
        wanted
    }

    /// Marks these channels as subscribed to.
    pub(super) fn set_subscribed(&self, names: &[String]) {
        let map = self.lock();
        for channel in names.iter().filter_map(|name| map.channels.get(name)) {
            channel.sender.send_modify(|state| state.subscribed = true);
        }
    }

    /// Marks all channels as no longer subscribed to, and wakes their waiters.
    pub(super) fn unsubscribe_all(&self) {
        let mut map = self.lock();
        map.channels.retain(|_, channel| channel.waiters > 0);
        for channel in map.channels.values() {
            channel
                .sender
                .send_if_modified(|state| std::mem::take(&mut state.subscribed));
        }
        map.wanted = map.channels.keys().cloned().collect();
    }

    /// Takes the channels without a waiter for the linger time. Returns those that are subscribed to.
    pub(super) fn take_idle(&self) -> Vec<String> {
        let mut idle = Vec::new();
        self.lock().channels.retain(|name, channel| {
            let keep = channel.waiters > 0 || channel.idle.elapsed() < self.linger;
            if !keep && channel.sender.borrow().subscribed {
                idle.push(name.clone());
            }
            keep
        });
        idle
    }

    fn lock(&self) -> MutexGuard<'_, ChannelMap> {
        self.map.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
