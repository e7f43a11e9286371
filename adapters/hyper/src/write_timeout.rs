use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

/// A connection that fails once nothing of what is being written to it was taken for so long.
///
/// Writing and flushing wait apart: a socket is flushed at any time, which is no sign of a reader,
/// while a stream that buffers (TLS) takes writes at any time.
#[derive(Debug)]
pub(crate) struct WriteTimeout<I> {
    io: I,
    patience: Duration,
    writing: WriteTimer,
    flushing: WriteTimer,
}

/// Runs while something waits.
#[derive(Debug, Default)]
struct WriteTimer(Option<Pin<Box<Sleep>>>);

impl<I> WriteTimeout<I> {
    pub(crate) fn new(io: I, patience: Duration) -> Self {
        Self {
            io,
            patience,
            writing: WriteTimer::default(),
            flushing: WriteTimer::default(),
        }
    }
}

impl WriteTimer {
    /// What the connection said, or that it has said nothing for too long.
    fn judge<T>(
        &mut self,
        cx: &mut Context<'_>,
        patience: Duration,
        said: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if said.is_ready() {
            self.0 = None;
            return said;
        }
        let timer = self.0.get_or_insert_with(|| Box::pin(sleep(patience)));
        std::task::ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the client took nothing of what was written to it",
        )))
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for WriteTimeout<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for WriteTimeout<I> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write(cx, buf);
        this.writing.judge(cx, this.patience, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write_vectored(cx, bufs);
        this.writing.judge(cx, this.patience, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.io).poll_flush(cx);
        this.flushing.judge(cx, this.patience, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let shut = Pin::new(&mut this.io).poll_shutdown(cx);
        this.flushing.judge(cx, this.patience, shut)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _, duplex},
        time::Instant,
    };

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn a_write_that_nobody_takes_fails_in_time() {
        let (server, _client) = duplex(8);
        let mut server = WriteTimeout::new(server, PATIENCE);
        let began = Instant::now();
        let error = server.write_all(b"more than fits").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(began.elapsed().as_secs(), PATIENCE.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_and_a_long_silence_are_no_failures() {
        let (server, mut client) = duplex(8);
        let mut server = WriteTimeout::new(server, PATIENCE);
        let reader = tokio::spawn(async move {
            let mut read = Vec::new();
            let mut byte = [0];
            while client.read(&mut byte).await.unwrap() > 0 {
                read.push(byte[0]);
                tokio::time::sleep(PATIENCE * 9 / 10).await;
            }
            read
        });
        server.write_all(b"more than fits").await.unwrap();
        tokio::time::sleep(10 * PATIENCE).await;
        server.write_all(b" at once").await.unwrap();
        server.shutdown().await.unwrap();
        drop(server);
        assert_eq!(reader.await.unwrap(), b"more than fits at once");
    }
}
