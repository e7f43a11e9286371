use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
    time::Duration,
};

use serde_json::Value;

/// The time after which a read counts as failed.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A response of the example, whose body is read event by event.
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: Vec<(String, String)>,
    body: BufReader<Body>,
}

/// A server-sent event.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    /// The cursor. Absent in a notice.
    pub(crate) id: Option<String>,
    pub(crate) data: Value,
}

/// The end of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Clean,
    Cut,
}

impl Answer {
    pub(crate) fn to(address: &str, head: &str, body: &str) -> Self {
        let mut stream = TcpStream::connect(address).expect("the example listens");
        stream.set_read_timeout(Some(TIMEOUT)).expect("not zero");
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

    /// Reads the body of a refusal.
    pub(crate) fn problem(mut self) -> Value {
        let mut text = String::new();
        self.body.read_to_string(&mut text).expect("a whole body");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// Reads the next event.
    pub(crate) fn next(&mut self) -> Result<Event, End> {
        let (mut id, mut data) = (None, None);
        loop {
            let mut line = String::new();
            match self.body.read_line(&mut line) {
                Ok(0) => return Err(End::Clean),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    panic!("nothing came for {TIMEOUT:?}")
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

    /// Reads the next events.
    pub(crate) fn take(&mut self, count: usize) -> Vec<Event> {
        let next = |_| self.next().expect("another event");
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

/// Returns the text of these events.
pub(crate) fn text(events: &[Event]) -> String {
    let texts = events.iter().filter(|event| event.kind() == "text");
    texts.filter_map(|it| it.data["content"].as_str()).collect()
}

/// Checks that LSNs follow one another from 1.
pub(crate) fn assert_in_order(events: &[Event]) {
    for (event, expected) in events.iter().zip(1..) {
        assert_eq!(event.lsn(), Some(expected), "{event:?}");
    }
}

/// A body with a length or in chunks. An early end is an error.
struct Body {
    from: BufReader<TcpStream>,
    // Bytes left of the body, or of the current chunk.
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
