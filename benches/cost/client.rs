//! A client with little cost of its own: it sends a request and counts bytes.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// The span of time that is measured. It opens once all readers keep up.
#[derive(Debug, Default)]
pub(crate) struct Window {
    from: AtomicU64,
    to: AtomicU64,
}

impl Window {
    pub(crate) fn open(&self) {
        self.from.store(nanoseconds(), SeqCst);
    }

    pub(crate) fn close(&self) {
        self.to.store(nanoseconds(), SeqCst);
    }

    fn is_closed(&self) -> bool {
        self.to.load(SeqCst) > 0
    }

    fn has(&self, time: u64) -> bool {
        let from = self.from.load(SeqCst);
        from > 0 && time >= from
    }
}

pub(crate) struct Answer {
    stream: TcpStream,
    buffer: Vec<u8>,
    // The part of the buffer that is unread body.
    body: std::ops::Range<usize>,
    pub(crate) head: String,
    sent: Instant,
}

/// The figures of a body that was read to its end.
#[derive(Debug)]
pub(crate) struct BodyFigures {
    pub(crate) bytes: usize,
    pub(crate) lines: usize,
    pub(crate) first_byte: Duration,
    pub(crate) whole: Duration,
}

/// Sends a request and waits for the head of the answer.
pub(crate) async fn send(to: SocketAddr, method: &str, path: &str, body: &str) -> Answer {
    let mut stream = TcpStream::connect(to).await.expect("the server listens");
    stream.set_nodelay(true).expect("a socket option");
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    );
    let sent = Instant::now();
    stream
        .write_all(request.as_bytes())
        .await
        .expect("the server reads");
    let mut buffer = vec![0; 256 * 1024];
    let mut filled = 0;
    loop {
        let read = stream
            .read(&mut buffer[filled..])
            .await
            .expect("the server answers");
        assert!(read > 0, "the server hung up");
        filled += read;
        if let Some(at) = find(&buffer[..filled], b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&buffer[..at]).into_owned();
            assert!(head.starts_with("HTTP/1.1 20"), "{head}");
            return Answer {
                stream,
                buffer,
                body: at + 4..filled,
                head,
                sent,
            };
        }
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// Reads a chunked body to its end.
    pub(crate) async fn read(mut self) -> BodyFigures {
        let (mut bytes, mut lines) = (0, 0);
        let mut first_byte = None;
        let mut last = [0; 5];
        while let Some(some) = self.more().await {
            first_byte.get_or_insert_with(|| self.sent.elapsed());
            bytes += some.len();
            lines += count_braces(&self.buffer[some.clone()]);
            let tail = &self.buffer[some.end.saturating_sub(5).max(some.start)..some.end];
            last.rotate_left(tail.len());
            last[5 - tail.len()..].copy_from_slice(tail);
            if last == *b"0\r\n\r\n" {
                break;
            }
        }
        BodyFigures {
            bytes,
            lines,
            first_byte: first_byte.unwrap_or_default(),
            whole: self.sent.elapsed(),
        }
    }

    /// Reads a chunked body of one short chunk.
    pub(crate) async fn text(mut self) -> String {
        let mut all = Vec::new();
        while !all.ends_with(b"0\r\n\r\n") {
            let Some(some) = self.more().await else { break };
            all.extend_from_slice(&self.buffer[some]);
        }
        let all = String::from_utf8_lossy(&all).into_owned();
        all.lines().nth(1).unwrap_or_default().to_owned()
    }

    /// Reads until the window closes. Returns the delay of each event that was made in the window and
    /// carries its time in nanoseconds after the letter `t`.
    pub(crate) async fn delays(mut self, window: Arc<Window>) -> Vec<u64> {
        let mut delays = Vec::new();
        while !window.is_closed() {
            let more = tokio::time::timeout(Duration::from_millis(200), self.more()).await;
            let some = match more {
                Ok(Some(some)) => some,
                Ok(None) => break,
                Err(_) => continue,
            };
            let now = nanoseconds();
            for part in self.buffer[some].split(|byte| *byte == b't') {
                let digits = part.iter().take_while(|byte| byte.is_ascii_digit()).count();
                if digits == 19 {
                    let made = std::str::from_utf8(&part[..digits])
                        .ok()
                        .and_then(|digits| digits.parse().ok());
                    let made = made.filter(|made| window.has(*made));
                    delays.extend(made.map(|made: u64| now.saturating_sub(made)));
                }
            }
        }
        delays
    }

    async fn more(&mut self) -> Option<std::ops::Range<usize>> {
        let body = std::mem::replace(&mut self.body, 0..0);
        if !body.is_empty() {
            return Some(body);
        }
        match self.stream.read(&mut self.buffer).await {
            Ok(0) | Err(_) => None,
            Ok(read) => Some(0..read),
        }
    }
}

fn count_braces(bytes: &[u8]) -> usize {
    bytes.iter().map(|byte| usize::from(*byte == b'}')).sum()
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// Returns the time in nanoseconds, a number of 19 digits.
pub(crate) fn nanoseconds() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
