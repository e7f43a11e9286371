//! What an operator reads when the server refuses, hangs or is gone.

use std::{process::Command, time::Duration};

use libtest_mimic::{Failed, Trial};
use tokio::time::{sleep, timeout};
use unbroken::log::SessionId;
use unbroken_redis::redis::{self, aio::MultiplexedConnection};

use crate::{
    registries::{begin, sessions},
    support::{
        self,
        server::{self, Server},
        trial,
    },
    traces::Traces,
};

pub(crate) fn trials() -> Vec<Trial> {
    let missing = server::missing();
    let missing = missing.as_ref();
    vec![
        trial("a_full_server_is_named", missing, full),
        trial("a_right_that_was_taken_away_is_named", missing, no_right),
        trial(
            "a_password_that_is_asked_for_is_named",
            missing,
            no_password,
        ),
        trial("a_server_that_is_gone_is_named", missing, gone),
        trial("a_frozen_server_is_named", missing, frozen),
    ]
}

async fn tell(admin: &mut MultiplexedConnection, command: &str) -> Result<(), Failed> {
    let mut words = command.split(' ');
    let mut told = redis::cmd(words.next().unwrap_or_default());
    for word in words {
        told.arg(word);
    }
    Ok(told.exec_async(admin).await?)
}

/// Waits for a line with these words.
async fn named(traces: &Traces, words: &[&str]) -> Result<String, Failed> {
    let line = async {
        loop {
            if let Some(line) = traces.with(words).into_iter().next() {
                return line;
            }
            sleep(Duration::from_millis(5)).await;
        }
    };
    match timeout(Duration::from_secs(20), line).await {
        Ok(line) => Ok(line),
        Err(_) => Err(format!("{words:?} is not in {:#?}", traces.with(&[""])).into()),
    }
}

/// Runs a session, breaks the server, and waits until a line names the cause; then heals the server.
async fn named_after<B, H>(
    server: &Server,
    break_it: B,
    cause: &[&str],
    heal: H,
) -> Result<(), Failed>
where
    B: AsyncFnOnce() -> Result<(), Failed>,
    H: AsyncFnOnce() -> Result<(), Failed>,
{
    let traces = Traces::collect();
    let options = support::options().response_timeout(Duration::from_millis(500));
    let sessions = sessions(server, options).await;
    let (sender, session) = begin(&sessions, &SessionId::random()).await;
    while session.tail().get() < 1 {
        sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(traces.with(&["the store failed"]), Vec::<String>::new());
    break_it().await?;
    sender.send("a".repeat(100_000))?;
    let line = named(&traces, &[&["WARN", "the store failed"], cause].concat()).await?;
    assert!(!line.contains("secret"), "{line}");
    heal().await?;
    named(&traces, &["the store answers again"]).await?;
    drop(sender);
    Ok(())
}

async fn full() -> Result<(), Failed> {
    let server = Server::start(&[]).await;
    let mut admin = support::connect(&server.url()).await;
    let mut second = admin.clone();
    named_after(
        &server,
        async || tell(&mut admin, "CONFIG SET maxmemory 1").await,
        &["OOM"],
        async || tell(&mut second, "CONFIG SET maxmemory 0").await,
    )
    .await
}

async fn no_right() -> Result<(), Failed> {
    let server = Server::start(&[]).await;
    let mut admin = support::connect(&server.url()).await;
    tell(&mut admin, "ACL SETUSER admin on >secret ~* &* +@all").await?;
    tell(&mut admin, "AUTH admin secret").await?;
    let mut second = admin.clone();
    named_after(
        &server,
        async || tell(&mut admin, "ACL SETUSER default -evalsha -eval -fcall").await,
        &["permission"],
        async || tell(&mut second, "ACL SETUSER default +@all").await,
    )
    .await
}

async fn no_password() -> Result<(), Failed> {
    let server = Server::start(&[]).await;
    let mut admin = support::connect(&server.url()).await;
    tell(&mut admin, "ACL SETUSER admin on >secret ~* &* +@all").await?;
    tell(&mut admin, "AUTH admin secret").await?;
    let mut second = admin.clone();
    named_after(
        &server,
        async || {
            tell(&mut admin, "CONFIG SET requirepass secret").await?;
            tell(&mut admin, "CLIENT KILL USER default").await
        },
        &["uthenticat"],
        async || tell(&mut second, "ACL SETUSER default on nopass ~* &* +@all").await,
    )
    .await
}

async fn gone() -> Result<(), Failed> {
    let server = Server::start(&["--appendonly", "yes", "--appendfsync", "always"]).await;
    named_after(
        &server,
        async || {
            server.kill();
            Ok(())
        },
        &["call=\"append\"", "onnect"],
        async || {
            server.run();
            server.answers().await;
            Ok(())
        },
    )
    .await
}

async fn frozen() -> Result<(), Failed> {
    let server = Server::start(&[]).await;
    let signal = |name: &str| {
        let mut kill = Command::new("kill");
        let killed = kill.args([name, &server.process_id().to_string()]).status();
        assert!(killed.is_ok_and(|status| status.success()));
        Ok(())
    };
    named_after(
        &server,
        async || signal("-STOP"),
        &["call=\"append\"", "time"],
        async || signal("-CONT"),
    )
    .await
}
