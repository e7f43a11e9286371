//! Any server serves any session: status, list, abort and delete of what another one writes.

use std::time::Duration;

use libtest_mimic::Trial;
use tokio::time::sleep;
use unbroken::log::SessionId;

use crate::support::{
    Checked, Error, all,
    client::{Answer, Cut, Say, ask, plain, read, send, start, take_until},
    engine::Engine,
    log::{Event, Policy, Seen},
    server::Server,
    soon,
    team::Team,
};

/// Longer than a test runs.
const SAY: Say = Say::tokens(10_000, 20);

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for engine in Engine::SHARED {
        trials.push(engine.trial("any_server_aborts_tells_lists_and_deletes", anywhere));
        trials.push(engine.trial("the_check_notices_an_abort_that_is_not_stored", unstored));
        trials.push(engine.trial("aborts_from_both_servers_at_once_end_it_once", aborts));
    }
    trials
}

async fn anywhere(engine: Engine) -> Checked {
    with_two(engine, "none", async |team, one, two| {
        aborted_elsewhere(team, one, two).await?;
        aborted_elsewhere(team, two, one).await?;
        deleted_elsewhere(team, one, two).await
    })
    .await
}

async fn unstored(engine: Engine) -> Checked {
    let told = with_two(engine, "confirms-early", async |team, one, two| {
        let aborted = aborted_elsewhere(team, one, two);
        // The provider would run for minutes.
        tokio::time::timeout(Duration::from_secs(4), aborted).await?
    });
    match told.await {
        Ok(()) => Err("nobody noticed".into()),
        Err(_) => Ok(()),
    }
}

async fn with_two(
    engine: Engine,
    fault: &'static str,
    test: impl AsyncFnOnce(&Team, &Server, &Server) -> Checked,
) -> Checked {
    let lease = Duration::from_secs(10);
    let team = Team::new(engine, lease, Policy::Fail.name())?;
    let (one, two) = (team.start().await?, team.start_with(fault).await?);
    let tested = test(&team, &one, &two).await;
    drop((one, two));
    team.disband().await?;
    tested
}

/// An answer that is being given.
async fn begun(server: &Server, id: &SessionId) -> Result<(Answer, Seen), Error> {
    let mut answer = ask(server.addr, start(id.as_str(), SAY)).await?;
    let mut seen = Seen::default();
    take_until(&mut answer, &mut seen, |seen| seen.tokens().count() > 2).await?;
    Ok((answer, seen))
}

async fn aborted_elsewhere(team: &Team, here: &Server, there: &Server) -> Checked {
    let id = SessionId::random();
    let (mut answer, mut seen) = begun(here, &id).await?;
    let mut far = ask(there.addr, read(id.as_str(), None)).await?;
    let mut far_seen = Seen::default();
    take_until(&mut far, &mut far_seen, |seen| seen.tokens().count() > 2).await?;
    assert_eq!(status(there, &id).await?, "streaming");
    listed(there, &id, Some("streaming")).await?;

    let abort = format!("/{id}/abort");
    assert_eq!(code(there, "POST", &abort).await?, 202);
    let theirs = team.journal.wait("drop", id.as_str(), |_| true).await?;
    assert_eq!(theirs.who, here.who);
    take_until(&mut answer, &mut seen, Seen::is_over).await?;
    take_until(&mut far, &mut far_seen, Seen::is_over).await?;
    assert_eq!(seen, far_seen);
    assert_eq!(seen.last().map(Event::kind), Some("aborted"));
    for server in [here, there] {
        assert_eq!(code(server, "POST", &abort).await?, 200);
        assert_eq!(status(server, &id).await?, "aborted");
        listed(server, &id, Some("aborted")).await?;
    }
    assert_eq!(team.journal.calls(id.as_str()).len(), 1);
    deleted(here, there, &id).await
}

async fn deleted_elsewhere(team: &Team, here: &Server, there: &Server) -> Checked {
    let id = SessionId::random();
    let (mut answer, mut seen) = begun(here, &id).await?;
    deleted(here, there, &id).await?;
    team.journal.wait("drop", id.as_str(), |_| true).await?;
    // Who read it is given its ending first.
    take_until(&mut answer, &mut seen, Seen::is_over).await?;
    assert_eq!(seen.last().map(Event::kind), Some("aborted"));
    assert_eq!(team.journal.calls(id.as_str()).len(), 1);
    Ok(())
}

/// Deletes there what is then gone here, too, and is not started again.
async fn deleted(here: &Server, there: &Server, id: &SessionId) -> Checked {
    let path = format!("/{id}");
    assert_eq!(code(there, "DELETE", &path).await?, 204);
    for server in [there, here] {
        assert_eq!(code(server, "DELETE", &path).await?, 204);
        assert_eq!(code(server, "GET", &path).await?, 410);
        listed(server, id, None).await?;
        let again = send(server.addr, start(id.as_str(), SAY)).await;
        let again = again.map_err(|Cut| "no answer")?;
        assert_eq!(again.status().as_u16(), 410);
    }
    Ok(())
}

async fn aborts(engine: Engine) -> Checked {
    with_two(engine, "none", async |team, one, two| {
        for _ in 0..5 {
            let id = SessionId::random();
            let (mut answer, mut seen) = begun(one, &id).await?;
            let abort = format!("/{id}/abort");
            let confirmed = (0..20).map(|at| {
                let server = if at % 2 == 0 { one } else { two };
                code(server, "POST", &abort)
            });
            for status in all(confirmed).await? {
                assert!(status == 202 || status == 200, "{status}");
            }
            take_until(&mut answer, &mut seen, Seen::is_over).await?;
            let mut whole = Seen::default();
            let mut again = ask(two.addr, read(id.as_str(), None)).await?;
            take_until(&mut again, &mut whole, |_| false).await?;
            assert_eq!(whole, seen);
            assert_eq!(team.journal.of("drop", id.as_str()).len(), 1);
        }
        Ok(())
    })
    .await
}

async fn code(server: &Server, method: &str, path: &str) -> Result<u16, Error> {
    let answer = send(server.addr, plain(method, path)).await;
    Ok(answer.map_err(|Cut| "no answer")?.status().as_u16())
}

async fn status(server: &Server, id: &SessionId) -> Result<String, Error> {
    let answer = ask(server.addr, plain("HEAD", &format!("/{id}"))).await?;
    let status = answer.header("x-session-status").ok_or("no status")?;
    Ok(status.to_owned())
}

/// Waits until the list of all has it with this status, or no longer has it. Lists may lag.
async fn listed(server: &Server, id: &SessionId, wanted: Option<&str>) -> Checked {
    let listed = async {
        loop {
            let list = ask(server.addr, plain("GET", "/")).await?.json().await?;
            let sessions = list["sessions"].as_array().ok_or("no sessions")?;
            let it = sessions.iter().find(|it| it["id"] == id.as_str());
            if it.and_then(|it| it["status"].as_str()) == wanted {
                return Ok(());
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    soon("a list that is right", listed).await?
}
