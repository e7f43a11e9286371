use std::{
    collections::VecDeque,
    future::poll_fn,
    sync::{Mutex, MutexGuard},
    task::{Context, Poll, Waker},
};

use super::WriterCommand;

/// The commands to one writer that it has not taken yet.
///
/// Hardly a session ever gets one, so an empty queue is small: a channel of tokio's has a block of slots.
#[derive(Debug, Default)]
pub(in crate::session) struct CommandQueue(Mutex<QueueState>);

#[derive(Debug, Default)]
struct QueueState {
    commands: VecDeque<WriterCommand>,
    writer: Option<Waker>,
}

impl CommandQueue {
    /// Adds a command. A writer that has ended takes none.
    pub(in crate::session) fn send(&self, command: WriterCommand) {
        let writer = {
            let mut state = self.lock();
            state.commands.push_back(command);
            state.writer.take()
        };
        // Outside of the lock: a waker may run code that takes it.
        if let Some(writer) = writer {
            writer.wake();
        }
    }

    /// Polls for the next command. One task polls.
    pub(in crate::session) fn poll_next(&self, cx: &Context<'_>) -> Poll<WriterCommand> {
        let mut state = self.lock();
        // The waker is registered under the lock under which a command is added, so that none is missed.
        if let Some(command) = state.commands.pop_front() {
            return Poll::Ready(command);
        }
        match &mut state.writer {
            Some(writer) => writer.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    /// Waits for the next command. Cancel safe.
    pub(in crate::session) async fn next(&self) -> WriterCommand {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.0.lock().expect("nothing panics under this lock")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn commands_arrive_in_order_before_and_while_the_writer_waits() {
        let queue = Arc::new(CommandQueue::default());
        queue.send(WriterCommand::Answered(1));
        queue.send(WriterCommand::Answered(2));
        let sender = {
            let queue = queue.clone();
            async move {
                tokio::task::yield_now().await;
                queue.send(WriterCommand::Answered(3));
            }
        };
        let writer = async {
            let mut seen = Vec::new();
            while seen.len() < 3 {
                if let WriterCommand::Answered(count) = queue.next().await {
                    seen.push(count);
                }
            }
            seen
        };
        let (seen, ()) = tokio::join!(writer, sender);
        assert_eq!(seen, [1, 2, 3]);
    }
}
