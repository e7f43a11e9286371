//! The server that writes is killed again and again at random moments, while eight clients read.
//!
//! A client that loses its connection resumes from its cursor on a server that runs. At the end of an
//! answer it reads the whole log again and compares. Each kill interrupts eight answers. The next kill
//! follows when every client has received a newer token.

use std::{
    net::SocketAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use futures_util::future::try_join;
use libtest_mimic::Trial;
use tokio::time::sleep;
use unbroken::log::SessionId;

use crate::support::{
    Checked, Error, TIMEOUT, all,
    call_log::micros,
    client::{AnswerSpec, Disconnected, read, send, start},
    cluster::Cluster,
    engine::Engine,
    percentile,
    received::{Event, Policy, Promise, Received, Violation},
    rng::Rng,
    server::{LOAD_FACTOR, Server},
};

const CLIENTS: usize = 8;
const LANES: usize = 6;
const TOKENS: usize = 40;
const DELAY_MS: u64 = 10;
const LEASE: Duration = Duration::from_secs(1);
/// The time after the lease within which an orphan is recovered.
const GRACE: Duration = Duration::from_secs(2);
/// The environment variable with the share of the rounds to run, in percent.
const ROUNDS_PERCENT: &str = "UNBROKEN_ROUNDS_PERCENT";

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for engine in Engine::ALL {
        trials.push(engine.trial("a_kill_loses_no_event_that_a_client_received", kills));
        trials.push(engine.trial(
            "a_store_that_acknowledges_before_it_writes_is_detected",
            early_acks,
        ));
    }
    trials
}

/// Returns the share of these rounds that `UNBROKEN_ROUNDS_PERCENT` sets; all by default.
pub(crate) fn rounds(all: usize) -> usize {
    let percent = std::env::var(ROUNDS_PERCENT).ok();
    let percent = percent.and_then(|percent| percent.parse().ok());
    (all * percent.unwrap_or(100)).div_ceil(100)
}

async fn kills(engine: Engine) -> Checked {
    let rounds = rounds(if engine.is_shared() { 100 } else { 500 });
    let began = Instant::now();
    let lanes = (0..LANES).map(|at| {
        let policy = Policy::ALL[at % Policy::ALL.len()];
        let share = rounds / LANES + usize::from(at < rounds % LANES);
        lane(engine, policy, share, "none")
    });
    let states = all(lanes).await?;
    let sum = |of: fn(&LaneState) -> usize| states.iter().map(of).sum::<usize>();
    let kills = sum(|state| state.kills);
    assert_eq!(kills, rounds);
    let (mut delays, mut excess) = (Vec::new(), Duration::ZERO);
    for state in &states {
        for (kill, delay) in &state.recovered {
            // The load of the machine varies: only the answers at about this kill count.
            let around = kill.saturating_sub(2)..state.answer_times.len().min(kill + 1);
            let answer_time = state.answer_times[around].iter().max().copied();
            let answer_time = answer_time.unwrap_or_default();
            excess = excess.max(delay.saturating_sub(answer_time * LOAD_FACTOR));
            delays.push(*delay);
        }
    }
    let mut answer_times = states
        .iter()
        .map(|state| &state.answer_times[..])
        .collect::<Vec<_>>()
        .concat();
    delays.sort();
    answer_times.sort();
    println!(
        "{}: {kills} kills, {} answers, {} events; {} times one continued or ended after a kill \
         (p50 {:?}, p99 {:?}, most {:?}; a lease is {LEASE:?}, a new answer of one token took p50 \
         {:?}, most {:?}); {:?}",
        engine.name(),
        sum(|state| state.answers),
        sum(|state| state.events),
        delays.len(),
        percentile(&delays, 50),
        percentile(&delays, 99),
        percentile(&delays, 100),
        percentile(&answer_times, 50),
        percentile(&answer_times, 100),
        began.elapsed(),
    );
    // A kill interrupts all answers but those that had just ended.
    assert!(
        delays.len() >= rounds * CLIENTS / 2,
        "kills that interrupted no answer"
    );
    if excess > LEASE + GRACE {
        let how =
            format!("orphans were recovered after {excess:?}, without the load of the machine");
        return Err(Promise::Recovery.violated(how).into());
    }
    Ok(())
}

async fn early_acks(engine: Engine) -> Checked {
    let result = lane(engine, Policy::Resume, 20, "lies").await;
    let Err(error) = result else {
        return Err("the fault was not detected".into());
    };
    let promise = error
        .downcast_ref::<Violation>()
        .map(|violation| violation.promise);
    if promise == Some(Promise::Durability) {
        return Ok(());
    }
    Err(format!("another promise was broken: {error}").into())
}

/// The state that the clients of a lane share with the task that kills its servers.
#[derive(Debug, Default)]
struct LaneState {
    /// The servers that run.
    running: Vec<SocketAddr>,
    /// The server that is killed next: the clients start answers there.
    writer: Option<SocketAddr>,
    /// The time of the last kill, also in microseconds since 1970.
    killed: Option<(Instant, u64)>,
    kills: usize,
    /// The time of a short answer after each kill.
    answer_times: Vec<Duration>,
    /// True for each client that has received a token from after the last kill.
    has_new_token: [bool; CLIENTS],
    /// True if the clients start no further answer.
    is_over: bool,
    /// The kill, and the time after it, for each answer that continued or ended.
    recovered: Vec<(usize, Duration)>,
    answers: usize,
    /// The number of events that clients have received.
    events: usize,
}

struct Lane {
    cluster: Cluster,
    policy: Policy,
    state: Mutex<LaneState>,
}

async fn lane(
    engine: Engine,
    policy: Policy,
    rounds: usize,
    fault: &'static str,
) -> Result<LaneState, Error> {
    let lane = Lane {
        cluster: Cluster::new(engine, LEASE, policy.name())?.fault(fault),
        policy,
        state: Mutex::default(),
    };
    let clients = all((0..CLIENTS).map(|client| lane.client(client)));
    let ran = try_join(lane.kill(engine, rounds), clients).await.map(drop);
    let error = ran.err();
    let Lane { cluster, state, .. } = lane;
    cluster.clean_up().await?;
    match error {
        Some(error) => Err(error),
        None => Ok(state.into_inner().unwrap_or_else(PoisonError::into_inner)),
    }
}

impl Lane {
    fn state(&self) -> MutexGuard<'_, LaneState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Kills the writer this number of times, and returns the servers that run at the end.
    async fn kill(&self, engine: Engine, rounds: usize) -> Result<(Server, Option<Server>), Error> {
        let mut rng = Rng::new();
        let mut writer = self.add_running(self.cluster.start().await?);
        self.state().writer = Some(writer.addr);
        let mut other = None;
        if engine.is_shared() {
            other = Some(self.add_running(self.cluster.start().await?));
        }
        for _ in 0..rounds {
            self.wait_for_clients().await?;
            sleep(rng.millis(100)).await;
            {
                let mut state = self.state();
                state.running.retain(|addr| *addr != writer.addr);
                state.writer = None;
            }
            let at = Instant::now();
            writer.kill();
            {
                let mut state = self.state();
                state.killed = Some((at, micros()));
                state.has_new_token = [false; CLIENTS];
                state.kills += 1;
                state.writer = other.as_ref().map(|it| it.addr);
            }
            writer = match other.take() {
                Some(survivor) => survivor,
                None => self.restart().await?,
            };
            let answer_time = writer.answer_time().await?;
            self.state().answer_times.push(answer_time);
            if engine.is_shared() {
                other = Some(self.add_running(self.cluster.start().await?));
            }
        }
        self.wait_for_clients().await?;
        self.state().is_over = true;
        // The clients read their last answers from them.
        Ok((writer, other))
    }

    /// Starts the server after the only one. The time to recover an orphan begins with its start.
    async fn restart(&self) -> Result<Server, Error> {
        let server = self.add_running(self.cluster.start().await?);
        let mut state = self.state();
        state.writer = Some(server.addr);
        state.killed = state.killed.map(|(_, micros)| (Instant::now(), micros));
        Ok(server)
    }

    fn add_running(&self, server: Server) -> Server {
        self.state().running.push(server.addr);
        server
    }

    async fn wait_for_clients(&self) -> Result<(), Error> {
        let began = Instant::now();
        loop {
            let has_new_token = self.state().has_new_token;
            if has_new_token.iter().all(|it| *it) {
                return Ok(());
            }
            if began.elapsed() > TIMEOUT {
                let how =
                    format!("clients with a new token {TIMEOUT:?} after a kill: {has_new_token:?}");
                return Err(Promise::Recovery.violated(how).into());
            }
            sleep(Duration::from_millis(3)).await;
        }
    }

    async fn client(&self, client: usize) -> Result<(), Error> {
        let mut rng = Rng::new();
        while !self.state().is_over {
            self.answer(client, &mut rng).await?;
            self.state().answers += 1;
        }
        Ok(())
    }

    /// Reads one answer to its end, and compares it with its log.
    async fn answer(&self, client: usize, rng: &mut Rng) -> Result<(), Error> {
        let id = SessionId::random();
        let mut received = Received::default();
        let kills = self.state().kills;
        while !received.has_ended() {
            self.read_on(client, id.as_str(), kills, &mut received, rng)
                .await?;
        }
        let mut whole = Received::default();
        while !whole.has_ended() {
            whole = Received::default();
            self.read_on(CLIENTS, id.as_str(), kills, &mut whole, rng)
                .await?;
        }
        received.check_prefix_of(&whole)?;
        whole.check_single_writer()?;
        whole.check_answer(TOKENS, self.policy)?;
        let calls = self.cluster.call_log.calls(id.as_str()).len();
        let epochs = whole.tags().len();
        let most = match self.policy {
            Policy::Fail => 1,
            // Each epoch writes a record before the call.
            Policy::Restart => epochs,
            Policy::Resume => epochs + self.state().kills - kills,
        };
        // A server that is killed between its first record and the call has not called the provider.
        let least = usize::from(whole.tokens().next().is_some());
        if calls < least || calls > most {
            let how = format!("{calls} calls for {id}, not {least} to {most}");
            return Err(Promise::ProviderCalls.violated(how).into());
        }
        Ok(())
    }

    /// Reads from a random server until the connection breaks or the answer ends.
    async fn read_on(
        &self,
        client: usize,
        id: &str,
        kills: usize,
        received: &mut Received,
        rng: &mut Rng,
    ) -> Result<(), Error> {
        let is_new = received.0.is_empty() && client < CLIENTS;
        let addr = {
            let state = self.state();
            match state.running.len() {
                0 => None,
                _ if is_new => state.writer,
                count => Some(state.running[rng.index(count)]),
            }
        };
        let pause = sleep(Duration::from_millis(5));
        let Some(addr) = addr else {
            pause.await;
            return Ok(());
        };
        let request = if is_new {
            start(id, AnswerSpec::tokens(TOKENS, DELAY_MS))
        } else {
            read(id, received.last())
        };
        let Ok(mut answer) = send(addr, request).await else {
            pause.await;
            return Ok(());
        };
        match answer.status().as_u16() {
            200 => {}
            429 | 503 => {
                pause.await;
                return Ok(());
            }
            status => {
                let body = answer.rest().await.unwrap_or_default();
                let body = String::from_utf8_lossy(&body);
                let how = format!("{status} after {:?}: {body}", received.last());
                return Err(Promise::Durability.violated(how).into());
            }
        }
        loop {
            match answer.next().await {
                Ok(Some(event)) => {
                    if client < CLIENTS {
                        self.state().record(client, kills, received, &event);
                    }
                    received.push(event)?;
                }
                Ok(None) if received.has_ended() => return Ok(()),
                Ok(None) => {
                    let how = format!("a clean end after {:?}", received.last());
                    return Err(Promise::Ending.violated(how).into());
                }
                Err(Disconnected) => return Ok(()),
            }
        }
    }
}

impl LaneState {
    /// Records that a client received an event of an answer that started after this number of kills.
    fn record(&mut self, client: usize, kills: usize, received: &Received, event: &Event) {
        self.events += 1;
        let Some((at, micros)) = self.killed else {
            self.has_new_token[client] = true;
            return;
        };
        let taken_over = received
            .last()
            .is_some_and(|last| last.tag() != event.tag());
        if taken_over && kills < self.kills && !self.has_new_token[client] {
            self.recovered.push((self.kills, at.elapsed()));
        }
        if event.token().is_some_and(|token| token.at > micros) {
            self.has_new_token[client] = true;
        }
    }
}
