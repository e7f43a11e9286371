use tokio::sync::{mpsc, oneshot};

use crate::chat::ChatEvent;

// How many events of tools may wait to be taken.
const CAPACITY: usize = 32;

/// Where the tools of a turn put their events; the stream takes them from there.
pub(super) fn event_channel() -> (EventSender, mpsc::Receiver<ToolEvent>) {
    let (sender, receiver) = mpsc::channel(CAPACITY);
    (EventSender { sender }, receiver)
}

#[derive(Debug, Clone)]
pub(super) struct EventSender {
    sender: mpsc::Sender<ToolEvent>,
}

/// An event of a tool, and whom to tell when it is safe in the log.
#[derive(Debug)]
pub(super) struct ToolEvent {
    pub(super) event: ChatEvent,
    pub(super) taken: oneshot::Sender<()>,
}

impl EventSender {
    /// Says it, and waits until whoever takes events has come back for more: then it is stored, if
    /// it is one that [must be](ChatEvent::is_barrier). False if nobody takes it any more.
    #[must_use = "nothing may come of what nobody has heard"]
    pub(super) async fn send(&self, event: impl Into<ChatEvent>) -> bool {
        let (taken, when_taken) = oneshot::channel();
        let event = event.into();
        self.sender.send(ToolEvent { event, taken }).await.is_ok() && when_taken.await.is_ok()
    }

    /// Says it if there is room.
    pub(super) fn try_send(&self, event: impl Into<ChatEvent>) {
        let (taken, _) = oneshot::channel();
        let event = event.into();
        // There will be another.
        let _ = self.sender.try_send(ToolEvent { event, taken });
    }
}
