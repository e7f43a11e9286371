//! How readers on another server learn of what is written: they are told, they don't ask; and where
//! nobody tells them they look, in time.

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
    calls::micros,
    client::{Answer, Say, ask, read, start, take_until},
    engine::{self, Engine},
    log::{Policy, Seen},
    server::BUSY,
    soon,
    team::Team,
};

const LEASE: Duration = Duration::from_secs(10);
/// Sessions in which nothing happens, with a reader each on a server that doesn't write them.
const SILENT: usize = 16;
const WATCHED: Duration = Duration::from_secs(3);

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for engine in Engine::SHARED {
        trials.push(engine.trial(
            "a_writer_that_tells_nobody_and_dies_is_read_in_time",
            untold,
        ));
        trials.push(engine.trial("who_waits_is_told_and_does_not_ask", quiet));
    }
    trials
}

/// The server that writes commits, tells nobody, and is dead: on PostgreSQL before it notifies. On
/// Redis the commit publishes, so there it is the other server that hears nothing.
async fn untold(engine: Engine) -> Checked {
    let (mute, deaf) = match engine {
        Engine::Postgres => ("silent", "none"),
        _ => ("none", "deaf"),
    };
    let team = Team::new(engine, LEASE, Policy::Fail.name())?;
    let (writer, reader) = (team.start_with(mute).await?, team.start_with(deaf).await?);
    // At no fixed distance from the other server's own looks.
    let say = Say {
        hang_at: Some(4),
        ..Say::tokens(5, 700)
    };
    let id = SessionId::random();
    let mut near = ask(writer.addr, start(id.as_str(), say)).await?;
    let mut far = ask(reader.addr, read(id.as_str(), None)).await?;
    let killed = async {
        let mut seen = Seen::default();
        take_until(&mut near, &mut seen, |seen| seen.tokens().count() == 4).await?;
        writer.kill();
        Ok::<_, Error>(())
    };
    let delays = async {
        let (mut seen, mut delays) = (Seen::default(), Vec::new());
        for count in 1..=4 {
            take_until(&mut far, &mut seen, |seen| seen.tokens().count() >= count).await?;
            let said = seen.tokens().last().map_or(0, |token| token.at);
            delays.push(Duration::from_micros(micros().saturating_sub(said)));
        }
        Ok::<_, Error>(delays)
    };
    let ((), delays) = futures_util::future::try_join(killed, delays).await?;
    let ordinary = reader.ordinary_answer().await?;
    drop(reader);
    team.disband().await?;
    println!(
        "{}: untold, tokens were seen after {delays:?}",
        engine.name()
    );
    let most = delays.iter().max().copied().unwrap_or_default();
    assert!(
        most > Duration::from_millis(100),
        "somebody was told: {delays:?}"
    );
    // Two seconds, and what it takes to read and to show it.
    let bound = Duration::from_millis(2050) + ordinary * BUSY;
    assert!(most < bound, "{delays:?}, where {bound:?} are allowed");
    Ok(())
}

async fn quiet(engine: Engine) -> Checked {
    let told = cost(engine, "none").await?;
    let polled = cost(engine, "polls").await?;
    println!(
        "{}: {SILENT} readers of silent sessions on another server cost {told:.0} commands a \
         second; {polled:.0} where it asks every 20 ms",
        engine.name()
    );
    // Every two seconds the reader's server looks twice and reads once, and the writer's looks twice,
    // for an abort: two and a half a second, beside what both do without readers.
    let looks = f64::from(u32::try_from(SILENT)?) * 8.0;
    assert!(told < looks, "{told} a second");
    assert!(polled > looks, "the check is too lax: {polled} a second");
    Ok(())
}

/// How many commands a second the engine does for readers to whom nothing happens.
async fn cost(engine: Engine, fault: &'static str) -> Result<f64, Error> {
    let alone = Alone::start(engine).await?;
    let mut team = Team::new(engine, LEASE, Policy::Fail.name())?;
    team.setup.store.clone_from(&alone.url);
    let (writer, reader) = (team.start().await?, team.start_with(fault).await?);
    let say = Say {
        hang_at: Some(1),
        ..Say::tokens(2, 0)
    };
    let mut readers = Vec::new();
    for _ in 0..SILENT {
        let id = SessionId::random();
        drop(ask(writer.addr, start(id.as_str(), say)).await?);
        let mut far: Answer = ask(reader.addr, read(id.as_str(), None)).await?;
        let mut seen = Seen::default();
        take_until(&mut far, &mut seen, |seen| seen.tokens().count() == 1).await?;
        readers.push(far);
    }
    sleep(Duration::from_millis(500)).await;
    let (before, began) = (alone.commands().await?, Instant::now());
    sleep(WATCHED).await;
    let commands = alone.commands().await? - before;
    Ok(commands / began.elapsed().as_secs_f64())
}

/// An engine, or a part of one, that nobody else uses, so that what it does can be counted.
struct Alone {
    engine: Engine,
    url: String,
    process: Option<Child>,
    _folder: TempDir,
}

impl Alone {
    async fn start(engine: Engine) -> Result<Self, Error> {
        let folder = engine::folder()?;
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
        let alone = Self {
            engine,
            url: format!("redis://127.0.0.1:{port}"),
            process: Some(process),
            _folder: folder,
        };
        soon("redis-server", async {
            while alone.commands().await.is_err() {
                sleep(Duration::from_millis(20)).await;
            }
        })
        .await?;
        Ok(alone)
    }

    /// All that it has done so far.
    async fn commands(&self) -> Result<f64, Error> {
        if self.engine == Engine::Postgres {
            // What a connection has done is counted a second later at the latest.
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
        // Each call of the store is a script.
        let scripts = stats
            .lines()
            .filter_map(|line| line.strip_prefix("cmdstat_evalsha:calls="));
        let counts = scripts.filter_map(|rest| rest.split(',').next()?.parse::<f64>().ok());
        Ok(counts.sum())
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        } else if let Some((_, name)) = self.url.rsplit_once('/') {
            let drop = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
            // Not on the test's runtime, which is about to end.
            let dropped =
                std::thread::spawn(move || engine::runtime().block_on(engine::postgres(&drop)));
            let _ = dropped.join();
        }
    }
}
