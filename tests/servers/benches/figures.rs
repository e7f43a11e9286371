//! How long what one server does takes to reach another, on one machine.
//!
//! ```text
//! cargo bench -p server-tests --bench figures
//! ```
//!
//! For each engine: the time from when a provider says a token until a client has it, from the
//! server that writes and from another one; and from when a client sends an abort until the
//! provider's stream is dropped, by way of either.

#[path = "../tests/servers/support/mod.rs"]
mod support;

use std::{net::SocketAddr, time::Duration};

use futures_util::future::try_join;
use support::{
    Error, all,
    calls::micros,
    client::{Say, ask, plain, read, start, take_until},
    engine::{Engine, runtime},
    log::{Event, Policy, Seen},
    percentile,
    server::Server,
    team::Team,
};
use unbroken::log::SessionId;

const LEASE: Duration = Duration::from_secs(10);
/// Sessions at a time, and what each says.
const SESSIONS: usize = 8;
const SAY: Say = Say::tokens(300, 50);
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
    let team = Team::new(engine, LEASE, Policy::Fail.name())?;
    let (here, there) = (team.start().await?, team.start().await?);
    let sessions = (0..SESSIONS).map(|_| delays(here.addr, there.addr));
    let (near, far): (Vec<_>, Vec<_>) = all(sessions).await?.into_iter().unzip();
    row(engine, "token to client", "same server", near.concat(), "");
    row(engine, "token to client", "another", far.concat(), "50 ms");
    let local = aborts(&team, &here, &here).await?;
    row(engine, "abort to drop", "same server", local, "50 ms");
    let remote = aborts(&team, &here, &there).await?;
    row(engine, "abort to drop", "another", remote, "500 ms");
    drop((here, there));
    team.disband().await
}

fn row(engine: Engine, what: &str, from: &str, mut times: Vec<Duration>, goal: &str) {
    times.sort();
    println!(
        "| {} | {what} | {from} | {} | {:.1?} | {:.1?} | {:.1?} | {goal} |",
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
    let near = ask(here, start(id.as_str(), SAY)).await?;
    let far = ask(there, read(id.as_str(), None)).await?;
    let measured = async |mut answer| {
        let (mut seen, mut delays) = (Seen::default(), Vec::new());
        while !seen.is_over() {
            let so_far = seen.0.len();
            take_until(&mut answer, &mut seen, |seen| seen.0.len() > so_far).await?;
            if let Some(token) = seen.last().and_then(Event::token) {
                delays.push(Duration::from_micros(micros().saturating_sub(token.at)));
            }
        }
        Ok(delays)
    };
    try_join(measured(near), measured(far)).await
}

/// Of sessions of one server, by way of another or the same.
async fn aborts(team: &Team, here: &Server, by: &Server) -> Result<Vec<Duration>, Error> {
    let mut times = Vec::new();
    for _ in 0..ABORTS {
        let id = SessionId::random();
        let mut answer = ask(here.addr, start(id.as_str(), SAY)).await?;
        let mut seen = Seen::default();
        take_until(&mut answer, &mut seen, |seen| seen.tokens().count() == 1).await?;
        let asked = micros();
        ask(by.addr, plain("POST", &format!("/{id}/abort"))).await?;
        let dropped = team.journal.wait("drop", id.as_str(), |_| true).await?;
        times.push(Duration::from_micros(dropped.at.saturating_sub(asked)));
    }
    Ok(times)
}
