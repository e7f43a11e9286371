use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use unbroken::log::SessionId;

use super::{
    Error,
    client::{Say, ask, start, take_until},
    log::Seen,
};

/// Where a time is bounded, so many ordinary answers are added to the bound: next to nothing, unless
/// other work on the machine makes everything slower.
pub(crate) const BUSY: u32 = 8;

/// What a server is started with.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    pub(crate) store: String,
    pub(crate) space: String,
    pub(crate) calls: std::path::PathBuf,
    pub(crate) lease: Duration,
    pub(crate) policy: &'static str,
    pub(crate) fault: &'static str,
}

/// A server, in a process of its own, which ends with this.
#[derive(Debug)]
pub(crate) struct Server {
    process: Child,
    pub(crate) addr: SocketAddr,
    pub(crate) who: String,
}

impl Server {
    pub(crate) async fn start(setup: &Setup, who: &str) -> Result<Self, Error> {
        let (setup, who) = (setup.clone(), who.to_owned());
        let started = tokio::task::spawn_blocking(move || Self::spawn(&setup, who));
        started.await?
    }

    fn spawn(setup: &Setup, who: String) -> Result<Self, Error> {
        let mut process = Command::new(env!("CARGO_BIN_EXE_test-server"))
            .args(["--store", &setup.store])
            .args(["--space", &setup.space])
            .args(["--who", &who])
            .arg("--calls")
            .arg(&setup.calls)
            .args(["--lease-ms", &setup.lease.as_millis().to_string()])
            .args(["--policy", setup.policy])
            .args(["--fault", setup.fault])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let said = process.stdout.take().ok_or("no output")?;
        let mut line = String::new();
        BufReader::new(said).read_line(&mut line)?;
        let Some(addr) = line.trim_end().strip_prefix("listening on ") else {
            let _ = process.kill();
            let status = process.wait()?;
            return Err(format!("{who} doesn't listen, and exits with {status}").into());
        };
        Ok(Self {
            addr: addr.parse()?,
            process,
            who,
        })
    }

    /// Ends it as a crash would: nothing of it runs any more when this returns.
    pub(crate) fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Stops it where it is.
    pub(crate) fn stop(&self) -> Result<(), Error> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on.
    pub(crate) fn go_on(&self) -> Result<(), Error> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Result<(), Error> {
        let id = Pid::from_raw(self.process.id().try_into()?).ok_or("no process")?;
        Ok(kill_process(id, signal)?)
    }
}

impl Server {
    /// The time that a short answer takes here and now, from the request to its end.
    pub(crate) async fn ordinary_answer(&self) -> Result<Duration, Error> {
        let began = Instant::now();
        let request = start(SessionId::random().as_str(), Say::tokens(1, 0));
        let mut answer = ask(self.addr, request).await?;
        take_until(&mut answer, &mut Seen::default(), |_| false).await?;
        Ok(began.elapsed())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}
