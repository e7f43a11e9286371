//! Two registries on one store, under the faults of a schedule.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::time::{Instant, sleep, timeout};
use unbroken::{
    log::{Epoch, Position, ServiceName, SessionId, Status},
    session::{ReadError, Retention, Sessions, SessionsBuilder},
    store::{self, AbortRequest, AnswerOutcome, Memory, StoreError},
};
use unbroken_conformance::{BrokenStore, FaultStore};

use crate::{
    audit::Audit,
    client::{self, Received},
    defect::{Defect, DefectiveStore},
    history::SessionHistory,
    script::{Ending, Kind, Rng, Script},
    source::{ResumeOrphans, ScriptedSource},
    store_faults::StoreFaults,
    support::{TextFormat, id, start},
};

/// The name of the question to the user.
pub(crate) const QUESTION: &str = "may I?";
pub(crate) const LEASE: Duration = Duration::from_secs(5);
/// The time that the simulation runs after the last fault: a lease for each server to trust the store
/// again, one for the session, and the time to read.
const SETTLE_TIME: Duration = Duration::from_secs(60);

/// The servers of a schedule, and the observations of its clients and providers.
#[derive(Debug)]
pub(crate) struct Simulation {
    servers: [Sessions; 2],
    over: AtomicBool,
    kind: Kind,
    pub(crate) defect: Defect,
    /// True if the servers resume orphans; otherwise they end them.
    resumes_orphans: bool,
    scripts: Mutex<HashMap<SessionId, Script>>,
    observed: Mutex<Observations>,
}

#[derive(Debug, Default)]
struct Observations {
    calls: HashMap<SessionId, usize>,
    rewound: Vec<SessionId>,
    violations: Vec<String>,
    aborted: Vec<SessionId>,
    abort_requested: Vec<SessionId>,
    start_failed: Vec<SessionId>,
    // Sessions with a start that was confirmed, or whose client gave up before the response.
    asked_for: Vec<SessionId>,
    // The number of open readers by session.
    readers: HashMap<SessionId, usize>,
    // The answers that sources received.
    answers: HashMap<SessionId, Vec<Bytes>>,
}

impl Simulation {
    /// Returns a random server.
    pub(crate) fn server(&self, rng: &mut Rng) -> &Sessions {
        &self.servers[usize::from(rng.one_in(2))]
    }

    /// Returns true if the store answers every call at once: a reader that waits despite further records
    /// then has missed its wake-up.
    pub(crate) fn answers_at_once(&self) -> bool {
        matches!(self.kind, Kind::Calm | Kind::Repeats | Kind::DroppedWakeups)
    }

    pub(crate) fn rewinds(&self) -> bool {
        self.kind == Kind::Rewinds
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.load(SeqCst)
    }

    pub(crate) fn violation(&self, how: String) {
        self.observed.lock().unwrap().violations.push(how);
    }

    /// Counts a reader that was opened.
    pub(crate) fn reader_opened(&self, id: &SessionId) {
        *self
            .observed
            .lock()
            .unwrap()
            .readers
            .entry(id.clone())
            .or_default() += 1;
    }

    /// Counts a reader that was closed, and returns true if it was the last one.
    pub(crate) fn reader_closed(&self, id: &SessionId) -> bool {
        let mut observed = self.observed.lock().unwrap();
        let readers = observed.readers.entry(id.clone()).or_default();
        *readers = readers.saturating_sub(1);
        *readers == 0
    }

    /// Returns the script of a session.
    pub(crate) fn script(&self, id: &SessionId) -> Option<Script> {
        self.scripts.lock().unwrap().get(id).copied()
    }

    /// Counts a call of the provider.
    pub(crate) fn provider_called(&self, id: &SessionId) {
        let mut observed = self.observed.lock().unwrap();
        *observed.calls.entry(id.clone()).or_default() += 1;
    }

    /// Keeps the answer that a source received.
    pub(crate) fn answered(&self, id: &SessionId, answer: Bytes) {
        let mut observed = self.observed.lock().unwrap();
        observed.answers.entry(id.clone()).or_default().push(answer);
    }

    pub(crate) fn rewound(&self, id: &SessionId) {
        self.observed.lock().unwrap().rewound.push(id.clone());
    }
}

/// Runs one schedule. The error names the broken promise, and how it was broken.
pub(crate) fn run(seed: u64, kind: Option<Kind>, defect: Defect) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let mut rng = Rng::new(seed);
    let kind = kind.unwrap_or_else(|| Kind::random(&mut rng));
    runtime
        .block_on(play(rng, kind, defect))
        .map_err(|how| format!("schedule {seed} ({kind:?}): promise {how}"))
}

async fn play(mut rng: Rng, kind: Kind, defect: Defect) -> Result<(), String> {
    let mut memory = BrokenStore::new(Memory::new());
    if let Defect::Rule(rule) = defect {
        memory = memory.breaking(rule);
    }
    let store = FaultStore::new(Audit::new(memory));
    let retention = Duration::from_secs(if rng.one_in(4) { 20 } else { 600 });
    let server = || {
        SessionsBuilder::new(DefectiveStore::new(store.clone(), defect), TextFormat)
            .lease(LEASE)
            .outage_timeout(Duration::from_secs(3))
            .follower_linger(Duration::from_secs(1))
            .hot_bytes(64)
            .retention(Retention::for_duration(retention))
            .build()
    };
    let simulation = Arc::new(Simulation {
        servers: [server(), server()],
        over: AtomicBool::new(false),
        kind,
        defect,
        resumes_orphans: rng.one_in(2),
        scripts: Mutex::default(),
        observed: Mutex::default(),
    });
    if simulation.resumes_orphans {
        for server in &simulation.servers {
            server.on_recovery(
                ServiceName::new("test"),
                ResumeOrphans(Arc::downgrade(&simulation), rng.fork()),
            );
        }
    }
    // Both servers use the store for a while before the schedule.
    for server in &simulation.servers {
        let _ = server.attach(&id("nothing")).await;
    }
    sleep(LEASE * 2).await;

    let sessions: Vec<(SessionId, Script)> = (0..=rng.below(2))
        .map(|n| (id(&format!("session-{n}")), Script::random(&mut rng)))
        .collect();
    simulation
        .scripts
        .lock()
        .unwrap()
        .extend(sessions.iter().cloned());
    let faults = StoreFaults::new(kind, &mut rng, store.clone());
    let clients = act(&simulation, &sessions, faults, &mut rng).await;
    settle(&simulation, clients, &sessions, kind).await?;
    match store.inner().violation() {
        Some(violation) => Err(format!("6: {violation}")),
        None => Ok(()),
    }
}

/// Starts and aborts the sessions, injects faults, and returns the clients that read meanwhile.
async fn act(
    simulation: &Arc<Simulation>,
    sessions: &[(SessionId, Script)],
    mut faults: StoreFaults,
    rng: &mut Rng,
) -> Vec<Vec<tokio::task::JoinHandle<Vec<Received>>>> {
    let mut starts = Vec::new();
    let mut clients = Vec::new();
    for (id, script) in sessions {
        // A start, its repetition, and a race on the other server.
        for _ in 0..=rng.below(3) {
            starts.push(tokio::spawn(start_session(
                simulation.clone(),
                id.clone(),
                *script,
                rng.fork(),
            )));
        }
        if script.asks.is_some() {
            for at in 0..=rng.below(2) {
                let content = format!("answer {at}");
                let (simulation, id, rng) = (simulation.clone(), id.clone(), rng.fork());
                tokio::spawn(answer_question(simulation, id, content, rng));
            }
        }
        clients.push(
            (0..=rng.below(3))
                .map(|_| tokio::spawn(client::read(simulation.clone(), id.clone(), rng.fork())))
                .collect(),
        );
    }
    for _ in 0..rng.below(25) {
        sleep(rng.millis(1500)).await;
        faults.inject(rng);
        if rng.one_in(12) {
            let (id, _) = &sessions[usize::try_from(rng.below(sessions.len() as u64)).unwrap_or(0)];
            tokio::spawn(abort(simulation.clone(), id.clone(), rng.fork()));
        }
    }
    faults.end();
    for start in starts {
        let _ = timeout(SETTLE_TIME, start).await;
    }
    clients
}

/// Waits for the end of every session, and checks the observations against the promises.
async fn settle(
    simulation: &Arc<Simulation>,
    clients: Vec<Vec<tokio::task::JoinHandle<Vec<Received>>>>,
    sessions: &[(SessionId, Script)],
    kind: Kind,
) -> Result<(), String> {
    let mut rng = Rng::new(1);
    // Answers that hang are aborted, so that every session ends.
    sleep(Duration::from_secs(25)).await;
    for (id, script) in sessions {
        if script.ending == Ending::Hang {
            abort(simulation.clone(), id.clone(), rng.fork()).await;
        }
    }
    let deadline = Instant::now() + SETTLE_TIME;
    let mut histories = Vec::new();
    for (clients, (id, script)) in clients.into_iter().zip(sessions) {
        let mut received = Vec::new();
        for client in clients {
            match tokio::time::timeout_at(deadline, client).await {
                Ok(Ok(by_client)) => received.extend(by_client),
                Ok(Err(panic)) => return Err(format!("?: a client panicked: {panic}")),
                Err(_) => return Err("3: a client received no terminal event".into()),
            }
        }
        histories.push(session_history(simulation, id, *script, kind, received).await?);
    }
    simulation.over.store(true, SeqCst);
    let mut observed = simulation.observed.lock().unwrap();
    if let Some(violation) = observed.violations.pop() {
        return Err(violation);
    }
    let differ = |answers: &&Vec<Bytes>| answers.iter().any(|it| *it != answers[0]);
    if kind != Kind::Rewinds
        && let Some(answers) = observed.answers.values().find(differ)
    {
        return Err(format!("inputs: one answer counts, not {answers:?}"));
    }
    drop(observed);
    histories.iter().try_for_each(SessionHistory::check)
}

/// Collects the observations of a session.
async fn session_history(
    simulation: &Simulation,
    id: &SessionId,
    script: Script,
    kind: Kind,
    received: Vec<Received>,
) -> Result<SessionHistory, String> {
    let (mut logs, mut status, mut claims, mut empty_claims) = (Vec::new(), None, 0, 0);
    for server in &simulation.servers {
        match server.state(id).await {
            Ok(state) => {
                status = Some(state.status);
                claims = state.epoch.claims();
            }
            Err(StoreError::Gone(_) | StoreError::NotFound) => break,
            Err(error) => return Err(format!("?: the store is healthy, but {error}")),
        }
        let log = timeout(SETTLE_TIME, whole_log(server, id)).await;
        let log = log.map_err(|_| "3: a log has no terminal event".to_owned())?;
        let (log, epoch) = log.map_err(|error| format!("1: {error}"))?;
        // Each claim makes the next epoch.
        empty_claims = epoch.saturating_sub(Epoch::first().counter);
        logs.push(log);
    }
    let observed = simulation.observed.lock().unwrap();
    Ok(SessionHistory {
        script,
        kind,
        received,
        logs,
        status,
        claims,
        empty_claims,
        calls: observed.calls.get(id).copied().unwrap_or(0),
        aborted: observed.aborted.contains(id),
        abort_requested: observed.abort_requested.contains(id),
        start_failed: observed.start_failed.contains(id),
        asked_for: observed.asked_for.contains(id),
        rewound: kind == Kind::Rewinds,
        resumes_orphans: simulation.resumes_orphans,
    })
}

/// Reads a session from its beginning to its end through a server. Returns the log, and the epoch of
/// its first record.
async fn whole_log(
    server: &Sessions,
    id: &SessionId,
) -> Result<(Vec<(u64, String)>, u64), ReadError> {
    let mut reader = server.attach(id).await?.reader(Position::START).await?;
    let mut log = Vec::new();
    let mut epoch = None;
    while let Some(batch) = reader.next().await {
        for record in batch?.chunk().records() {
            let text = String::from_utf8_lossy(record.bytes).into_owned();
            epoch.get_or_insert(record.epoch.counter);
            log.push((record.lsn.get(), text));
        }
    }
    Ok((log, epoch.unwrap_or(0)))
}

/// Starts a session on a random server, and tries again if that fails or has no response.
async fn start_session(simulation: Arc<Simulation>, id: SessionId, script: Script, mut rng: Rng) {
    for _ in 0..10 {
        let server = simulation.server(&mut rng).clone();
        let Ok(permit) = server.permit(None) else {
            return;
        };
        let source = ScriptedSource::new(simulation.clone(), id.clone(), script, rng.fork());
        let refused = source.refused.clone();
        let start = start(&id).inbox(source.inbox.clone());
        let starting = server.start(permit, start, source);
        // Some clients give up before they have a response, and try again.
        let limit = if rng.one_in(4) {
            rng.millis(20)
        } else {
            SETTLE_TIME
        };
        let started = timeout(limit, starting).await;
        let is_refused = matches!(started, Ok(Err(_)));
        if is_refused {
            refused.store(true, SeqCst);
        } else {
            let mut observed = simulation.observed.lock().unwrap();
            observed.asked_for.push(id.clone());
        }
        if let Ok(Ok(_)) = started {
            return;
        }
        if is_refused && simulation.defect == Defect::RefusedStartRuns {
            run_refused(&simulation, &id, script, refused, &mut rng);
        }
        simulation
            .observed
            .lock()
            .unwrap()
            .start_failed
            .push(id.clone());
        sleep(rng.millis(1000)).await;
    }
}

/// Runs a start that was refused, as a defective server would.
fn run_refused(
    simulation: &Arc<Simulation>,
    id: &SessionId,
    script: Script,
    refused: Arc<AtomicBool>,
    rng: &mut Rng,
) {
    let (server, id) = (simulation.server(rng).clone(), id.clone());
    let mut source = ScriptedSource::new(simulation.clone(), id.clone(), script, rng.fork());
    source.refused = refused;
    tokio::spawn(async move {
        let Ok(permit) = server.permit(None) else {
            return;
        };
        let start = start(&id).inbox(source.inbox.clone());
        let _ = server.start(permit, start, source).await;
    });
}

/// Answers the question of a session on random servers until an answer is stored or the session has
/// ended. If the store may rewind, it goes on until the simulation is over.
async fn answer_question(
    simulation: Arc<Simulation>,
    id: SessionId,
    content: String,
    mut rng: Rng,
) {
    sleep(rng.millis(20_000)).await;
    while !simulation.is_over() {
        let server = simulation.server(&mut rng).clone();
        let answer = store::StoredAnswer::new(QUESTION, content.clone());
        match server.answer(&id, answer).await {
            Ok(AnswerOutcome::Stored(_) | AnswerOutcome::Taken)
            | Err(StoreError::Sealed | StoreError::Gone(_))
                if !simulation.rewinds() =>
            {
                return;
            }
            _ => sleep(Duration::from_millis(500)).await,
        }
    }
}

async fn abort(simulation: Arc<Simulation>, id: SessionId, mut rng: Rng) {
    simulation
        .observed
        .lock()
        .unwrap()
        .abort_requested
        .push(id.clone());
    for _ in 0..20 {
        let server = simulation.server(&mut rng).clone();
        match server.abort(&id, AbortRequest::default()).await {
            Ok(state) => {
                if matches!(state.status, Status::Streaming | Status::Waiting) {
                    simulation.observed.lock().unwrap().aborted.push(id.clone());
                }
                return;
            }
            Err(StoreError::Gone(_)) => return,
            Err(_) => sleep(Duration::from_millis(500)).await,
        }
    }
}
