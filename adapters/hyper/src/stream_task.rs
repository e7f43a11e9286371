use std::{
    pin::Pin,
    task::{Context, Poll},
};

use hyper::rt::Executor;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::response_buffer::{ResponseBuffer, ResponseStream};

/// An executor of the tasks of one connection, which ends streams whose client takes nothing.
#[derive(Debug, Clone)]
pub(crate) struct StreamExecutor(pub(crate) ResponseBuffer);

impl<F> Executor<F> for StreamExecutor
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        // hyper spawns the task of a stream right after it has called the service.
        match self.0.take_called() {
            Some(stream) => {
                tokio::spawn(StreamTask {
                    future: Some(future),
                    stream: OpenStream(stream),
                    timer: None,
                });
            }
            None => {
                tokio::spawn(future);
            }
        }
    }
}

pin_project! {
    /// The task of a stream. Dropping hyper's future resets the stream.
    struct StreamTask<F> {
        #[pin]
        future: Option<F>,
        stream: OpenStream,
        // May fire early, never late.
        timer: Option<Pin<Box<Sleep>>>,
    }
}

/// Closes a stream when it is dropped.
#[derive(Debug)]
struct OpenStream(ResponseStream);

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl<F: Future<Output = ()>> Future for StreamTask<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        let Some(future) = this.future.as_mut().as_pin_mut() else {
            return Poll::Ready(());
        };
        if future.poll(cx).is_ready() {
            return Poll::Ready(());
        }
        while let Some(deadline) = this.stream.0.deadline(cx) {
            if deadline <= Instant::now() {
                tracing::debug!("resetting a stream whose client takes nothing of it");
                this.future.set(None);
                return Poll::Ready(());
            }
            let timer = this
                .timer
                .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
            if timer.is_elapsed() || timer.deadline() > deadline {
                timer.as_mut().reset(deadline);
            }
            if timer.as_mut().poll(cx).is_pending() {
                break;
            }
        }
        Poll::Pending
    }
}
