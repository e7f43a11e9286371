use std::{
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicU16, Ordering::SeqCst},
    },
    time::Duration,
};

use unbroken_redis::{Redis, RedisOptions, redis};

/// A server that the test started. It is killed on drop.
pub(crate) struct Server {
    pub(crate) port: u16,
    arguments: Vec<String>,
    folder: PathBuf,
    process: Mutex<Option<Child>>,
}

/// Returns the reason if no server can be started.
pub(crate) fn missing() -> Option<String> {
    let version = Command::new("redis-server").arg("--version").output();
    version
        .is_err()
        .then(|| "redis-server is not installed".to_owned())
}

impl Server {
    pub(crate) async fn start(arguments: &[&str]) -> Self {
        let server = Self::prepare(free_port(), arguments);
        server.run();
        server.answers().await;
        server
    }

    fn prepare(port: u16, arguments: &[&str]) -> Self {
        let folder =
            std::env::temp_dir().join(format!("unbroken-redis-test-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder for the server");
        Self {
            port,
            arguments: arguments.iter().map(ToString::to_string).collect(),
            folder,
            process: Mutex::new(None),
        }
    }

    /// Starts the server, with the same files if it was killed.
    pub(crate) fn run(&self) {
        let mut command = Command::new("redis-server");
        command
            .args(["--port", &self.port.to_string()])
            .args(["--bind", "127.0.0.1", "--save", "", "--dir"])
            .arg(&self.folder)
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let child = command.spawn().expect("redis-server starts");
        *self.process.lock().unwrap() = Some(child);
    }

    pub(crate) fn kill(&self) {
        if let Some(mut child) = self.process.lock().unwrap().take() {
            drop(child.kill());
            drop(child.wait());
        }
    }

    pub(crate) fn process_id(&self) -> u32 {
        let process = self.process.lock().unwrap();
        process.as_ref().expect("it runs").id()
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) async fn open(&self, options: RedisOptions) -> Redis {
        let opened = Redis::open(&self.url(), options).await;
        opened.expect("our own server opens")
    }

    pub(crate) async fn answers(&self) {
        let client = redis::Client::open(self.url()).expect("the URL is right");
        for _ in 0..500 {
            // The error of a server that requires a password is a reply, too.
            match client.get_multiplexed_async_connection().await {
                Err(error) if error.is_connection_refusal() => {}
                _ => return,
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("redis-server does not answer");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

/// Returns a free port that was not returned before, below those that the system assigns; its cluster
/// port, 10,000 further, is free too.
pub(crate) fn free_port() -> u16 {
    static NEXT: OnceLock<AtomicU16> = OnceLock::new();
    let next = NEXT.get_or_init(|| {
        let random = unbroken::store::Token::random().0 % 15_000;
        AtomicU16::new(10_000 + u16::try_from(random).unwrap_or(0))
    });
    loop {
        let port = 10_000 + next.fetch_add(1, SeqCst) % 20_000;
        let is_free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if is_free(port) && is_free(port + 10_000) {
            return port;
        }
    }
}

/// Servers that several tests share, until the end of the run.
static SHARED: Mutex<Vec<Server>> = Mutex::new(Vec::new());

pub(crate) struct Shared {
    urls: Vec<String>,
}

/// Starts a server that syncs each write before it replies.
pub(crate) fn on_disk() -> &'static Shared {
    static ON_DISK: OnceLock<Shared> = OnceLock::new();
    ON_DISK.get_or_init(|| {
        let arguments = ["--appendonly", "yes", "--appendfsync", "always"];
        Shared::start(&[&arguments])
    })
}

impl Shared {
    /// Starts a server for each of these configurations.
    pub(crate) fn start(arguments: &[&[&str]]) -> Self {
        let arguments: Vec<Vec<String>> = arguments
            .iter()
            .map(|list| list.iter().map(ToString::to_string).collect())
            .collect();
        // A separate runtime, as the caller runs in another.
        let started = std::thread::spawn(move || {
            super::runtime().block_on(async {
                let mut servers = Vec::new();
                for list in &arguments {
                    let list: Vec<_> = list.iter().map(String::as_str).collect();
                    servers.push(Server::start(&list).await);
                }
                servers
            })
        });
        let servers = started.join().expect("the servers start");
        let urls = servers.iter().map(Server::url).collect();
        SHARED.lock().unwrap().extend(servers);
        Self { urls }
    }

    pub(crate) fn urls(&self) -> &[String] {
        &self.urls
    }

    pub(crate) async fn open(&self, options: RedisOptions) -> Redis {
        let opened = Redis::open(&self.urls[0], options).await;
        opened.expect("our own server opens")
    }
}

pub(crate) fn stop_shared() {
    SHARED.lock().unwrap().clear();
}
