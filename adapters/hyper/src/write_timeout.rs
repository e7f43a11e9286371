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

use crate::response_buffer::ResponseBuffer;

/// A connection that fails once a write has made no progress for the timeout.
///
/// Writing and flushing have separate timers: a socket can always be flushed, whether the client reads
/// or not, while a stream that buffers (TLS) can always be written to.
#[derive(Debug)]
pub(crate) struct WriteTimeout<I> {
    io: I,
    timeout: Duration,
    writing: WriteTimer,
    flushing: WriteTimer,
    // Learns when the connection takes nothing.
    buffer: ResponseBuffer,
}

/// A timer that runs while a write or a flush is pending.
#[derive(Debug, Default)]
struct WriteTimer(Option<Pin<Box<Sleep>>>);

impl<I> WriteTimeout<I> {
    pub(crate) fn new(io: I, timeout: Duration, buffer: ResponseBuffer) -> Self {
        Self {
            io,
            timeout,
            writing: WriteTimer::default(),
            flushing: WriteTimer::default(),
            buffer,
        }
    }

    fn check_write<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        match (self.writing.0.is_some(), written.is_pending()) {
            (false, true) => self.buffer.socket_blocked(),
            (true, false) => self.buffer.socket_free(),
            _ => {}
        }
        self.writing.check(cx, self.timeout, written)
    }
}

impl WriteTimer {
    /// Returns the result of the connection, or an error once it was pending for too long.
    fn check<T>(
        &mut self,
        cx: &mut Context<'_>,
        timeout: Duration,
        result: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.0 = None;
            return result;
        }
        let timer = self.0.get_or_insert_with(|| Box::pin(sleep(timeout)));
        std::task::ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the client read nothing of what was written to it",
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
        this.check_write(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write_vectored(cx, bufs);
        this.check_write(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.io).poll_flush(cx);
        this.flushing.check(cx, this.timeout, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let shut = Pin::new(&mut this.io).poll_shutdown(cx);
        this.flushing.check(cx, this.timeout, shut)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _, duplex},
        time::Instant,
    };

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(60);

    fn watched<I>(io: I) -> WriteTimeout<I> {
        WriteTimeout::new(io, TIMEOUT, ResponseBuffer::new(0, TIMEOUT))
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_is_never_read_fails_after_the_timeout() {
        let (server, _client) = duplex(8);
        let mut server = watched(server);
        let began = Instant::now();
        let error = server.write_all(b"more than fits").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(began.elapsed().as_secs(), TIMEOUT.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_and_a_long_pause_are_no_failures() {
        let (server, mut client) = duplex(8);
        let mut server = watched(server);
        let reader = tokio::spawn(async move {
            let mut read = Vec::new();
            let mut byte = [0];
            while client.read(&mut byte).await.unwrap() > 0 {
                read.push(byte[0]);
                tokio::time::sleep(TIMEOUT * 9 / 10).await;
            }
            read
        });
        server.write_all(b"more than fits").await.unwrap();
        tokio::time::sleep(10 * TIMEOUT).await;
        server.write_all(b" at once").await.unwrap();
        server.shutdown().await.unwrap();
        drop(server);
        assert_eq!(reader.await.unwrap(), b"more than fits at once");
    }
}
