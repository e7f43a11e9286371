//! Delays between servers on one machine.
//!
//! ```text
//! cargo bench -p server-tests --bench figures
//! ```
//!
//! For each engine: the time from a token of the provider to its arrival at a client, through the server
//! that writes and through another one; and the time from a client's abort to the drop of the provider's
//! stream, through either server.

#[path = "../tests/servers/support/mod.rs"]
mod support;

use std::{net::SocketAddr, time::Duration};

use futures_util::future::try_join;
use support::{
    Error, all,
    call_log::micros,
    client::{AnswerSpec, ask, plain, read, read_until, start},
    cluster::Cluster,
    engine::{Engine, runtime},
    percentile,
    received::{Event, Policy, Received},
    server::Server,
};
use unbroken::log::SessionId;

const LEASE: Duration = Duration::from_secs(10);
/// The number of concurrent sessions.
const SESSIONS: usize = 8;
const SPEC: AnswerSpec = AnswerSpec::tokens(300, 50);
const ABORTS: usize = 200;

fn main() -> Result<(), Error> {
    println!("| engine | what | where | count | p50 | p99 | most | goal for p99 |");
    println!("|---|---|---|---|---|---|---|---|");
    for engine in Engine::SHARED {
        runtime().block_on(figures(engine))?;
    }
    Ok(())
}

async fn figures(engine: Engine) -> Result<(), Error> {
    let cluster = Cluster::new(engine, LEASE, Policy::Fail.name())?;
    let (here, there) = (cluster.start().await?, cluster.start().await?);
    let sessions = (0..SESSIONS).map(|_| delays(here.addr, there.addr));
    let (near, far): (Vec<_>, Vec<_>) = all(sessions).await?.into_iter().unzip();
    row(engine, "token to client", "same server", near.concat(), "");
    row(engine, "token to client", "another", far.concat(), "50 ms");
    let local = aborts(&cluster, &here, &here).await?;
    row(engine, "abort to drop", "same server", local, "50 ms");
    let remote = aborts(&cluster, &here, &there).await?;
    row(engine, "abort to drop", "another", remote, "500 ms");
    drop((here, there));
    cluster.clean_up().await
}

fn row(engine: Engine, measure: &str, server: &str, mut times: Vec<Duration>, goal: &str) {
    times.sort();
    println!(
        "| {} | {measure} | {server} | {} | {:.1?} | {:.1?} | {:.1?} | {goal} |",
        engine.name(),
        times.len(),
        percentile(&times, 50),
        percentile(&times, 99),
        percentile(&times, 100),
    );
}

async fn delays(
    here: SocketAddr,
    there: SocketAddr,
) -> Result<(Vec<Duration>, Vec<Duration>), Error> {
    let id = SessionId::random();
    let near = ask(here, start(id.as_str(), SPEC)).await?;
    let far = ask(there, read(id.as_str(), None)).await?;
    let measured = async |mut answer| {
        let (mut received, mut delays) = (Received::default(), Vec::new());
        while !received.has_ended() {
            let so_far = received.0.len();
            read_until(&mut answer, &mut received, |received| {
                received.0.len() > so_far
            })
            .await?;
            if let Some(token) = received.last().and_then(Event::token) {
                delays.push(Duration::from_micros(micros().saturating_sub(token.at)));
            }
        }
        Ok(delays)
    };
    try_join(measured(near), measured(far)).await
}

/// Returns the times of aborts, sent to a server, of sessions that another or the same server writes.
async fn aborts(cluster: &Cluster, here: &Server, by: &Server) -> Result<Vec<Duration>, Error> {
    let mut times = Vec::new();
    for _ in 0..ABORTS {
        let id = SessionId::random();
        let mut answer = ask(here.addr, start(id.as_str(), SPEC)).await?;
        let mut received = Received::default();
        read_until(&mut answer, &mut received, |received| {
            received.tokens().count() == 1
        })
        .await?;
        let sent = micros();
        ask(by.addr, plain("POST", &format!("/{id}/abort"))).await?;
        let dropped = cluster.call_log.wait("drop", id.as_str()).await?;
        times.push(Duration::from_micros(dropped.at.saturating_sub(sent)));
    }
    Ok(times)
}
