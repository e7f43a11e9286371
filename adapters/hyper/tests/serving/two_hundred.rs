//! The shutdown of a server under load.

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

/// A kind of response and of its reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A response that ends soon after the signal.
    Short,
    /// A response that never ends.
    Long,
    /// A large response that ends with the signal, with a slow reader.
    Slow,
    /// A large response whose reader reads nothing until the server has ended.
    Stalled,
    /// A response that ends soon after the signal, whose reader has disconnected.
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
    /// Returns the body of a request for a response of this kind.
    fn body(self) -> Value {
        json!({"messages": [{"role": "user", "content": "Hi"}], "chatId": format!("{self:?}")})
    }

    /// Returns the number of events before the signal, the number after it, and the milliseconds
    /// between two of them.
    fn events(self) -> (usize, usize, u64) {
        match self {
            Self::Short | Self::Gone => (5, 10, 15),
            Self::Long => (5, usize::MAX, 50),
            Self::Slow | Self::Stalled => (10_000, 0, 0),
        }
    }
}

type Events = BoxStream<'static, Result<ChatEvent, ProviderError>>;

/// Creates a provider that ends no response before the signal.
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
        let (before, after, pause) = kind.expect("a kind").events();
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
/// The extra time for a store that hangs, here for a slow machine.
const GRACE: Duration = Duration::from_secs(2);

/// Runs 200 sessions, one half on separate HTTP/1.1 connections, the other on ten connections of
/// HTTP/2. Shuts the server down, which must end in time, and returns the ends of all responses.
async fn two_hundred(
    end: impl FnOnce(&mut Server, &watch::Sender<bool>),
) -> (Server, Vec<(Kind, Whole)>) {
    let limits = ServerLimits::default().flush_timeout(FLUSH);
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

/// Returns a description of the first response that ended wrongly.
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
async fn two_hundred_responses_end_in_order() {
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
async fn the_check_of_order_fails_for_a_server_that_is_dropped() {
    let (_server, ended) = two_hundred(|server, _| server.kill()).await;
    assert!(disorder(&ended).is_some());
}
