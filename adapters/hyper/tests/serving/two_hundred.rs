//! The end of a server under load.

use std::{convert::Infallible, time::Duration};

use futures_util::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use serde_json::{Value, json};
use tokio::{
    net::TcpSocket,
    sync::watch,
    time::{Instant, sleep},
};
use tower::Service;
use unbroken::chat::{ChatEvent, ChatRequest, ProviderError, provider_fn};
use unbroken_hyper::ServerLimits;

use crate::{
    client::{Answer, Version, Whole, connect, over, post},
    server::{MOUNT, Server, start_of},
};

/// What is answered, and how the answer is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Ends soon after the signal.
    Short,
    /// Never does.
    Long,
    /// Ends with the signal, but there is much of it, and its reader takes its time.
    Slow,
    /// The same, and its reader takes nothing until the server is over.
    Stalled,
    /// As a short one, whose reader is gone.
    Gone,
}

const KINDS: [Kind; 5] = [
    Kind::Short,
    Kind::Long,
    Kind::Slow,
    Kind::Stalled,
    Kind::Gone,
];

impl Kind {
    /// Asks for an answer of this kind.
    fn body(self) -> Value {
        json!({"messages": [{"role": "user", "content": "Hi"}], "chatId": format!("{self:?}")})
    }

    /// What the provider has to say before the signal, and what after, so many milliseconds apart.
    fn says(self) -> (usize, usize, u64) {
        match self {
            Self::Short | Self::Gone => (5, 10, 15),
            Self::Long => (5, usize::MAX, 50),
            Self::Slow | Self::Stalled => (10_000, 0, 0),
        }
    }
}

type Events = BoxStream<'static, Result<ChatEvent, ProviderError>>;

/// Ends no answer before the signal.
fn provider(
    signal: watch::Receiver<bool>,
) -> impl Service<ChatRequest, Response = Events, Error = Infallible, Future: Send>
+ Clone
+ Send
+ Sync
+ 'static {
    provider_fn(move |request: ChatRequest| {
        let wanted = request.chat_id.expect("a chat");
        let kind = KINDS
            .into_iter()
            .find(|it| format!("{it:?}") == wanted.as_str());
        let (before, after, pause) = kind.expect("a kind").says();
        let mut signal = signal.clone();
        let asked = async move {
            let _ = signal.wait_for(|asked| *asked).await;
            stream::iter(0..after).then(move |n| async move {
                sleep(Duration::from_millis(pause)).await;
                Ok(ChatEvent::text(format!("{n} ")))
            })
        };
        let before = stream::iter(0..before).map(|n| Ok(ChatEvent::text(format!("{n} "))));
        before.chain(stream::once(asked).flatten()).boxed() as Events
    })
}

const DEADLINE: Duration = Duration::from_secs(2);
const FLUSH: Duration = Duration::from_secs(2);
/// For a store that hangs, and here for a slow machine.
const GRACE: Duration = Duration::from_secs(2);

/// 200 running sessions, one half on HTTP/1.1 connections of their own, the other on ten connections
/// of HTTP/2; the server is brought to an end, which must come in time, and this is how they ended.
async fn two_hundred(
    end: impl FnOnce(&mut Server, &watch::Sender<bool>),
) -> (Server, Vec<(Kind, Whole)>) {
    let limits = ServerLimits::default().flush(FLUSH);
    let (signal, signalled) = watch::channel(false);
    let mut server = start_of(limits, DEADLINE, provider(signalled)).await;
    let mut shared = Vec::new();
    for _ in 0..10 {
        shared.push(connect(server.addr, Version::Http2).await);
    }
    let mut own = Vec::new();
    let mut started: Vec<(Kind, Answer)> = Vec::new();
    for n in 0..200 {
        let kind = KINDS[n / 2 % KINDS.len()];
        let answer = if n % 2 == 0 {
            shared[n / 2 % 10].get(post(MOUNT, &kind.body())).await
        } else {
            let socket = TcpSocket::new_v4().unwrap();
            socket.set_recv_buffer_size(16 * 1024).unwrap();
            let stream = socket.connect(server.addr).await.unwrap();
            let mut client = over(stream, Version::Http1).await.unwrap();
            let answer = client.get(post(MOUNT, &kind.body())).await;
            own.push(client);
            answer
        };
        if kind != Kind::Gone {
            started.push((kind, answer));
        }
    }
    assert_eq!(server.sessions.running(), 200);
    let asked = Instant::now();
    end(&mut server, &signal);
    let (stalled, read): (Vec<_>, Vec<_>) = started
        .into_iter()
        .partition(|(kind, _)| *kind == Kind::Stalled);
    let reading: Vec<_> = read
        .into_iter()
        .map(|(kind, answer)| {
            let pause = if kind == Kind::Slow {
                Duration::from_millis(20)
            } else {
                Duration::ZERO
            };
            tokio::spawn(async move { (kind, answer.whole_slowly(pause).await) })
        })
        .collect();
    server.ended().await;
    let took = asked.elapsed();
    assert!(took < DEADLINE + FLUSH + GRACE, "{took:?}");
    let mut ended = Vec::new();
    for (kind, answer) in stalled {
        ended.push((kind, answer.whole().await));
    }
    for reader in reading {
        ended.push(reader.await.unwrap());
    }
    (server, ended)
}

/// What is wrong with how these ended.
fn disorder(ended: &[(Kind, Whole)]) -> Option<String> {
    for (kind, whole) in ended {
        let lsns = whole.lsns();
        if !lsns.iter().copied().eq(1..=lsns.len() as u64) {
            return Some(format!("{kind:?} has a gap"));
        }
        if whole.clean && !whole.is_complete() {
            return Some(format!("{kind:?} ended without its terminal event"));
        }
        match kind {
            Kind::Short if !whole.clean => return Some(format!("{kind:?} was cut")),
            Kind::Long if whole.clean => return Some(format!("{kind:?} ended")),
            _ => {}
        }
    }
    None
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_answers_end_in_order() {
    let (server, ended) = two_hundred(|server, signal| {
        server.stop();
        signal.send_replace(true);
    })
    .await;
    assert_eq!(ended.len(), 160);
    assert_eq!(disorder(&ended), None);
    assert_eq!(server.sessions.running(), 0);
    let clean = ended.iter().filter(|(_, whole)| whole.clean).count();
    assert!(clean >= 40, "the short ones at least: {clean}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_dropped_is_seen_as_disorder() {
    let (_server, ended) = two_hundred(|server, _| server.kill()).await;
    assert!(disorder(&ended).is_some());
}
