//! A strict decoder of streams: anything that the protocol does not allow is an error.

use bytes::{Buf, BytesMut};
use serde_json::Value;

use crate::report::{CaseStop, ensure};

/// An event as a client receives it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ReceivedEvent {
    pub(super) lsn: u64,
    /// The value that an `EventSource` sends back to resume.
    pub(super) cursor: String,
    pub(super) value: Value,
}

impl ReceivedEvent {
    pub(super) fn kind(&self) -> &str {
        self.value["type"].as_str().unwrap_or_default()
    }

    pub(super) fn is_terminal(&self) -> bool {
        matches!(self.kind(), "complete" | "aborted" | "error")
    }
}

/// One item of a stream.
#[derive(Debug)]
pub(super) enum StreamItem {
    Event(ReceivedEvent),
    /// An event without LSN, which says that the store is unavailable.
    Notice,
    Heartbeat,
    /// The `retry` field at the beginning of server-sent events.
    Retry,
}

/// A decoder for one of the stream encodings.
#[derive(Debug)]
pub(super) enum StreamDecoder {
    Ndjson,
    Sse { began: bool },
}

impl StreamDecoder {
    pub(super) fn of(content_type: &str) -> Option<Self> {
        match content_type {
            "application/x-ndjson" => Some(Self::Ndjson),
            "text/event-stream" => Some(Self::Sse { began: false }),
            _ => None,
        }
    }

    /// Takes the next item, if it has arrived in full.
    pub(super) fn decode(&mut self, bytes: &mut BytesMut) -> Result<Option<StreamItem>, CaseStop> {
        let end: &[u8] = match self {
            Self::Ndjson => b"\n",
            Self::Sse { .. } => b"\n\n",
        };
        let Some(at) = bytes.windows(end.len()).position(|window| window == end) else {
            return Ok(None);
        };
        let block = bytes.split_to(at);
        bytes.advance(end.len());
        let text = std::str::from_utf8(&block)
            .map_err(|error| CaseStop::Failed(format!("the stream is not UTF-8: {error}")))?;
        let item = match self {
            Self::Ndjson => ndjson(text)?,
            Self::Sse { began } if !*began => {
                ensure!(
                    text == "retry: 1000",
                    "server-sent events begin with {text:?} instead of `retry: 1000`"
                );
                *began = true;
                StreamItem::Retry
            }
            Self::Sse { .. } => sse(text)?,
        };
        Ok(Some(item))
    }
}

fn ndjson(line: &str) -> Result<StreamItem, CaseStop> {
    if line.is_empty() {
        return Ok(StreamItem::Heartbeat);
    }
    let Value::Object(mut line) = json(line)? else {
        return Err(CaseStop::Failed(format!(
            "the line {line:?} is not an object"
        )));
    };
    let value = event(line.remove("event"))?;
    let item = match line.remove("lsn") {
        None => notice(&value)?,
        Some(lsn) => {
            let lsn = lsn
                .as_u64()
                .ok_or_else(|| CaseStop::Failed(format!("the LSN {lsn} is not a number")))?;
            let cursor = lsn.to_string();
            StreamItem::Event(ReceivedEvent { lsn, cursor, value })
        }
    };
    ensure!(
        line.is_empty(),
        "a line has members beside lsn and event: {line:?}"
    );
    Ok(item)
}

fn sse(block: &str) -> Result<StreamItem, CaseStop> {
    let (mut cursor, mut data) = (None, None);
    for line in block.lines() {
        match line.split_once(": ") {
            Some(("", _)) => ensure!(block.lines().count() == 1, "a comment inside {block:?}"),
            Some(("id", id)) if cursor.is_none() && data.is_none() => cursor = Some(id.to_owned()),
            Some(("data", text)) if data.is_none() => data = Some(json(text)?),
            _ => return Err(CaseStop::Failed(format!("the line {line:?} in {block:?}"))),
        }
    }
    let Some(data) = data else {
        ensure!(cursor.is_none(), "an id without data: {block:?}");
        return Ok(StreamItem::Heartbeat);
    };
    let value = event(Some(data))?;
    let Some(cursor) = cursor else {
        return notice(&value);
    };
    let lsn = cursor
        .split_once('.')
        .filter(|(_, tag)| !tag.is_empty())
        .and_then(|(lsn, _)| lsn.parse().ok())
        .ok_or_else(|| CaseStop::Failed(format!("the id {cursor:?} is not an LSN and a tag")))?;
    Ok(StreamItem::Event(ReceivedEvent { lsn, cursor, value }))
}

fn notice(value: &Value) -> Result<StreamItem, CaseStop> {
    ensure!(
        value["type"] == "unavailable",
        "an event without LSN: {value}"
    );
    Ok(StreamItem::Notice)
}

fn event(event: Option<Value>) -> Result<Value, CaseStop> {
    event
        .filter(|event| event["type"].is_string())
        .ok_or_else(|| CaseStop::Failed("an event has no type".to_owned()))
}

fn json(text: &str) -> Result<Value, CaseStop> {
    serde_json::from_str(text)
        .map_err(|error| CaseStop::Failed(format!("{text:?} is not JSON: {error}")))
}
