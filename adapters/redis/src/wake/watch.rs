use std::sync::Arc;

use tokio::{
    sync::watch::Receiver,
    time::{Instant, timeout_at},
};

use super::channels::{ChannelState, Channels};

/// Somebody who waits on a channel.
#[derive(Debug)]
pub(crate) struct ChannelWatch {
    bells: Arc<Channels>,
    channel: String,
    heard: Receiver<ChannelState>,
}

impl ChannelWatch {
    pub(super) fn new(
        bells: Arc<Channels>,
        channel: String,
        heard: Receiver<ChannelState>,
    ) -> Self {
        Self {
            bells,
            channel,
            heard,
        }
    }

    /// Whether the channel is subscribed to. What is published from now on ends the next
    /// [`rung`](Self::rung).
    pub(crate) fn listen(&mut self) -> bool {
        self.heard.borrow_and_update().live
    }

    /// Waits until the channel is subscribed to. Cancel safe.
    pub(crate) async fn subscribed(&mut self, deadline: Instant) {
        let live = self.heard.wait_for(|heard| heard.live);
        drop(timeout_at(deadline, live).await);
    }

    /// Waits until something is published or the subscription is lost. Cancel safe.
    pub(crate) async fn rung(&mut self, deadline: Instant) {
        drop(timeout_at(deadline, self.heard.changed()).await);
    }
}

impl Drop for ChannelWatch {
    fn drop(&mut self) {
        self.bells.leave(&self.channel);
    }
}
