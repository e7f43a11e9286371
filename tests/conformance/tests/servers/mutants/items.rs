use std::fmt;

use axum::body::{Body, Bytes};
use futures_util::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use serde_json::Value;

/// The items of a stream, which fails where the body does.
pub(super) type Items = BoxStream<'static, Result<Item, axum::Error>>;

/// One item of a stream.
#[derive(Debug, Clone)]
pub(super) enum Item {
    Event(Event),
    /// A heartbeat, or the `retry` field of server-sent events.
    Other(String),
}

/// An encoded event.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) lsn: u64,
    /// The tag, in server-sent events.
    pub(super) tag: Option<String>,
    /// The event as JSON.
    pub(super) data: String,
}

/// The most ready items that are sent in one frame.
const FRAME: usize = 500;

/// Splits a body into items.
pub(super) fn split_items(body: Body, server_sent: bool) -> Items {
    let end = if server_sent { "\n\n" } else { "\n" };
    let mut ahead = String::new();
    let items = move |bytes: Result<Bytes, axum::Error>| {
        let whole = bytes.map(|bytes| {
            ahead.push_str(std::str::from_utf8(&bytes).expect("a frame ends after an item"));
            let rest = ahead.rfind(end).map_or(0, |at| at + end.len());
            let rest = ahead.split_off(rest);
            std::mem::replace(&mut ahead, rest)
        });
        stream::iter(match whole {
            Ok(whole) => whole
                .split_inclusive(end)
                .map(|it| Ok(Item::of(it)))
                .collect(),
            Err(error) => vec![Err(error)],
        })
    };
    body.into_data_stream().flat_map(items).boxed()
}

/// Joins items to a body. Items that are ready together are sent in one frame.
pub(super) fn join_items(items: Items) -> Body {
    let frames = items.ready_chunks(FRAME).flat_map(|items| {
        let mut frames = Vec::new();
        let mut frame = String::new();
        for item in items {
            match item {
                Ok(item) => frame += &item.to_string(),
                Err(error) => frames.push(Err(error)),
            }
        }
        frames.insert(0, Ok(frame));
        stream::iter(frames)
    });
    Body::from_stream(frames)
}

impl Item {
    fn of(text: &str) -> Self {
        Event::of(text).map_or_else(|| Self::Other(text.to_owned()), Self::Event)
    }

    pub(super) fn event(&self) -> Option<&Event> {
        match self {
            Self::Event(event) => Some(event),
            Self::Other(_) => None,
        }
    }

    /// Changes the item if it is an event.
    pub(super) fn map(self, change: impl FnOnce(&mut Event)) -> Self {
        match self {
            Self::Event(mut event) => {
                change(&mut event);
                Self::Event(event)
            }
            other @ Self::Other(_) => other,
        }
    }
}

impl Event {
    fn of(text: &str) -> Option<Self> {
        let (lsn, tag, data) = if let Some(text) = text.strip_prefix("id: ") {
            let (id, data) = text.split_once("\ndata: ")?;
            let (lsn, tag) = id.split_once('.')?;
            (lsn, Some(tag.to_owned()), data.strip_suffix("\n\n")?)
        } else {
            let text = text.strip_prefix("{\"lsn\":")?;
            let (lsn, data) = text.split_once(",\"event\":")?;
            (lsn, None, data.strip_suffix("}\n")?)
        };
        Some(Self {
            lsn: lsn.parse().ok()?,
            tag,
            data: data.to_owned(),
        })
    }

    pub(super) fn is(&self, kind: &str) -> bool {
        self.value()["type"] == kind
    }

    pub(super) fn is_terminal(&self) -> bool {
        // Cheaper than to parse the many events of text.
        ["complete", "aborted", "error"]
            .iter()
            .any(|kind| self.data.starts_with(&format!("{{\"type\":\"{kind}\"")))
    }

    pub(super) fn value(&self) -> Value {
        serde_json::from_str(&self.data).expect("events are JSON")
    }

    pub(super) fn edit(&mut self, edit: impl FnOnce(&mut Value)) {
        let mut value = self.value();
        edit(&mut value);
        self.data = value.to_string();
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event(Event { lsn, tag, data }) => match tag {
                Some(tag) => write!(f, "id: {lsn}.{tag}\ndata: {data}\n\n"),
                None => writeln!(f, "{{\"lsn\":{lsn},\"event\":{data}}}"),
            },
            Self::Other(text) => f.write_str(text),
        }
    }
}
