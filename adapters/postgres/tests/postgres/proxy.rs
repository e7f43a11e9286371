use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    task::AbortHandle,
};
use unbroken_postgres::tokio_postgres::{Config, config::Host};

/// A proxy of a server that can lose the reply to a statement: it waits until the server has finished,
/// and then cuts the connection.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) url: String,
    // The number of statements until a reply is lost; 0 for none.
    countdown: Arc<AtomicUsize>,
    cuts: Arc<AtomicUsize>,
    accepting: AbortHandle,
}

impl Proxy {
    pub(crate) async fn start(server: &str) -> std::io::Result<Self> {
        let to = address(server);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = url_at(server, listener.local_addr()?.port());
        let countdown = Arc::new(AtomicUsize::new(0));
        let cuts = Arc::new(AtomicUsize::new(0));
        let accepting = tokio::spawn({
            let (countdown, cuts) = (countdown.clone(), cuts.clone());
            async move {
                // The connections end with the listener.
                let mut links = tokio::task::JoinSet::new();
                while let Ok((client, _)) = listener.accept().await {
                    let Ok(server) = TcpStream::connect(&to).await else {
                        continue;
                    };
                    let _ = (client.set_nodelay(true), server.set_nodelay(true));
                    links.spawn(relay(client, server, countdown.clone(), cuts.clone()));
                }
            }
        });
        Ok(Self {
            url,
            countdown,
            cuts,
            accepting: accepting.abort_handle(),
        })
    }

    /// Loses the reply to the nth statement from now on, which is executed.
    pub(crate) fn lose(&self, statement: usize) {
        self.countdown.store(statement, SeqCst);
    }

    /// Returns the number of lost replies.
    pub(crate) fn cuts(&self) -> usize {
        self.cuts.load(SeqCst)
    }

    /// Refuses all connections from now on.
    pub(crate) fn close(&self) {
        self.accepting.abort();
    }
}

/// Returns the host and the port in a URL.
pub(crate) fn address(url: &str) -> (String, u16) {
    let config: Config = url.parse().expect("a URL");
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(host)) => host.clone(),
        _ => "127.0.0.1".to_owned(),
    };
    (host, config.get_ports().first().copied().unwrap_or(5432))
}

/// Returns the URL of the same server behind a port of this host.
pub(crate) fn url_at(server: &str, port: u16) -> String {
    let config: Config = server.parse().expect("a URL");
    format!(
        "postgres://{}:{}@127.0.0.1:{port}/{}?sslmode=disable",
        config.get_user().unwrap_or("postgres"),
        String::from_utf8_lossy(config.get_password().unwrap_or(b"hunter2")),
        config.get_dbname().unwrap_or("postgres"),
    )
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.close();
    }
}

async fn relay(
    client: TcpStream,
    server: TcpStream,
    countdown: Arc<AtomicUsize>,
    cuts: Arc<AtomicUsize>,
) {
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let losing = AtomicBool::new(false);
    tokio::select! {
        _ = requests(from_client, to_server, &countdown, &losing) => {}
        _ = replies(from_server, to_client, &cuts, &losing) => {}
    }
}

async fn requests(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    countdown: &AtomicUsize,
    losing: &AtomicBool,
) -> std::io::Result<()> {
    // The first message has no type.
    let length = from.read_u32().await?;
    pass(length, &mut from, &mut to, None).await?;
    loop {
        let kind = from.read_u8().await?;
        let length = from.read_u32().await?;
        if kind == b'E' {
            let count = countdown.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1));
            if count == Ok(1) {
                losing.store(true, SeqCst);
            }
        }
        pass(length, &mut from, &mut to, Some(kind)).await?;
    }
}

async fn replies(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    cuts: &AtomicUsize,
    losing: &AtomicBool,
) -> std::io::Result<()> {
    loop {
        let kind = from.read_u8().await?;
        let length = from.read_u32().await?;
        if losing.load(SeqCst) {
            pass(length, &mut from, &mut tokio::io::sink(), None).await?;
            // The server is ready for the next statement: this one is committed.
            if kind == b'Z' {
                cuts.fetch_add(1, SeqCst);
                return Ok(());
            }
            continue;
        }
        pass(length, &mut from, &mut to, Some(kind)).await?;
    }
}

async fn pass(
    length: u32,
    from: &mut OwnedReadHalf,
    to: &mut (impl AsyncWriteExt + Unpin),
    kind: Option<u8>,
) -> std::io::Result<()> {
    let mut message = Vec::from_iter(kind);
    message.extend(length.to_be_bytes());
    let begins = message.len();
    message.resize(begins + length as usize - 4, 0);
    from.read_exact(&mut message[begins..]).await?;
    to.write_all(&message).await
}
