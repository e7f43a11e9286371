use std::sync::Arc;

use tokio::{
    sync::watch::Receiver,
    time::{Instant, timeout_at},
};

use super::channels::{ChannelState, Channels};

/// A waiter on a channel.
#[derive(Debug)]
pub(crate) struct ChannelWatch {
    channels: Arc<Channels>,
    name: String,
    state: Receiver<ChannelState>,
}

impl ChannelWatch {
    pub(super) fn new(
        channels: Arc<Channels>,
        name: String,
        state: Receiver<ChannelState>,
    ) -> Self {
        Self {
            channels,
            name,
            state,
        }
    }

    /// Returns true if the channel is subscribed to. A message that is published after this call ends
    /// the next [`published`](Self::published).
    pub(crate) fn listen(&mut self) -> bool {
        self.state.borrow_and_update().subscribed
    }

    /// Waits until the channel is subscribed to. Cancel safe.
    pub(crate) async fn subscribed(&mut self, deadline: Instant) {
        let subscribed = self.state.wait_for(|state| state.subscribed);
        drop(timeout_at(deadline, subscribed).await);
    }

    /// Waits until a message is published or the subscription is lost. Cancel safe.
    pub(crate) async fn published(&mut self, deadline: Instant) {
        drop(timeout_at(deadline, self.state.changed()).await);
    }
}

impl Drop for ChannelWatch {
    fn drop(&mut self) {
        self.channels.unwatch(&self.name);
    }
}
