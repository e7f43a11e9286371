//! Temporary processes: a pgbouncer, a server.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    os::unix::{
        fs::{PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering::SeqCst},
    time::Duration,
};

use unbroken_postgres::tokio_postgres::{Config, config::Host};

use crate::machine::connect;

type Error = Box<dyn std::error::Error + Send + Sync>;

pub(crate) const PGBOUNCER: &str = "/usr/sbin/pgbouncer";

/// A pgbouncer in transaction mode before a server. It is stopped on drop.
#[derive(Debug)]
pub(crate) struct Pgbouncer {
    child: Child,
    folder: Folder,
    pub(crate) url: String,
}

impl Pgbouncer {
    pub(crate) async fn start(server: &str) -> Result<Self, Error> {
        let config: Config = server.parse()?;
        let host = match config.get_hosts().first() {
            Some(Host::Tcp(host)) => host.clone(),
            _ => "127.0.0.1".to_owned(),
        };
        let server_port = config.get_ports().first().copied().unwrap_or(5432);
        let user = config.get_user().unwrap_or("postgres");
        let password = String::from_utf8_lossy(config.get_password().unwrap_or_default());
        let database = config.get_dbname().unwrap_or("postgres");
        let port = free_port();
        let folder = Folder::new("pgbouncer")?;
        let ini = format!(
            "[databases]\n* = host={host} port={server_port}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = trust\nauth_file = {0}/users\npool_mode = transaction\n\
             default_pool_size = 6\nmax_client_conn = 200\nlogfile = {0}/log\n",
            folder.path().display()
        );
        folder.write("ini", &ini)?;
        folder.write("users", &format!("\"{user}\" \"{password}\"\n"))?;
        let child = as_postgres(PGBOUNCER)
            .arg(folder.path().join("ini"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let url = format!("postgres://{user}@127.0.0.1:{port}/{database}");
        let it = Self { child, folder, url };
        answers(&it.url).await.map_err(|error| {
            let log = fs::read_to_string(it.folder.path().join("log")).unwrap_or_default();
            format!("{error}: {log}")
        })?;
        Ok(it)
    }
}

impl Drop for Pgbouncer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A temporary server. It is stopped on drop.
#[derive(Debug)]
pub(crate) struct Server {
    bin: PathBuf,
    folder: Folder,
    port: u16,
}

impl Server {
    /// Returns the directory of the programs, if they are installed.
    pub(crate) fn programs() -> Option<PathBuf> {
        let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
        let bins = versions.filter_map(|it| Some(it.ok()?.path().join("bin")));
        bins.filter(|bin| bin.join("initdb").exists()).max()
    }

    pub(crate) async fn start(bin: PathBuf) -> Result<Self, Error> {
        let folder = Folder::new("server")?;
        let it = Self {
            bin,
            folder,
            port: free_port(),
        };
        let data = it.data();
        let initdb = as_postgres(it.bin.join("initdb"))
            .args(["--auth=trust", "--username=postgres", "--no-sync", "-D"])
            .arg(&data)
            .output()?;
        if !initdb.status.success() {
            return Err(String::from_utf8_lossy(&initdb.stderr).into());
        }
        it.restart().await?;
        Ok(it)
    }

    pub(crate) fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    #[cfg(feature = "tls")]
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Turns TLS on, with a self-signed certificate for `localhost`. Returns the certificate as PEM.
    #[cfg(feature = "tls")]
    pub(crate) async fn encrypt(&self) -> Result<Vec<u8>, Error> {
        let certificate = self.data().join("server.crt");
        let made = as_postgres("openssl")
            .args(["req", "-x509", "-nodes", "-days", "2", "-newkey", "ec"])
            .args(["-pkeyopt", "ec_paramgen_curve:prime256v1"])
            .args(["-subj", "/CN=localhost"])
            .args(["-addext", "subjectAltName=DNS:localhost"])
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .arg("-keyout")
            .arg(self.data().join("server.key"))
            .arg("-out")
            .arg(&certificate)
            .output()?;
        if !made.status.success() {
            return Err(String::from_utf8_lossy(&made.stderr).into());
        }
        let admin = connect(&self.url()).await?;
        admin.batch_execute("ALTER SYSTEM SET ssl = on").await?;
        admin.batch_execute("SELECT pg_reload_conf()").await?;
        Ok(fs::read(certificate)?)
    }

    /// Starts the server again after [`kill`](Self::kill), and waits until it replies.
    pub(crate) async fn restart(&self) -> Result<(), Error> {
        let options = format!(
            "-p {} -k {} -c listen_addresses=127.0.0.1 -c shared_buffers=16MB",
            self.port,
            self.folder.path().display()
        );
        self.control(&["start", "-W", "-o", &options])?;
        answers(&self.url()).await
    }

    /// Kills the server, as a crash would.
    pub(crate) fn kill(&self) -> Result<(), Error> {
        self.control(&["stop", "-m", "immediate"])
    }

    fn control(&self, arguments: &[&str]) -> Result<(), Error> {
        let status = as_postgres(self.bin.join("pg_ctl"))
            .arg("-D")
            .arg(self.data())
            .arg("-l")
            .arg(self.folder.path().join("log"))
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()?;
        if status.success() {
            Ok(())
        } else {
            Err(format!("pg_ctl {arguments:?}: {status}").into())
        }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// Runs a program as the user `postgres`, as both refuse to run as root. Another program such as `su` in
/// between would be the target of a kill.
fn as_postgres(program: impl AsRef<Path>) -> Command {
    let mut command = Command::new(program.as_ref());
    if is_root()
        && let Some((user, group)) = postgres()
    {
        command.uid(user).gid(group);
    }
    command
}

/// Returns the ids of the user `postgres`.
fn postgres() -> Option<(u32, u32)> {
    let users = fs::read_to_string("/etc/passwd").ok()?;
    let line = users.lines().find(|line| line.starts_with("postgres:"))?;
    let mut fields = line.split(':').skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().any(|line| line.starts_with("Uid:\t0\t"))
}

/// A directory that belongs to the user of the processes, and is removed on drop.
#[derive(Debug)]
struct Folder(PathBuf);

impl Folder {
    fn new(what: &str) -> Result<Self, Error> {
        let name = format!("unbroken-{what}-{}-{}", std::process::id(), free_port());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path)?;
        let it = Self(path);
        hand_over(&it.0)?;
        fs::set_permissions(&it.0, fs::Permissions::from_mode(0o700))?;
        Ok(it)
    }

    fn path(&self) -> &Path {
        &self.0
    }

    fn write(&self, name: &str, text: &str) -> Result<(), Error> {
        let path = self.0.join(name);
        fs::write(&path, text)?;
        hand_over(&path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn hand_over(path: &Path) -> Result<(), Error> {
    if is_root() {
        let (user, group) = postgres().ok_or("there is no user postgres")?;
        chown(path, Some(user), Some(group))?;
    }
    Ok(())
}

/// Returns a free port that was not returned before. It is below those that the system assigns, so that
/// no connection of the tests takes it before the server does.
fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = std::process::id().wrapping_add(NEXT.fetch_add(1, SeqCst)) % 20_000;
        let port = 10_000 + u16::try_from(number).expect("it is below 20,000");
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

async fn answers(url: &str) -> Result<(), Error> {
    let mut tries = 100;
    loop {
        tries -= 1;
        match connect(url).await {
            Ok(_) => return Ok(()),
            Err(error) if tries == 0 => return Err(error.into()),
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}
