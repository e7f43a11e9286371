//! The suite against each framework, over HTTP/1.1 and HTTP/2 with prior knowledge.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use axum::{Router, serve::ListenerExt as _};
use futures_util::future::join_all;
use libtest_mimic::{Failed, Trial};
use tokio::{net::TcpListener, runtime::Handle};
use unbroken::session::Sessions;
use unbroken_conformance::{
    Verdict,
    http::{HttpCase, HttpTarget},
};
use unbroken_hyper::mount;
use warp::Filter as _;

use crate::{
    chat::{AGED, MOUNT, OPEN, STRICT, Server, aged, open, owned, sessions, strict},
    judge, trial,
    vanish::{clients_that_vanish, nothing_remains},
};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("axum over HTTP/1.1", || run(axum, |target| target, &[])),
        trial("axum over HTTP/2", || run(axum, HttpTarget::http2, &[])),
        trial("warp over HTTP/1.1", || run(warp, |target| target, &[])),
        trial("warp over HTTP/2", || run(warp, HttpTarget::http2, &[])),
        trial("hyper over HTTP/1.1", || run(hyper, |target| target, &[])),
        trial("hyper over HTTP/2", || run(hyper, HttpTarget::http2, &[])),
        trial("a thousand clients vanish from axum", || vanish(axum)),
        trial("a thousand clients vanish from warp", || vanish(warp)),
        trial("a thousand clients vanish from hyper", || vanish(hyper)),
        trial("a task that goes on is noticed", a_remaining_task),
    ]
}

/// Runs the whole suite against a new server, without the waived cases.
pub(crate) async fn run<F>(
    server: fn() -> F,
    adapt: impl Fn(HttpTarget) -> HttpTarget,
    waived: &[&str],
) -> Result<(), Failed>
where
    F: Future<Output = Server>,
{
    let server = server().await;
    let elsewhere = [
        ("a_list_without_owners_is_403", server.open_target()),
        ("one_session_too_many_is_429", server.open_target()),
        ("a_provider_that_hangs_is_a_timeout", server.strict_target()),
        (
            "a_session_over_its_bytes_ends_with_limit",
            server.strict_target(),
        ),
        (
            "a_session_that_runs_too_long_is_a_timeout",
            server.aged_target(),
        ),
    ];
    let findings = elsewhere.map(|(name, target)| {
        let case = HttpCase::find(name).expect("a case");
        case.run(Arc::new(adapt(target)))
    });
    for finding in join_all(findings).await {
        if finding.verdict != Verdict::Passed {
            return Err(Failed::from(finding.to_string()));
        }
    }
    judge(adapt(server.target()), waived).await
}

pub(crate) async fn axum() -> Server {
    serve(app).await
}

/// A router with all services.
pub(crate) fn app(sessions: &Sessions) -> Router {
    Router::new()
        .merge(unbroken_axum::mount(MOUNT, owned(sessions)))
        .merge(unbroken_axum::mount(OPEN, open(sessions)))
        .merge(unbroken_axum::mount(STRICT, strict()))
        .merge(unbroken_axum::mount(AGED, aged()))
}

pub(crate) async fn serve(app: impl FnOnce(&Sessions) -> Router) -> Server {
    let sessions = sessions();
    let app = app(&sessions);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("an address");
    let accepted = Arc::new(AtomicUsize::new(0));
    let counter = accepted.clone();
    let listener = listener.tap_io(move |_| {
        counter.fetch_add(1, SeqCst);
    });
    let serving = async move { axum::serve(listener, app).await };
    Server {
        addr,
        sessions,
        accepted,
        task: tokio::spawn(serving).abort_handle(),
    }
}

pub(crate) async fn warp() -> Server {
    let sessions = sessions();
    let mounted = warp::path!("api" / "chat" / ..).and(unbroken_warp::mount(owned(&sessions)));
    let app = mounted
        .or(warp::path!("open" / ..).and(unbroken_warp::mount(open(&sessions))))
        .or(warp::path!("strict" / ..).and(unbroken_warp::mount(strict())))
        .or(warp::path!("aged" / ..).and(unbroken_warp::mount(aged())));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("an address");
    let serving = warp::serve(app).incoming(listener).run();
    Server {
        addr,
        sessions,
        accepted: Arc::default(),
        task: tokio::spawn(serving).abort_handle(),
    }
}

pub(crate) async fn hyper() -> Server {
    let sessions = sessions();
    let limited = mount(STRICT, strict()).or(mount(AGED, aged()));
    let app = mount(MOUNT, owned(&sessions)).or(mount(OPEN, open(&sessions)).or(limited));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("an address");
    let serving = unbroken_hyper::serve(listener, app).into_future();
    Server {
        addr,
        sessions,
        accepted: Arc::default(),
        task: tokio::spawn(serving).abort_handle(),
    }
}

/// Checks that clients that vanish leave complete answers and nothing else: no task, no reader, no
/// session in memory.
async fn vanish<F>(server: fn() -> F) -> Result<(), Failed>
where
    F: Future<Output = Server>,
{
    let server = server().await;
    let vanished = clients_that_vanish(&server, 100, 1).await;
    // Tasks that stay for the lifetime of the server have begun by now.
    let before = settled_tasks().await;
    if !nothing_remains(&server.sessions, before).await {
        return Err(Failed::from(format!(
            "after a hundred clients something remains: {vanished:?}"
        )));
    }
    let vanished = clients_that_vanish(&server, 1000, 0x5eed).await;
    let vanished_enough = vanished.began > 300
        && vanished.not_begun > 100
        && vanished.read_to_end < vanished.began / 2;
    if !vanished_enough {
        return Err(Failed::from(format!("too few vanished: {vanished:?}")));
    }
    if !nothing_remains(&server.sessions, before).await {
        let tasks = Handle::current().metrics().num_alive_tasks();
        return Err(Failed::from(format!(
            "{tasks} tasks instead of {before}, {} sessions in memory",
            server.sessions.loaded()
        )));
    }
    Ok(())
}

/// Returns the number of tasks once it has been constant for two seconds.
async fn settled_tasks() -> usize {
    let tasks = || Handle::current().metrics().num_alive_tasks();
    let (mut count, mut since) = (tasks(), Instant::now());
    while since.elapsed() < Duration::from_secs(2) {
        tokio::time::sleep(Duration::from_millis(20)).await;
        if tasks() != count {
            (count, since) = (tasks(), Instant::now());
        }
    }
    count
}

/// A control: `nothing_remains` notices a task that goes on.
async fn a_remaining_task() -> Result<(), Failed> {
    let server = axum().await;
    clients_that_vanish(&server, 100, 1).await;
    let before = settled_tasks().await;
    let behind = tokio::spawn(std::future::pending::<()>());
    let left = nothing_remains(&server.sessions, before);
    let seen = tokio::time::timeout(Duration::from_millis(300), left).await;
    behind.abort();
    match seen {
        Err(_) => Ok(()),
        Ok(_) => Err(Failed::from("it was not noticed")),
    }
}
