//! A link that holds bytes back, for the tests of stores behind a network.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};

/// A proxy between a store and its server that holds back the rest of a large command or reply, until it is told
/// to go on. It counts bytes, not time.
pub(crate) struct SlowLink {
    port: u16,
    gate: Arc<Gate>,
}

struct Gate {
    commands: ByteGate,
    replies: ByteGate,
}

/// The gate for one direction of all connections.
struct ByteGate {
    // The bytes that a connection may move in one go, before something comes back.
    limit: watch::Sender<usize>,
    held: watch::Sender<usize>,
    passed: AtomicUsize,
}

impl SlowLink {
    /// Starts a proxy for the server at an address, which holds nothing back.
    pub(crate) async fn start(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let gate = Arc::new(Gate {
            commands: ByteGate::new(),
            replies: ByteGate::new(),
        });
        let shared = gate.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&server).await;
                let server = server.expect("the server answers");
                tokio::spawn(relay(client, server, shared.clone()));
            }
        });
        Self { port, gate }
    }

    /// Returns the port of the proxy on this host.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Holds back commands after so many bytes of a connection.
    pub(crate) fn hold_commands_after(&self, bytes: usize) {
        self.gate.commands.limit.send_replace(bytes);
    }

    /// Holds back replies after so many bytes of a connection.
    pub(crate) fn hold_replies_after(&self, bytes: usize) {
        self.gate.replies.limit.send_replace(bytes);
    }

    /// Waits until a connection is held back.
    pub(crate) async fn held(&self) {
        let mut commands = self.gate.commands.held.subscribe();
        let mut replies = self.gate.replies.held.subscribe();
        let held = |held: &usize| *held > 0;
        tokio::select! {
            _ = commands.wait_for(held) => {}
            _ = replies.wait_for(held) => {}
        }
    }

    /// Goes on, and holds nothing back any more.
    pub(crate) fn open(&self) {
        self.gate.commands.limit.send_replace(usize::MAX);
        self.gate.replies.limit.send_replace(usize::MAX);
    }

    /// Returns the bytes of all commands so far.
    pub(crate) fn command_bytes(&self) -> usize {
        self.gate.commands.passed.load(SeqCst)
    }

    /// Returns the bytes of all replies so far.
    pub(crate) fn reply_bytes(&self) -> usize {
        self.gate.replies.passed.load(SeqCst)
    }
}

impl ByteGate {
    fn new() -> Self {
        Self {
            limit: watch::Sender::new(usize::MAX),
            held: watch::Sender::new(0),
            passed: AtomicUsize::new(0),
        }
    }

    /// Passes bytes on. `run` counts those since something came back, and `other` is the count of the other
    /// direction.
    async fn pass(
        &self,
        mut from: OwnedReadHalf,
        mut to: OwnedWriteHalf,
        run: &AtomicUsize,
        other: &AtomicUsize,
    ) {
        let mut limit = self.limit.subscribe();
        let mut buffer = vec![0; 64 << 10];
        while let Ok(count @ 1..) = from.read(&mut buffer).await {
            other.store(0, SeqCst);
            let moved = run.fetch_add(count, SeqCst) + count;
            if moved > *limit.borrow_and_update() {
                self.held.send_modify(|held| *held += 1);
                let open = limit.wait_for(|limit| moved <= *limit).await.is_ok();
                self.held.send_modify(|held| *held -= 1);
                if !open {
                    return;
                }
            }
            self.passed.fetch_add(count, SeqCst);
            if to.write_all(&buffer[..count]).await.is_err() {
                return;
            }
        }
    }
}

async fn relay(client: TcpStream, server: TcpStream, gate: Arc<Gate>) {
    drop(client.set_nodelay(true));
    drop(server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let (up, down) = (AtomicUsize::new(0), AtomicUsize::new(0));
    // A direction that ends, ends both.
    tokio::select! {
        () = gate.commands.pass(from_client, to_server, &up, &down) => {}
        () = gate.replies.pass(from_server, to_client, &down, &up) => {}
    }
}
