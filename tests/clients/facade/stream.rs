use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::body::Bytes;
use bytes::BytesMut;
use tokio::sync::{Mutex, mpsc};
use unbroken::{
    chat::{Capabilities, ChatEvent, SessionInfo},
    durable::digest_of,
    log::{Lsn, Position, ServiceName, SessionId},
    session::{Mark, Session, SessionSpec, Sessions, Source},
};

use super::messages::Kind;

/// A session with the posted messages.
pub(super) struct Stream {
    pub(super) id: SessionId,
    pub(super) kind: Kind,
    session: Session,
    tail: Mutex<Tail>,
}

struct Tail {
    lsn: Lsn,
    // `None` once the stream is closed.
    sender: Option<mpsc::UnboundedSender<Bytes>>,
}

/// Returns the session id of a stream.
pub(super) fn id(name: &str) -> SessionId {
    let id = format!("{name}-of-the-suite-0000000");
    id.parse().expect("the suite's names are harmless")
}

impl Stream {
    pub(super) async fn start(sessions: &Sessions, name: &str, kind: Kind) -> Self {
        let (sender, source) = mpsc::unbounded_channel();
        let first: ChatEvent = SessionInfo::new(Capabilities::new()).into();
        let start = SessionSpec::new(
            id(name),
            ServiceName::new("facade"),
            digest_of(["facade", name]),
            first.to_json().freeze(),
        );
        let permit = sessions.permit(None).expect("there is room");
        let started = sessions.start(permit, start, Posted(source)).await;
        let stream = Self {
            id: id(name),
            kind,
            session: started.expect("the id is free").session,
            tail: Mutex::new(Tail {
                lsn: Lsn::new(1),
                sender: Some(sender),
            }),
        };
        stream.reaches(Lsn::new(1)).await;
        stream
    }

    /// Adds messages, and closes the stream after them if `close` is set. Returns true if it was open.
    pub(super) async fn append(&self, messages: &[Bytes], close: bool) -> bool {
        let mut tail = self.tail.lock().await;
        let Some(sender) = &tail.sender else {
            return false;
        };
        for message in messages {
            let _ = sender.send(message.clone());
        }
        tail.lsn = tail.lsn.plus(messages.len() as u64);
        if close {
            tail.sender = None;
            tail.lsn = tail.lsn.next(); // the terminal event
        }
        self.reaches(tail.lsn).await;
        true
    }

    /// Waits until readers get this record.
    async fn reaches(&self, lsn: Lsn) {
        let mut reader = self.session.reader(Position::START).await;
        let reader = reader.as_mut().expect("it is readable");
        while reader.position().lsn < lsn {
            let batch = reader.next().await;
            batch.expect("it comes").expect("it is readable");
        }
    }
}

/// The posted messages as records.
struct Posted(mpsc::UnboundedReceiver<Bytes>);

impl Source for Posted {
    fn poll_record(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut BytesMut,
    ) -> Poll<Option<Mark>> {
        self.0.poll_recv(cx).map(|record| {
            out.extend_from_slice(&record?);
            Some(Mark::Event)
        })
    }
}
