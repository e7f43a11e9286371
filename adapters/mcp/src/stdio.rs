//! A server that is a program.

use std::{
    io,
    pin::Pin,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use rmcp::{RoleClient, transport::async_rw::AsyncRwTransport};
#[cfg(unix)]
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncRead, ReadBuf},
    process::{Child, ChildStdin, ChildStdout, Command},
    sync::oneshot,
};

/// The time that a program has to end after its input has ended.
const END_WITHIN: Duration = Duration::from_secs(3);

pub(crate) type StdioTransport =
    AsyncRwTransport<RoleClient, BoundedLines<ChildStdout>, ChildStdin>;

/// A running program. Dropping it lets the program end: it is killed if it doesn't.
pub(crate) struct Program {
    _ends: oneshot::Sender<()>,
}

/// Starts the program.
pub(crate) fn start(
    command: &mut Command,
    message_bytes: usize,
    overflowed: &Arc<AtomicBool>,
) -> io::Result<(StdioTransport, Program)> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    #[cfg(unix)]
    command.process_group(0);
    // If the runtime ends, nothing else would end it.
    let mut child = command.kill_on_drop(true).spawn()?;
    let missing = || io::Error::other("the program has no standard input or output");
    let stdin = child.stdin.take().ok_or_else(missing)?;
    let stdout = child.stdout.take().ok_or_else(missing)?;
    let (ends, ended) = oneshot::channel();
    tokio::spawn(supervise(child, ended));
    let lines = BoundedLines {
        inner: stdout,
        most: message_bytes,
        line: 0,
        overflowed: Arc::clone(overflowed),
    };
    // The transport would leave a line that is too long out, and its call would wait for ever.
    let transport = AsyncRwTransport::new_client(lines, stdin).with_max_line_length(usize::MAX);
    Ok((transport, Program { _ends: ends }))
}

async fn supervise(mut child: Child, ended: oneshot::Receiver<()>) {
    // Also if the runtime ends: dropping it kills the group.
    #[cfg(unix)]
    let group = ProcessGroup::of(&child);
    tokio::select! {
        _ = child.wait() => {}
        _ = ended => {
            let _ = tokio::time::timeout(END_WITHIN, child.wait()).await;
        }
    }
    // A program like npx isn't the server, but starts it.
    #[cfg(unix)]
    drop(group);
    if child.id().is_some()
        && let Err(error) = child.kill().await
    {
        tracing::warn!(%error, "the program of an MCP server can't be killed");
    }
}

/// The processes that a program has started, and itself. Dropping it kills them.
#[cfg(unix)]
struct ProcessGroup(Option<Pid>);

#[cfg(unix)]
impl ProcessGroup {
    fn of(child: &Child) -> Self {
        let leader = child.id().and_then(|id| i32::try_from(id).ok());
        Self(leader.and_then(Pid::from_raw))
    }
}

#[cfg(unix)]
impl Drop for ProcessGroup {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            let _ = kill_process_group(group, Signal::KILL); // all may have ended
        }
    }
}

/// A reader of lines that fails at one that is too long.
pub(crate) struct BoundedLines<R> {
    inner: R,
    most: usize,
    // The bytes of the line that isn't over.
    line: usize,
    overflowed: Arc<AtomicBool>,
}

impl<R> AsyncRead for BoundedLines<R>
where
    R: AsyncRead + Unpin,
{
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buffer))?;
        let mut line = self.line;
        for piece in buffer.filled()[before..].split_inclusive(|byte| *byte == b'\n') {
            line += piece.len();
            if line > self.most {
                self.overflowed.store(true, Ordering::Release);
                return Poll::Ready(Err(io::Error::other("a message over the limit")));
            }
            if piece.ends_with(b"\n") {
                line = 0;
            }
        }
        self.line = line;
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn a_line_over_the_limit_is_an_error_and_many_lines_are_none() {
        async fn read(text: &'static str) -> (bool, bool) {
            let overflowed = Arc::new(AtomicBool::new(false));
            let mut lines = BoundedLines {
                inner: text.as_bytes(),
                most: 8,
                line: 0,
                overflowed: Arc::clone(&overflowed),
            };
            // Two bytes at a time, so that lines come in pieces.
            let mut bytes = [0; 2];
            let failed = loop {
                match lines.read(&mut bytes).await {
                    Ok(0) => break false,
                    Ok(_) => {}
                    Err(_) => break true,
                }
            };
            (failed, overflowed.load(Ordering::Acquire))
        }
        assert_eq!(read("1234567\n1234567\n1234567\n").await, (false, false));
        assert_eq!(read("1234567\n12345678\n").await, (true, true));
    }
}
