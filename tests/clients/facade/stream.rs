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

/// A session that says what is posted.
pub(super) struct Stream {
    pub(super) id: SessionId,
    pub(super) kind: Kind,
    session: Session,
    tail: Mutex<Tail>,
}

struct Tail {
    lsn: Lsn,
    // None once it is closed.
    said: Option<mpsc::UnboundedSender<Bytes>>,
}

/// The session of a stream that is called so.
pub(super) fn id(name: &str) -> SessionId {
    let id = format!("{name}-of-the-suite-0000000");
    id.parse().expect("the suite's names are harmless")
}

impl Stream {
    pub(super) async fn start(sessions: &Sessions, name: &str, kind: Kind) -> Self {
        let (said, source) = mpsc::unbounded_channel();
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
            session: started.expect("nobody else has the name").session,
            tail: Mutex::new(Tail {
                lsn: Lsn::new(1),
                said: Some(said),
            }),
        };
        stream.reaches(Lsn::new(1)).await;
        stream
    }

    /// Adds messages, and closes the stream behind them. Whether it was open.
    pub(super) async fn append(&self, messages: &[Bytes], close: bool) -> bool {
        let mut tail = self.tail.lock().await;
        let Some(said) = &tail.said else {
            return false;
        };
        for message in messages {
            let _ = said.send(message.clone());
        }
        tail.lsn = tail.lsn.plus(messages.len() as u64);
        if close {
            tail.said = None;
            tail.lsn = tail.lsn.next(); // the terminal event
        }
        self.reaches(tail.lsn).await;
        true
    }

    /// Waits until readers are given this record.
    async fn reaches(&self, lsn: Lsn) {
        let mut reader = self.session.reader(Position::START).await;
        let reader = reader.as_mut().expect("it is readable");
        while reader.position().lsn < lsn {
            let batch = reader.next().await;
            batch.expect("it comes").expect("it is readable");
        }
    }
}

/// What is posted, as records.
struct Posted(mpsc::UnboundedReceiver<Bytes>);

impl Source for Posted {
    fn poll_record(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut BytesMut,
    ) -> Poll<Option<Mark>> {
        self.0.poll_recv(cx).map(|said| {
            out.extend_from_slice(&said?);
            Some(Mark::Event)
        })
    }
}
