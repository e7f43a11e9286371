//! Any server serves any session: status, list, abort and deletion of sessions that another one writes.

use std::time::Duration;

use libtest_mimic::Trial;
use tokio::time::sleep;
use unbroken::log::SessionId;

use crate::support::{
    Checked, Error, all,
    client::{Answer, AnswerSpec, Disconnected, ask, plain, read, read_until, send, start},
    cluster::Cluster,
    engine::Engine,
    in_time,
    received::{Event, Policy, Received},
    server::Server,
};

/// An answer that is longer than a test.
const SPEC: AnswerSpec = AnswerSpec::tokens(10_000, 20);

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for engine in Engine::SHARED {
        trials.push(engine.trial(
            "any_server_shows_lists_aborts_and_deletes_a_session",
            any_server,
        ));
        trials.push(engine.trial("an_abort_that_is_not_stored_is_detected", unstored_abort));
        trials.push(engine.trial(
            "concurrent_aborts_through_two_servers_end_a_session_once",
            aborts,
        ));
    }
    trials
}

async fn any_server(engine: Engine) -> Checked {
    with_two_servers(engine, "none", async |cluster, one, two| {
        abort_elsewhere(cluster, one, two).await?;
        abort_elsewhere(cluster, two, one).await?;
        delete_elsewhere(cluster, one, two).await
    })
    .await
}

async fn unstored_abort(engine: Engine) -> Checked {
    let result = with_two_servers(engine, "confirms-early", async |cluster, one, two| {
        let aborted = abort_elsewhere(cluster, one, two);
        // The provider would run for minutes.
        tokio::time::timeout(Duration::from_secs(4), aborted).await?
    });
    match result.await {
        Ok(()) => Err("the fault was not detected".into()),
        Err(_) => Ok(()),
    }
}

async fn with_two_servers(
    engine: Engine,
    fault: &'static str,
    test: impl AsyncFnOnce(&Cluster, &Server, &Server) -> Checked,
) -> Checked {
    let lease = Duration::from_secs(10);
    let cluster = Cluster::new(engine, lease, Policy::Fail.name())?;
    let (one, two) = (cluster.start().await?, cluster.start_with(fault).await?);
    let tested = test(&cluster, &one, &two).await;
    drop((one, two));
    cluster.clean_up().await?;
    tested
}

/// Starts an answer, and reads its first tokens.
async fn start_answer(server: &Server, id: &SessionId) -> Result<(Answer, Received), Error> {
    let mut answer = ask(server.addr, start(id.as_str(), SPEC)).await?;
    let mut received = Received::default();
    read_until(&mut answer, &mut received, |received| {
        received.tokens().count() > 2
    })
    .await?;
    Ok((answer, received))
}

async fn abort_elsewhere(cluster: &Cluster, here: &Server, there: &Server) -> Checked {
    let id = SessionId::random();
    let (mut answer, mut received) = start_answer(here, &id).await?;
    let mut far = ask(there.addr, read(id.as_str(), None)).await?;
    let mut far_received = Received::default();
    read_until(&mut far, &mut far_received, |received| {
        received.tokens().count() > 2
    })
    .await?;
    assert_eq!(status(there, &id).await?, "streaming");
    wait_for_list(there, &id, Some("streaming")).await?;

    let abort = format!("/{id}/abort");
    assert_eq!(status_code(there, "POST", &abort).await?, 202);
    let dropped = cluster.call_log.wait("drop", id.as_str()).await?;
    assert_eq!(dropped.server, here.name);
    read_until(&mut answer, &mut received, Received::has_ended).await?;
    read_until(&mut far, &mut far_received, Received::has_ended).await?;
    assert_eq!(received, far_received);
    assert_eq!(received.last().map(Event::kind), Some("aborted"));
    for server in [here, there] {
        assert_eq!(status_code(server, "POST", &abort).await?, 200);
        assert_eq!(status(server, &id).await?, "aborted");
        wait_for_list(server, &id, Some("aborted")).await?;
    }
    assert_eq!(cluster.call_log.calls(id.as_str()).len(), 1);
    check_deletion(here, there, &id).await
}

async fn delete_elsewhere(cluster: &Cluster, here: &Server, there: &Server) -> Checked {
    let id = SessionId::random();
    let (mut answer, mut received) = start_answer(here, &id).await?;
    check_deletion(here, there, &id).await?;
    cluster.call_log.wait("drop", id.as_str()).await?;
    // The client that reads it receives the terminal event first.
    read_until(&mut answer, &mut received, Received::has_ended).await?;
    assert_eq!(received.last().map(Event::kind), Some("aborted"));
    assert_eq!(cluster.call_log.calls(id.as_str()).len(), 1);
    Ok(())
}

/// Deletes the session there, and checks that it is gone on both servers and is not started again.
async fn check_deletion(here: &Server, there: &Server, id: &SessionId) -> Checked {
    let path = format!("/{id}");
    assert_eq!(status_code(there, "DELETE", &path).await?, 204);
    for server in [there, here] {
        assert_eq!(status_code(server, "DELETE", &path).await?, 204);
        assert_eq!(status_code(server, "GET", &path).await?, 410);
        wait_for_list(server, id, None).await?;
        let again = send(server.addr, start(id.as_str(), SPEC)).await;
        let again = again.map_err(|Disconnected| "no answer")?;
        assert_eq!(again.status().as_u16(), 410);
    }
    Ok(())
}

async fn aborts(engine: Engine) -> Checked {
    with_two_servers(engine, "none", async |cluster, one, two| {
        for _ in 0..5 {
            let id = SessionId::random();
            let (mut answer, mut received) = start_answer(one, &id).await?;
            let abort = format!("/{id}/abort");
            let confirmed = (0..20).map(|at| {
                let server = if at % 2 == 0 { one } else { two };
                status_code(server, "POST", &abort)
            });
            for status in all(confirmed).await? {
                assert!(status == 202 || status == 200, "{status}");
            }
            read_until(&mut answer, &mut received, Received::has_ended).await?;
            let mut whole = Received::default();
            let mut again = ask(two.addr, read(id.as_str(), None)).await?;
            read_until(&mut again, &mut whole, |_| false).await?;
            assert_eq!(whole, received);
            assert_eq!(cluster.call_log.lines("drop", id.as_str()).len(), 1);
        }
        Ok(())
    })
    .await
}

async fn status_code(server: &Server, method: &str, path: &str) -> Result<u16, Error> {
    let answer = send(server.addr, plain(method, path)).await;
    Ok(answer
        .map_err(|Disconnected| "no answer")?
        .status()
        .as_u16())
}

async fn status(server: &Server, id: &SessionId) -> Result<String, Error> {
    let answer = ask(server.addr, plain("HEAD", &format!("/{id}"))).await?;
    let status = answer.header("x-session-status").ok_or("no status")?;
    Ok(status.to_owned())
}

/// Waits until the list has the session with this status, or no longer has it. Lists may lag.
async fn wait_for_list(server: &Server, id: &SessionId, wanted: Option<&str>) -> Checked {
    let listed = async {
        loop {
            let list = ask(server.addr, plain("GET", "/")).await?.json().await?;
            let sessions = list["sessions"].as_array().ok_or("no sessions")?;
            let session = sessions.iter().find(|session| session["id"] == id.as_str());
            if session.and_then(|session| session["status"].as_str()) == wanted {
                return Ok(());
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    in_time("the list", listed).await?
}
