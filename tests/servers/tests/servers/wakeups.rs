//! Readers on another server than the writer's: notifications wake them, without polling. If a
//! notification is missing, they read the store after a bounded time.

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use libtest_mimic::Trial;
use tempfile::TempDir;
use tokio::time::sleep;
use unbroken::log::SessionId;
use unbroken_postgres::tokio_postgres::{self, NoTls};
use unbroken_redis::redis;

use crate::support::{
    Checked, Error,
    call_log::micros,
    client::{Answer, AnswerSpec, ask, read, read_until, start},
    cluster::Cluster,
    engine::{self, Engine},
    in_time,
    received::{Policy, Received},
    server::LOAD_FACTOR,
};

const LEASE: Duration = Duration::from_secs(10);
/// The number of idle sessions, each with a reader on another server than the writer's.
const IDLE_SESSIONS: usize = 16;
/// The time over which the engine's commands are counted.
const MEASURED: Duration = Duration::from_secs(3);

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for engine in Engine::SHARED {
        trials.push(engine.trial(
            "records_without_a_notification_are_read_within_two_seconds",
            missing_notification,
        ));
        trials.push(engine.trial("waiting_readers_do_not_poll_the_store", no_polling));
    }
    trials
}

/// The writer commits without a notification, and is killed. On PostgreSQL it sends none. On Redis the
/// commit itself publishes, so there the other server ignores notifications.
async fn missing_notification(engine: Engine) -> Checked {
    let (writer_fault, reader_fault) = match engine {
        Engine::Postgres => ("silent", "none"),
        _ => ("none", "deaf"),
    };
    let cluster = Cluster::new(engine, LEASE, Policy::Fail.name())?;
    let (writer, reader) = (
        cluster.start_with(writer_fault).await?,
        cluster.start_with(reader_fault).await?,
    );
    // Not a multiple of the interval at which the other server reads the state.
    let spec = AnswerSpec {
        hang_at: Some(4),
        ..AnswerSpec::tokens(5, 700)
    };
    let id = SessionId::random();
    let mut near = ask(writer.addr, start(id.as_str(), spec)).await?;
    let mut far = ask(reader.addr, read(id.as_str(), None)).await?;
    let killed = async {
        let mut received = Received::default();
        read_until(&mut near, &mut received, |received| {
            received.tokens().count() == 4
        })
        .await?;
        writer.kill();
        Ok::<_, Error>(())
    };
    let delays = async {
        let (mut received, mut delays) = (Received::default(), Vec::new());
        for count in 1..=4 {
            read_until(&mut far, &mut received, |received| {
                received.tokens().count() >= count
            })
            .await?;
            let sent = received.tokens().last().map_or(0, |token| token.at);
            delays.push(Duration::from_micros(micros().saturating_sub(sent)));
        }
        Ok::<_, Error>(delays)
    };
    let ((), delays) = futures_util::future::try_join(killed, delays).await?;
    let ordinary = reader.answer_time().await?;
    drop(reader);
    cluster.clean_up().await?;
    println!(
        "{}: without notifications, tokens were received after {delays:?}",
        engine.name()
    );
    let longest = delays.iter().max().copied().unwrap_or_default();
    assert!(
        longest > Duration::from_millis(100),
        "the reader was notified: {delays:?}"
    );
    // Two seconds, and the time to read and to send.
    let bound = Duration::from_millis(2050) + ordinary * LOAD_FACTOR;
    assert!(longest < bound, "{delays:?}, the limit is {bound:?}");
    Ok(())
}

async fn no_polling(engine: Engine) -> Checked {
    let notified = commands_per_second(engine, "none").await?;
    let polled = commands_per_second(engine, "polls").await?;
    println!(
        "{}: {IDLE_SESSIONS} readers of idle sessions on another server cost {notified:.0} commands \
         a second; {polled:.0} if it polls every 20 ms",
        engine.name()
    );
    // Every two seconds the reader's server reads the state twice and the log once, and the writer's
    // server reads the state twice, for an abort: 2.5 commands a second, and those without readers.
    let limit = f64::from(u32::try_from(IDLE_SESSIONS)?) * 8.0;
    assert!(notified < limit, "{notified} a second");
    assert!(polled > limit, "the limit is too high: {polled} a second");
    Ok(())
}

/// Returns the commands that the engine runs per second for readers of idle sessions.
async fn commands_per_second(engine: Engine, fault: &'static str) -> Result<f64, Error> {
    let dedicated = DedicatedEngine::start(engine).await?;
    let mut cluster = Cluster::new(engine, LEASE, Policy::Fail.name())?;
    cluster.options.store.clone_from(&dedicated.url);
    let (writer, reader) = (cluster.start().await?, cluster.start_with(fault).await?);
    let spec = AnswerSpec {
        hang_at: Some(1),
        ..AnswerSpec::tokens(2, 0)
    };
    let mut readers = Vec::new();
    for _ in 0..IDLE_SESSIONS {
        let id = SessionId::random();
        drop(ask(writer.addr, start(id.as_str(), spec)).await?);
        let mut far: Answer = ask(reader.addr, read(id.as_str(), None)).await?;
        let mut received = Received::default();
        read_until(&mut far, &mut received, |received| {
            received.tokens().count() == 1
        })
        .await?;
        readers.push(far);
    }
    sleep(Duration::from_millis(500)).await;
    let (before, began) = (dedicated.commands().await?, Instant::now());
    sleep(MEASURED).await;
    let commands = dedicated.commands().await? - before;
    Ok(commands / began.elapsed().as_secs_f64())
}

/// An engine, or a database in one, without other clients, so that its commands can be counted.
struct DedicatedEngine {
    engine: Engine,
    url: String,
    process: Option<Child>,
    _folder: TempDir,
}

impl DedicatedEngine {
    async fn start(engine: Engine) -> Result<Self, Error> {
        let folder = engine::temp_dir()?;
        if engine == Engine::Postgres {
            let name = format!("servers_alone_{}_{}", std::process::id(), micros());
            engine::postgres(&format!("CREATE DATABASE {name}")).await?;
            let (server, _) = engine::postgres_url()
                .rsplit_once('/')
                .map(|(server, database)| (server.to_owned(), database.to_owned()))
                .ok_or("a URL without a database")?;
            return Ok(Self {
                engine,
                url: format!("{server}/{name}"),
                process: None,
                _folder: folder,
            });
        }
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let process = Command::new("redis-server")
            .args(["--port", &port.to_string()])
            .args(["--bind", "127.0.0.1", "--save", "", "--dir"])
            .arg(folder.path())
            .stdout(Stdio::null())
            .spawn()?;
        let dedicated = Self {
            engine,
            url: format!("redis://127.0.0.1:{port}"),
            process: Some(process),
            _folder: folder,
        };
        in_time("redis-server", async {
            while dedicated.commands().await.is_err() {
                sleep(Duration::from_millis(20)).await;
            }
        })
        .await?;
        Ok(dedicated)
    }

    /// Returns the number of commands so far.
    async fn commands(&self) -> Result<f64, Error> {
        if self.engine == Engine::Postgres {
            // PostgreSQL adds the statistics of a connection after a second at most.
            sleep(Duration::from_millis(1200)).await;
            let (client, connection) = tokio_postgres::connect(&self.url, NoTls).await?;
            let connection = tokio::spawn(connection);
            let counted = "SELECT xact_commit::float8 FROM pg_stat_database \
                           WHERE datname = current_database()";
            let count = client.query_one(counted, &[]).await?.get(0);
            connection.abort();
            return Ok(count);
        }
        let client = redis::Client::open(self.url.as_str())?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        let mut stats = redis::cmd("INFO");
        let stats: String = stats
            .arg("commandstats")
            .query_async(&mut connection)
            .await?;
        // Each call of the store runs one script.
        let scripts = stats
            .lines()
            .filter_map(|line| line.strip_prefix("cmdstat_evalsha:calls="));
        let counts = scripts.filter_map(|rest| rest.split(',').next()?.parse::<f64>().ok());
        Ok(counts.sum())
    }
}

impl Drop for DedicatedEngine {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        } else if let Some((_, name)) = self.url.rsplit_once('/') {
            let drop = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
            // The test's runtime is about to shut down.
            let dropped =
                std::thread::spawn(move || engine::runtime().block_on(engine::postgres(&drop)));
            let _ = dropped.join();
        }
    }
}
