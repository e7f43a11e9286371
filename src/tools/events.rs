use tokio::sync::{mpsc, oneshot};

use crate::chat::ChatEvent;

// The maximum number of events of tools that wait for the stream.
const CAPACITY: usize = 32;

/// Creates the channel from the tools of a turn to the stream.
pub(super) fn event_channel() -> (EventSender, mpsc::Receiver<ToolEvent>) {
    let (sender, receiver) = mpsc::channel(CAPACITY);
    (EventSender { sender }, receiver)
}

#[derive(Debug, Clone)]
pub(super) struct EventSender {
    sender: mpsc::Sender<ToolEvent>,
}

/// An event of a tool. `taken` completes once it is safe in the log.
#[derive(Debug)]
pub(super) struct ToolEvent {
    pub(super) event: ChatEvent,
    pub(super) taken: oneshot::Sender<()>,
}

impl EventSender {
    /// Sends an event, and waits until the stream is polled again: then the event is stored, if it
    /// is a [barrier](ChatEvent::is_barrier). Returns false if the answer has ended.
    #[must_use = "no effect may follow from an event that was not stored"]
    pub(super) async fn send(&self, event: impl Into<ChatEvent>) -> bool {
        let (taken, when_taken) = oneshot::channel();
        let event = event.into();
        self.sender.send(ToolEvent { event, taken }).await.is_ok() && when_taken.await.is_ok()
    }

    /// Sends an event if there is room.
    pub(super) fn try_send(&self, event: impl Into<ChatEvent>) {
        let (taken, _) = oneshot::channel();
        let event = event.into();
        // Progress may be lost: newer progress replaces it.
        let _ = self.sender.try_send(ToolEvent { event, taken });
    }
}
