//! Two servers of an application on one Redis.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use libtest_mimic::{Failed, Trial};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use unbroken::{
    log::{Digest, ErrorCode, Outcome, Position, ServiceName, SessionId, Status},
    session::{Mark, Reader, Session, SessionSpec, Sessions, Source},
};

use crate::support::{
    self,
    server::{self, Server},
    trial,
};

pub(crate) fn trials() -> Vec<Trial> {
    let missing = server::missing();
    let missing = missing.as_ref();
    vec![
        trial("a_session_outlives_a_restart_of_redis", missing, restart),
        trial(
            "a_session_whose_server_dies_is_ended_by_another",
            missing,
            death,
        ),
    ]
}

/// A source that emits the texts that the test sends.
struct SourceFromTest(UnboundedReceiver<String>);

impl Source for SourceFromTest {
    fn poll_record(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut bytes::BytesMut,
    ) -> Poll<Option<Mark>> {
        self.0.poll_recv(cx).map(|record| {
            out.extend_from_slice(record?.as_bytes());
            Some(Mark::Event)
        })
    }
}

pub(crate) async fn sessions(server: &Server, options: unbroken_redis::RedisOptions) -> Sessions {
    let store = server.open(options).await;
    Sessions::builder(store)
        .lease(Duration::from_millis(600))
        .build()
}

pub(crate) async fn begin(
    sessions: &Sessions,
    id: &SessionId,
) -> (UnboundedSender<String>, Session) {
    let (sender, receiver) = unbounded_channel();
    let service = ServiceName::new("a service");
    let start = SessionSpec::new(id.clone(), service, Digest([1; 32]), "first".into());
    let permit = sessions.permit(None).expect("none runs");
    let started = sessions
        .start(permit, start, SourceFromTest(receiver))
        .await;
    (sender, started.expect("the session starts").session)
}

/// Reads a number of records, or to the end.
async fn read(reader: &mut Reader, count: usize) -> Result<Vec<String>, Failed> {
    let mut texts = Vec::new();
    while texts.len() < count {
        let next = tokio::time::timeout(Duration::from_secs(10), reader.next());
        let Some(batch) = next.await? else { break };
        for record in batch?.chunk().records() {
            texts.push(String::from_utf8_lossy(record.bytes).into_owned());
        }
    }
    Ok(texts)
}

async fn restart() -> Result<(), Failed> {
    let server = Server::start(&["--appendonly", "yes", "--appendfsync", "always"]).await;
    let options = support::options();
    let (one, other) = (
        sessions(&server, options.clone()).await,
        sessions(&server, options).await,
    );
    let id = SessionId::random();
    let (sender, _session) = begin(&one, &id).await;
    let mut reader = other.attach(&id).await?.reader(Position::START).await?;
    sender.send("a".into())?;
    assert_eq!(read(&mut reader, 2).await?, ["first", "a"]);

    server.kill();
    sender.send("b".into())?;
    tokio::time::sleep(Duration::from_millis(200)).await;
    sender.send("c".into())?;
    server.run();
    server.answers().await;
    assert_eq!(read(&mut reader, 2).await?, ["b", "c"]);
    drop(sender);
    assert_eq!(read(&mut reader, usize::MAX).await?.len(), 1, "the ending");
    assert_eq!(reader.status(), Status::Ended(Outcome::Complete));
    Ok(())
}

async fn death() -> Result<(), Failed> {
    let server = Server::start(&[]).await;
    let options = support::options();
    let id = SessionId::random();
    // Dropping the runtime is the death of a server.
    let (theirs, their_id, url) = (options.clone(), id.clone(), server.url());
    let sender = std::thread::spawn(move || {
        let doomed = support::runtime();
        let sender = doomed.block_on(async {
            let store = unbroken_redis::Redis::open(&url, theirs).await;
            let store = store.expect("the server opens");
            let lease = Duration::from_millis(600);
            let sessions = Sessions::builder(store).lease(lease).build();
            let (sender, session) = begin(&sessions, &their_id).await;
            let mut reader = session.reader(Position::START).await.expect("a reader");
            sender.send("a".into()).expect("it listens");
            read(&mut reader, 2).await.expect("two records");
            sender
        });
        doomed.shutdown_background();
        sender
    });
    let sender = sender.join().expect("the doomed server starts a session");

    let other = sessions(&server, options).await;
    let mut reader = other.attach(&id).await?.reader(Position::START).await?;
    assert_eq!(read(&mut reader, 2).await?, ["first", "a"]);
    assert_eq!(read(&mut reader, usize::MAX).await?.len(), 1, "the ending");
    let interrupted = Outcome::Error(ErrorCode::Interrupted);
    assert_eq!(reader.status(), Status::Ended(interrupted));
    assert!(sender.send("nobody hears".into()).is_err());
    Ok(())
}
