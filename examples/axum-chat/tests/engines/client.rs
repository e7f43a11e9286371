use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
    time::Duration,
};

use serde_json::Value;

/// Longer than anything here takes; a read that waits for it has failed.
const SOON: Duration = Duration::from_secs(60);

/// An answer of the example: its head, and its body as it comes.
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: Vec<(String, String)>,
    body: BufReader<Body>,
}

/// A server-sent event.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    /// The cursor to resume from, unless it is a notice.
    pub(crate) id: Option<String>,
    pub(crate) data: Value,
}

/// How a body ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Whole,
    Cut,
}

impl Answer {
    pub(crate) fn to(address: &str, head: &str, body: &str) -> Self {
        let mut stream = TcpStream::connect(address).expect("the example listens");
        stream.set_read_timeout(Some(SOON)).expect("not zero");
        let length = body.len();
        write!(
            stream,
            "{head}\r\nhost: {address}\r\nconnection: close\r\naccept: text/event-stream\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        )
        .expect("it reads");
        let mut from = BufReader::new(stream);
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            let count = from.read_line(&mut line).expect("a head in time");
            assert_ne!(count, 0, "cut in the head: {lines:?}");
            match line.trim_end() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let status = lines.remove(0);
        let status = status.split(' ').nth(1).and_then(|it| it.parse().ok());
        let head: Vec<_> = lines
            .iter()
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let of = |name: &str| head.iter().find(|it| it.0 == name).map(|it| &it.1);
        let length = of("content-length").and_then(|it| it.parse().ok());
        let body = Body {
            from,
            left: length.unwrap_or(0),
            chunked: of("transfer-encoding").is_some(),
        };
        Self {
            status: status.expect("a status"),
            head,
            body: BufReader::new(body),
        }
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self.head.iter().find(|it| it.0 == name);
        &found
            .unwrap_or_else(|| panic!("no {name}: {:?}", self.head))
            .1
    }

    /// The body of a refusal.
    pub(crate) fn problem(mut self) -> Value {
        let mut text = String::new();
        self.body.read_to_string(&mut text).expect("a whole body");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// The next event.
    pub(crate) fn next(&mut self) -> Result<Event, End> {
        let (mut id, mut data) = (None, None);
        loop {
            let mut line = String::new();
            match self.body.read_line(&mut line) {
                Ok(0) => return Err(End::Whole),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    panic!("nothing came for {SOON:?}")
                }
                Err(_) => return Err(End::Cut),
            }
            let line = line.trim_end();
            if let Some(value) = line.strip_prefix("id: ") {
                id = Some(value.to_owned());
            } else if let Some(value) = line.strip_prefix("data: ") {
                data = Some(serde_json::from_str(value).expect("JSON"));
            } else if let (true, Some(data)) = (line.is_empty(), data.take()) {
                return Ok(Event { id, data });
            }
        }
    }

    /// The next so many.
    pub(crate) fn take(&mut self, count: usize) -> Vec<Event> {
        let next = |_| self.next().expect("it goes on");
        (0..count).map(next).collect()
    }

    pub(crate) fn rest(mut self) -> (Vec<Event>, End) {
        let mut events = Vec::new();
        loop {
            match self.next() {
                Ok(event) => events.push(event),
                Err(end) => return (events, end),
            }
        }
    }
}

impl Event {
    pub(crate) fn kind(&self) -> &str {
        self.data["type"].as_str().expect("a type")
    }

    pub(crate) fn lsn(&self) -> Option<usize> {
        let (lsn, _) = self.id.as_ref()?.split_once('.')?;
        Some(lsn.parse().expect("a number"))
    }

    pub(crate) fn is_terminal(&self) -> bool {
        ["complete", "aborted", "error"].contains(&self.kind())
    }
}

/// The words of these events.
pub(crate) fn text(events: &[Event]) -> String {
    let texts = events.iter().filter(|event| event.kind() == "text");
    texts.filter_map(|it| it.data["content"].as_str()).collect()
}

/// Each event has the LSN after the one before.
pub(crate) fn assert_in_order(events: &[Event]) {
    for (event, expected) in events.iter().zip(1..) {
        assert_eq!(event.lsn(), Some(expected), "{event:?}");
    }
}

/// A body by its length or in chunks; one that ends too soon is an error.
struct Body {
    from: BufReader<TcpStream>,
    // Of the chunk, if there are some.
    left: usize,
    chunked: bool,
}

impl Read for Body {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 && self.chunked {
            let mut size = String::new();
            self.from.read_line(&mut size)?;
            let size = usize::from_str_radix(size.trim_end(), 16);
            self.left = size.map_err(|_| io::ErrorKind::UnexpectedEof)?;
            if self.left == 0 {
                self.chunked = false;
            }
        }
        if self.left == 0 {
            return Ok(0);
        }
        let most = self.left.min(out.len());
        let count = self.from.read(&mut out[..most])?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= count;
        if self.left == 0 && self.chunked {
            self.from.read_exact(&mut [0; 2])?;
        }
        Ok(count)
    }
}
