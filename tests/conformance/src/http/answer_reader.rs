use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderName, Response, header, response::Parts};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::Value;

use crate::{
    http::decode::{ReceivedEvent, StreamDecoder, StreamItem},
    report::{CaseStop, ensure, ensure_eq},
};
use unbroken::headers::SESSION_ID;

/// The time within which a server must send what it has no reason to hold back.
pub(super) const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);

/// A reader of one response.
///
/// Checks the order of events as they arrive: LSNs have no gap, and exactly the last event is terminal.
#[derive(Debug)]
pub(super) struct AnswerReader {
    pub(super) head: Parts,
    body: Incoming,
    decoder: Option<StreamDecoder>,
    ahead: BytesMut,
    // Without heartbeats, whose number depends on the time.
    raw: Vec<u8>,
    last: u64,
    terminal: bool,
    heartbeats: usize,
    // Set by the notice that the store is unavailable.
    lost: bool,
}

/// The next item of a stream.
#[derive(Debug)]
pub(super) enum NextItem {
    Event(ReceivedEvent),
    /// The clean end of the body, after the terminal event.
    End,
    /// A failure of the body.
    Cut,
}

/// A stream that was read to its end.
#[derive(Debug, Clone)]
pub(super) struct FullAnswer {
    pub(super) events: Vec<ReceivedEvent>,
    /// The bytes of the body without heartbeats.
    pub(super) raw: Bytes,
}

impl AnswerReader {
    pub(super) fn new(response: Response<Incoming>) -> Self {
        let (head, body) = response.into_parts();
        let content_type = head.headers.get(header::CONTENT_TYPE);
        let decoder = content_type
            .and_then(|value| value.to_str().ok())
            .and_then(StreamDecoder::of);
        Self {
            head,
            body,
            decoder,
            ahead: BytesMut::new(),
            raw: Vec::new(),
            last: 0,
            terminal: false,
            heartbeats: 0,
            lost: false,
        }
    }

    pub(super) fn status(&self) -> u16 {
        self.head.status.as_u16()
    }

    /// Fails unless the response has this status.
    pub(super) async fn expect(self, status: u16) -> Result<Self, CaseStop> {
        if self.status() == status {
            return Ok(self);
        }
        let seen = self.status();
        if self.decoder.is_some() {
            // A stream may have no end.
            return Err(CaseStop::Failed(format!(
                "status {seen} and a stream instead of {status}"
            )));
        }
        let body = self.bytes().await.unwrap_or_default();
        let body = String::from_utf8_lossy(&body)
            .chars()
            .take(300)
            .collect::<String>();
        Err(CaseStop::Failed(format!(
            "status {seen} instead of {status}: {body}"
        )))
    }

    /// Returns the value of a header, or fails if it is missing.
    pub(super) fn header(&self, name: impl Into<HeaderName>) -> Result<&str, CaseStop> {
        let name = name.into();
        self.optional(&name)
            .ok_or_else(|| CaseStop::Failed(format!("the header `{name}` is missing")))
    }

    pub(super) fn optional(&self, name: &HeaderName) -> Option<&str> {
        self.head.headers.get(name)?.to_str().ok()
    }

    pub(super) fn id(&self) -> Result<String, CaseStop> {
        self.header(SESSION_ID).map(str::to_owned)
    }

    /// Expects the first event to follow this LSN.
    pub(super) fn continuing_after(mut self, lsn: u64) -> Self {
        self.last = lsn;
        self
    }

    /// Returns the number of heartbeats so far.
    pub(super) fn heartbeats(&self) -> usize {
        self.heartbeats
    }

    pub(super) async fn next(&mut self) -> Result<NextItem, CaseStop> {
        let after = self.last;
        let next = tokio::time::timeout(RESPONSE_TIMEOUT, self.read()).await;
        let next = next.map_err(|_| {
            CaseStop::Failed(format!(
                "no event came for {RESPONSE_TIMEOUT:?} after LSN {after}"
            ))
        })??;
        ensure!(
            !self.lost || matches!(next, NextItem::Cut),
            "{next:?} after the notice that the store is lost"
        );
        Ok(next)
    }

    async fn read(&mut self) -> Result<NextItem, CaseStop> {
        loop {
            let Some(decoder) = &mut self.decoder else {
                return Err(CaseStop::Failed(format!(
                    "no stream of events, but {:?}",
                    self.head.headers.get(header::CONTENT_TYPE)
                )));
            };
            let begins = self.raw.len() - self.ahead.len();
            match decoder.decode(&mut self.ahead)? {
                Some(StreamItem::Event(event)) => {
                    let after = self.last;
                    ensure!(!self.terminal, "{event:?} came after the terminal event");
                    ensure!(
                        event.lsn == after + 1,
                        "LSN {} came after LSN {after}",
                        event.lsn
                    );
                    self.last = event.lsn;
                    self.terminal = event.is_terminal();
                    return Ok(NextItem::Event(event));
                }
                Some(StreamItem::Notice) => self.lost = true,
                Some(StreamItem::Heartbeat) => {
                    self.heartbeats += 1;
                    let ends = self.raw.len() - self.ahead.len();
                    self.raw.drain(begins..ends);
                }
                Some(StreamItem::Retry) => {}
                None => match self.frame().await? {
                    Some(Ok(bytes)) => self.ahead.extend_from_slice(&bytes),
                    Some(Err(_)) => return Ok(NextItem::Cut),
                    None => {
                        ensure!(self.ahead.is_empty(), "the body ends inside an event");
                        ensure!(self.terminal, "a clean end without a terminal event");
                        return Ok(NextItem::End);
                    }
                },
            }
        }
    }

    /// Returns the next event, or fails at the end.
    pub(super) async fn event(&mut self) -> Result<ReceivedEvent, CaseStop> {
        match self.next().await? {
            NextItem::Event(event) => Ok(event),
            other => Err(CaseStop::Failed(format!("{other:?} instead of an event"))),
        }
    }

    /// Returns the next events.
    pub(super) async fn events(&mut self, count: usize) -> Result<Vec<ReceivedEvent>, CaseStop> {
        let mut events = Vec::with_capacity(count);
        for _ in 0..count {
            events.push(self.event().await?);
        }
        Ok(events)
    }

    /// Reads to the clean end after the terminal event.
    pub(super) async fn read_to_end(mut self) -> Result<FullAnswer, CaseStop> {
        let mut events = Vec::new();
        loop {
            match self.next().await? {
                NextItem::Event(event) => events.push(event),
                NextItem::End => break,
                NextItem::Cut => {
                    let last = self.last;
                    return Err(CaseStop::Failed(format!(
                        "the body was cut after LSN {last}"
                    )));
                }
            }
        }
        Ok(FullAnswer {
            events,
            raw: self.raw.into(),
        })
    }

    /// Reads to the end of a session that was aborted, which comes within a limit.
    pub(super) async fn read_aborted(self) -> Result<FullAnswer, CaseStop> {
        tokio::time::timeout(RESPONSE_TIMEOUT, self.read_to_end())
            .await
            .map_err(|_| {
                CaseStop::Failed(format!(
                    "it goes on for {RESPONSE_TIMEOUT:?} after the abort"
                ))
            })?
    }

    /// Reads the body of a document.
    pub(super) async fn bytes(self) -> Result<Bytes, CaseStop> {
        tokio::time::timeout(RESPONSE_TIMEOUT, self.collect())
            .await
            .map_err(|_| {
                CaseStop::Failed(format!("a document took longer than {RESPONSE_TIMEOUT:?}"))
            })?
    }

    async fn collect(mut self) -> Result<Bytes, CaseStop> {
        let mut bytes = BytesMut::new();
        while let Some(frame) = self.frame().await? {
            let frame = frame.map_err(|error| {
                CaseStop::Failed(format!("the body of a document broke: {error}"))
            })?;
            bytes.extend_from_slice(&frame);
        }
        Ok(bytes.freeze())
    }

    pub(super) async fn document(self) -> Result<Value, CaseStop> {
        let bytes = self.bytes().await?;
        serde_json::from_slice(&bytes).map_err(|error| {
            CaseStop::Failed(format!("a document is not JSON: {error}: {bytes:?}"))
        })
    }

    /// Expects this status and an empty body.
    pub(super) async fn expect_empty(self, status: u16) -> Result<Parts, CaseStop> {
        let answer = self.expect(status).await?;
        let head = answer.head.clone();
        let bytes = answer.bytes().await?;
        ensure!(bytes.is_empty(), "a body instead of none: {bytes:?}");
        Ok(head)
    }

    /// Expects a refusal: an `application/problem+json` of this type.
    pub(super) async fn expect_problem(self, status: u16, name: &str) -> Result<Value, CaseStop> {
        let answer = self.expect(status).await?;
        let content_type = answer.header(header::CONTENT_TYPE)?.to_owned();
        ensure_eq!(content_type, "application/problem+json", "content type");
        let retry_after = answer.optional(&header::RETRY_AFTER).map(str::to_owned);
        let problem = answer.document().await?;
        ensure_eq!(problem["type"], format!("urn:unbroken:{name}"), "type");
        ensure_eq!(problem["status"], status, "status in the document");
        for member in ["title", "detail"] {
            let text = problem[member].as_str().unwrap_or_default();
            ensure!(!text.is_empty(), "a problem without {member}: {problem}");
        }
        if matches!(status, 429 | 503) {
            let seconds = retry_after.and_then(|text| text.parse::<u64>().ok());
            ensure!(
                seconds.is_some(),
                "{status} without a Retry-After in seconds"
            );
        }
        Ok(problem)
    }

    /// Returns the next bytes, and `Some(Err)` if the body failed.
    async fn frame(&mut self) -> Result<Option<Result<Bytes, hyper::Error>>, CaseStop> {
        loop {
            let frame = tokio::time::timeout(RESPONSE_TIMEOUT, self.body.frame())
                .await
                .map_err(|_| {
                    let last = self.last;
                    CaseStop::Failed(format!(
                        "nothing came for {RESPONSE_TIMEOUT:?} after LSN {last}"
                    ))
                })?;
            match frame.map(|frame| frame.map(hyper::body::Frame::into_data)) {
                None => return Ok(None),
                Some(Err(error)) => return Ok(Some(Err(error))),
                Some(Ok(Ok(bytes))) => {
                    self.raw.extend_from_slice(&bytes);
                    return Ok(Some(Ok(bytes)));
                }
                Some(Ok(Err(_trailers))) => {}
            }
        }
    }
}

impl FullAnswer {
    /// Returns the text of the answer.
    pub(super) fn text(&self) -> String {
        let texts = self.events.iter().filter(|event| event.kind() == "text");
        texts
            .filter_map(|event| event.value["content"].as_str())
            .collect()
    }

    pub(super) fn kinds(&self) -> Vec<&str> {
        self.events.iter().map(ReceivedEvent::kind).collect()
    }

    /// Returns the terminal event.
    pub(super) fn ending(&self) -> &Value {
        static NONE: Value = Value::Null;
        self.events.last().map_or(&NONE, |event| &event.value)
    }

    /// Returns the LSN and the content of each event, which are the same in every encoding.
    pub(super) fn log(&self) -> Vec<(u64, &Value)> {
        let events = self.events.iter();
        events.map(|event| (event.lsn, &event.value)).collect()
    }
}
