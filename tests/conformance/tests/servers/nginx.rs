//! The suite against axum behind nginx, in common configurations.

use std::{
    env, fs,
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, atomic::Ordering::SeqCst},
    thread,
    time::{Duration, Instant},
};

use libtest_mimic::{Completion, Failed, Trial};
use tempfile::TempDir;
use unbroken_conformance::{
    Verdict,
    http::{HttpCase, HttpTarget},
};

use crate::{chat::Server, frameworks::axum, judge, runtime};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        behind_nginx(
            "nginx with HTTP/1.1 to the server",
            "proxy_http_version 1.1;",
            |it| it,
            &[],
        ),
        behind_nginx(
            "nginx with kept connections to the server",
            KEEP_ALIVE,
            |it| it,
            &[],
        ),
        behind_nginx(
            "nginx with HTTP/1.0 to the server",
            "",
            |target| target.waive(CUT, "over HTTP/1.0 a cut looks like an end"),
            &[CUT],
        ),
        behind_nginx(
            "nginx with HTTP/2 to the client",
            "proxy_http_version 1.1;",
            HttpTarget::http2,
            &[],
        ),
        if_installed("nginx keeps connections where configured", || {
            runtime().block_on(keeps_connections())
        }),
        if_installed("nginx that ignores X-Accel-Buffering is noticed", || {
            runtime().block_on(buffers())
        }),
    ]
}

const CUT: &str = "a_body_without_its_terminal_event_fails";
const UNBUFFERED: &str = "the_head_tells_proxies_not_to_buffer";
const SLOW_BODY: &str = "a_body_that_is_too_slow_is_408";

/// Runs the suite behind nginx, without the waived cases and those that nginx answers in the server's
/// place.
fn behind_nginx(
    name: &str,
    options: &'static str,
    adapt: fn(HttpTarget) -> HttpTarget,
    waived: &'static [&'static str],
) -> Trial {
    if_installed(name, move || {
        runtime().block_on(async move {
            let server = axum().await;
            let nginx = Nginx::start(server.addr, options, adapt);
            let target = adapt(target_through(&server, &nginx));
            let waived = [&[UNBUFFERED, SLOW_BODY], waived].concat();
            judge(target, &waived).await
        })
    })
}

/// Describes a server behind nginx, which reads a request in full before it forwards it, and consumes
/// the headers that are meant for proxies.
fn target_through(server: &Server, nginx: &Nginx) -> HttpTarget {
    server
        .target_at(nginx.addr)
        .waive(UNBUFFERED, "nginx consumes X-Accel-Buffering")
        .waive(
            SLOW_BODY,
            "nginx reads a request in full before it forwards it",
        )
}

const KEEP_ALIVE: &str = "proxy_http_version 1.1; proxy_set_header Connection \"\";";

/// Checks that nginx sends some twenty answers over a few kept connections, and over as many without.
async fn keeps_connections() -> Result<(), Failed> {
    let case = HttpCase::find("a_reader_gets_what_follows_its_cursor").expect("a case");
    let mut opened = Vec::new();
    for options in [KEEP_ALIVE, "proxy_http_version 1.1;"] {
        let server = axum().await;
        let nginx = Nginx::start(server.addr, options, |it| it);
        let before = server.accepted.load(SeqCst);
        let finding = case.run(Arc::new(target_through(&server, &nginx))).await;
        if finding.verdict != Verdict::Passed {
            return Err(Failed::from(finding.to_string()));
        }
        opened.push(server.accepted.load(SeqCst) - before);
    }
    match opened[..] {
        [few, many] if few < 5 && many > 15 => Ok(()),
        _ => Err(Failed::from(format!("{opened:?} connections"))),
    }
}

/// A control: without the header, nginx collects events, and the suite fails.
async fn buffers() -> Result<(), Failed> {
    let server = axum().await;
    // Over HTTP/1.1 nginx forwards chunk by chunk even with buffering.
    let nginx = Nginx::start(
        server.addr,
        "proxy_ignore_headers X-Accel-Buffering;",
        |it| it,
    );
    let target = Arc::new(target_through(&server, &nginx));
    for name in [
        "events_arrive_within_50_ms",
        "each_event_arrives_before_the_next_is_produced",
    ] {
        let case = HttpCase::find(name).expect("a case");
        let finding = case.run(target.clone()).await;
        if !matches!(finding.verdict, Verdict::Failed(_)) {
            return Err(Failed::from(format!("the case should fail: {finding}")));
        }
    }
    Ok(())
}

/// Creates a trial that is ignored without nginx, and fails without nginx in CI.
fn if_installed(name: &str, run: impl FnOnce() -> Result<(), Failed> + Send + 'static) -> Trial {
    Trial::ignorable_test(name, move || {
        if Path::new(NGINX).exists() {
            return run().map(|()| Completion::Completed);
        }
        let reason = format!("{NGINX} is not installed");
        if env::var_os("CI").is_some() {
            return Err(Failed::from(format!("{reason}, and this is CI")));
        }
        Ok(Completion::ignored_with(reason))
    })
}

const NGINX: &str = "/usr/sbin/nginx";

/// A proxy that runs until it is dropped.
struct Nginx {
    addr: SocketAddr,
    process: Child,
    _folder: TempDir,
}

impl Nginx {
    fn start(server: SocketAddr, options: &str, adapt: fn(HttpTarget) -> HttpTarget) -> Self {
        // Another process may take the free port before nginx does.
        (0..5)
            .find_map(|_| Self::try_start(server, options, adapt))
            .expect("nginx starts")
    }

    fn try_start(
        server: SocketAddr,
        options: &str,
        adapt: fn(HttpTarget) -> HttpTarget,
    ) -> Option<Self> {
        let folder = TempDir::new().expect("a folder");
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let addr = free.local_addr().expect("an address");
        drop(free);
        let probe = adapt(HttpTarget::new("http://127.0.0.1").expect("an address"));
        let http2 = if probe.is_http2() { "http2" } else { "" };
        let at = folder.path().display();
        let kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let temporary = kinds.map(|kind| format!("{kind}_temp_path {at}/{kind};"));
        let temporary = temporary.join("\n");
        let config = format!(
            "daemon off; master_process off; pid {at}/pid; error_log {at}/errors warn;
             events {{ worker_connections 2048; }}
             http {{
                 access_log off; client_max_body_size 4m;
                 {temporary}
                 upstream chat {{ server {server}; keepalive 16; }}
                 server {{
                     listen {addr} {http2};
                     location / {{ proxy_pass http://chat; {options} }}
                 }}
             }}"
        );
        let path = folder.path().join("nginx.conf");
        fs::write(&path, config).expect("a file");
        let mut process = Command::new(NGINX)
            .arg("-p")
            .arg(folder.path())
            .arg("-e")
            .arg(folder.path().join("errors"))
            .arg("-c")
            .arg(&path)
            .stdout(Stdio::null())
            .spawn()
            .expect("nginx is there");
        let begun = Instant::now();
        while TcpStream::connect(addr).is_err() {
            if process.try_wait().expect("its state").is_some() {
                let errors = fs::read_to_string(folder.path().join("errors")).unwrap_or_default();
                eprintln!("nginx ended: {errors}");
                return None;
            }
            assert!(begun.elapsed() < Duration::from_secs(10), "nginx hangs");
            thread::sleep(Duration::from_millis(10));
        }
        Some(Self {
            addr,
            process,
            _folder: folder,
        })
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
