//! Two registries on one store, under the faults of a schedule.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use tokio::time::{Instant, Sleep, sleep, timeout};
use unbroken::{
    BoxFuture,
    log::{ErrorCode, Outcome, Position, SessionId, Status},
    session::{
        Continuation, Inbox, Mark, Orphan, ReadError, RecoveryHandler, Retention, Sessions,
        SessionsBuilder, Source,
    },
    store::{self, AbortRequest, AnswerOutcome, Memory, StoreError},
};
use unbroken_conformance::{BrokenStore, FaultStore};

use crate::{
    audit::Audit,
    client::{self, Received},
    defect::{Defect, DefectiveStore},
    history::SessionHistory,
    script::{Ending, Kind, Rng, Script},
    store_faults::StoreFaults,
    support::{TextFormat, id, start},
};

/// The name of the question to the user.
const QUESTION: &str = "may I?";
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
    // Sessions that were claimed for a resumption before they had a record, once for each claim.
    empty_claims: Vec<SessionId>,
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
                "test".into(),
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
        return Err(format!("1: {violation}"));
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
    let (mut logs, mut status, mut claims) = (Vec::new(), None, 0);
    for server in &simulation.servers {
        match server.state(id).await {
            Ok(state) => {
                status = Some(state.status);
                claims = state.attempts;
            }
            Err(StoreError::Gone(_) | StoreError::NotFound) => break,
            Err(error) => return Err(format!("?: the store is healthy, but {error}")),
        }
        let log = timeout(SETTLE_TIME, whole_log(server, id)).await;
        let log = log.map_err(|_| "3: a log has no terminal event".to_owned())?;
        logs.push(log.map_err(|error| format!("1: {error}"))?);
    }
    let observed = simulation.observed.lock().unwrap();
    let empty_claims = observed
        .empty_claims
        .iter()
        .filter(|claimed| *claimed == id);
    Ok(SessionHistory {
        script,
        kind,
        received,
        logs,
        status,
        claims,
        empty_claims: u32::try_from(empty_claims.count()).unwrap_or(u32::MAX),
        calls: observed.calls.get(id).copied().unwrap_or(0),
        aborted: observed.aborted.contains(id),
        abort_requested: observed.abort_requested.contains(id),
        start_failed: observed.start_failed.contains(id),
        rewound: kind == Kind::Rewinds,
        resumes_orphans: simulation.resumes_orphans,
    })
}

/// Reads a session from its beginning to its end through a server.
async fn whole_log(server: &Sessions, id: &SessionId) -> Result<Vec<(u64, String)>, ReadError> {
    let mut reader = server.attach(id).await?.reader(Position::START).await?;
    let mut log = Vec::new();
    while let Some(batch) = reader.next().await {
        for record in batch?.chunk().records() {
            let text = String::from_utf8_lossy(record.bytes).into_owned();
            log.push((record.lsn.get(), text));
        }
    }
    Ok(log)
}

/// Starts a session on a random server, and tries again if that fails or has no response.
async fn start_session(simulation: Arc<Simulation>, id: SessionId, script: Script, mut rng: Rng) {
    for _ in 0..10 {
        let server = simulation.server(&mut rng).clone();
        let Ok(permit) = server.permit(None) else {
            return;
        };
        let source = ScriptedSource::new(simulation.clone(), id.clone(), script, rng.fork());
        let start = start(&id).inbox(source.inbox.clone());
        let starting = server.start(permit, start, source);
        // Some clients give up before they have a response, and try again.
        let limit = if rng.one_in(4) {
            rng.millis(20)
        } else {
            SETTLE_TIME
        };
        if let Ok(Ok(_)) = timeout(limit, starting).await {
            return;
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

/// A handler that resumes the answer of an orphan at the end of its log.
struct ResumeOrphans(Weak<Simulation>, Rng);

impl RecoveryHandler for ResumeOrphans {
    fn recover(&self, orphan: Orphan) -> BoxFuture<'_, Result<Option<Continuation>, ReadError>> {
        Box::pin(async move {
            let chunks = orphan.read().await?;
            let records = chunks.iter().map(|chunk| chunk.len() as u64);
            let emitted = records.sum::<u64>().saturating_sub(1);
            let Some(simulation) = self.0.upgrade() else {
                return Ok(None);
            };
            if orphan.tail.get() == 0 {
                let mut observed = simulation.observed.lock().unwrap();
                observed.empty_claims.push(orphan.id().clone());
            }
            let script = simulation.scripts.lock().unwrap().get(orphan.id()).copied();
            let Some(script) = script else {
                return Ok(None);
            };
            let mut source =
                ScriptedSource::new(simulation, orphan.id().clone(), script, self.1.clone());
            source.emitted = emitted;
            if script.asks == Some(emitted) {
                source.ask();
            }
            let inbox = source.inbox.clone();
            let continuation = Continuation::new(source).inbox(inbox);
            Ok(Some(if orphan.tail.get() == 0 {
                continuation.first("info")
            } else {
                continuation
            }))
        })
    }
}

/// The answer of a provider: `e1`, `e2`, …, with pauses, and its ending.
struct ScriptedSource {
    simulation: Arc<Simulation>,
    id: SessionId,
    script: Script,
    // The number of events so far.
    emitted: u64,
    called: bool,
    pause: Option<Pin<Box<Sleep>>>,
    inbox: Inbox,
    asking: Option<BoxFuture<'static, Bytes>>,
    rng: Rng,
}

impl ScriptedSource {
    fn new(simulation: Arc<Simulation>, id: SessionId, script: Script, rng: Rng) -> Self {
        Self {
            simulation,
            id,
            script,
            emitted: 0,
            called: false,
            pause: None,
            inbox: Inbox::new(),
            asking: None,
            rng,
        }
    }

    fn ask(&mut self) {
        let inbox = self.inbox.clone();
        self.asking = Some(Box::pin(async move {
            inbox.recv(QUESTION).await.expect("the question stays open")
        }));
    }
}

impl Source for ScriptedSource {
    fn poll_record(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut BytesMut,
    ) -> Poll<Option<Mark>> {
        if !self.called {
            self.called = true;
            let mut observed = self.simulation.observed.lock().unwrap();
            *observed.calls.entry(self.id.clone()).or_default() += 1;
        }
        if let Some(asking) = &mut self.asking {
            let answer = std::task::ready!(asking.as_mut().poll(cx));
            self.asking = None;
            let mut observed = self.simulation.observed.lock().unwrap();
            observed
                .answers
                .entry(self.id.clone())
                .or_default()
                .push(answer);
        }
        if self.pause.is_none() && self.script.pause > 0 {
            let pause = self.script.pause;
            let pause = self.rng.millis(pause);
            self.pause = Some(Box::pin(sleep(pause)));
        }
        if let Some(pause) = &mut self.pause {
            std::task::ready!(pause.as_mut().poll(cx));
            self.pause = None;
        }
        if self.emitted < self.script.events {
            self.emitted += 1;
            out.extend_from_slice(format!("e{}", self.emitted).as_bytes());
            if self.script.asks == Some(self.emitted) {
                self.ask();
                return Poll::Ready(Some(Mark::Waiting));
            }
            return Poll::Ready(Some(Mark::Event));
        }
        match self.script.ending {
            Ending::Complete => Poll::Ready(None),
            Ending::Hang => Poll::Pending,
            Ending::Panic => std::panic::resume_unwind(Box::new("the script panics")),
            Ending::Fail => {
                out.extend_from_slice(b"failed");
                Poll::Ready(Some(Mark::Terminal(Outcome::Error(ErrorCode::Provider))))
            }
        }
    }
}
