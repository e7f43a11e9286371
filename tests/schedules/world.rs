//! Two registries on one store, and what a schedule does to them.

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
    broken::{Broken, ServerStore},
    check::Story,
    client::{self, Seen},
    plan::{Dice, Ending, Kind, Script},
    support::{TextFormat, id, start},
    trouble::Trouble,
};

/// The question to people.
const QUESTION: &str = "may I?";
pub(crate) const LEASE: Duration = Duration::from_secs(5);
/// The time that the world goes on once all faults are over: a lease for each server to be sure of the
/// store, one for the session, and the time to be served.
const AFTERMATH: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(crate) struct World {
    servers: [Sessions; 2],
    over: AtomicBool,
    kind: Kind,
    pub(crate) broken: Broken,
    /// Orphans are carried on, not ended.
    resumes: bool,
    scripts: Mutex<HashMap<SessionId, Script>>,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    calls: HashMap<SessionId, usize>,
    rewound: Vec<SessionId>,
    violations: Vec<String>,
    aborted: Vec<SessionId>,
    asked_to_abort: Vec<SessionId>,
    gave_up: Vec<SessionId>,
    // Sessions that were claimed and carried on before they had a record; each time.
    begun_late: Vec<SessionId>,
    // Readers that are open, of each session.
    readers: HashMap<SessionId, usize>,
    // What a source was answered.
    answers: HashMap<SessionId, Vec<Bytes>>,
}

impl World {
    pub(crate) fn pick(&self, dice: &mut Dice) -> &Sessions {
        &self.servers[usize::from(dice.one_in(2))]
    }

    /// True if the store answers every call at once, so that a reader which waits in vain was
    /// forgotten.
    pub(crate) fn answers(&self) -> bool {
        matches!(self.kind, Kind::Calm | Kind::Repeats | Kind::DroppedWakeups)
    }

    pub(crate) fn rewinds(&self) -> bool {
        self.kind == Kind::Rewinds
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.load(SeqCst)
    }

    pub(crate) fn violation(&self, what: String) {
        self.known.lock().unwrap().violations.push(what);
    }

    /// A reader was opened.
    pub(crate) fn reader_came(&self, id: &SessionId) {
        *self
            .known
            .lock()
            .unwrap()
            .readers
            .entry(id.clone())
            .or_default() += 1;
    }

    /// A reader is gone; returns true if it was the last one.
    pub(crate) fn reader_went(&self, id: &SessionId) -> bool {
        let mut known = self.known.lock().unwrap();
        let readers = known.readers.entry(id.clone()).or_default();
        *readers = readers.saturating_sub(1);
        *readers == 0
    }

    pub(crate) fn rewound(&self, id: &SessionId) {
        self.known.lock().unwrap().rewound.push(id.clone());
    }
}

/// Plays one schedule. The error says which promise was broken, and how.
pub(crate) fn run(seed: u64, kind: Option<Kind>, broken: Broken) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let mut dice = Dice::new(seed);
    let kind = kind.unwrap_or_else(|| Kind::roll(&mut dice));
    runtime
        .block_on(play(dice, kind, broken))
        .map_err(|what| format!("schedule {seed} ({kind:?}): promise {what}"))
}

async fn play(mut dice: Dice, kind: Kind, broken: Broken) -> Result<(), String> {
    let mut memory = BrokenStore::new(Memory::new());
    if let Broken::Rule(rule) = broken {
        memory = memory.breaking(rule);
    }
    let store = FaultStore::new(Audit::new(memory));
    let retention = Duration::from_secs(if dice.one_in(4) { 20 } else { 600 });
    let server = || {
        SessionsBuilder::new(ServerStore::new(store.clone(), broken), TextFormat)
            .lease(LEASE)
            .outage_timeout(Duration::from_secs(3))
            .follower_linger(Duration::from_secs(1))
            .hot_bytes(64)
            .retention(Retention::for_duration(retention))
            .build()
    };
    let world = Arc::new(World {
        servers: [server(), server()],
        over: AtomicBool::new(false),
        kind,
        broken,
        resumes: dice.one_in(2),
        scripts: Mutex::default(),
        known: Mutex::default(),
    });
    if world.resumes {
        for server in &world.servers {
            server.on_recovery("test".into(), Resumes(Arc::downgrade(&world), dice.fork()));
        }
    }
    // Both servers have known the store for a while.
    for server in &world.servers {
        let _ = server.attach(&id("nothing")).await;
    }
    sleep(LEASE * 2).await;

    let sessions: Vec<(SessionId, Script)> = (0..=dice.below(2))
        .map(|n| (id(&format!("session-{n}")), Script::roll(&mut dice)))
        .collect();
    world
        .scripts
        .lock()
        .unwrap()
        .extend(sessions.iter().cloned());
    let trouble = Trouble::new(kind, &mut dice, store.clone());
    let clients = act(&world, &sessions, trouble, &mut dice).await;
    settle(&world, clients, &sessions, kind).await?;
    match store.inner().violation() {
        Some(violation) => Err(format!("6: {violation}")),
        None => Ok(()),
    }
}

/// Starts, aborts, troubles; and the clients that read meanwhile.
async fn act(
    world: &Arc<World>,
    sessions: &[(SessionId, Script)],
    mut trouble: Trouble,
    dice: &mut Dice,
) -> Vec<Vec<tokio::task::JoinHandle<Vec<Seen>>>> {
    let mut starts = Vec::new();
    let mut clients = Vec::new();
    for (id, script) in sessions {
        // A start, its repetition, and a race on the other server.
        for _ in 0..=dice.below(3) {
            starts.push(tokio::spawn(begin(
                world.clone(),
                id.clone(),
                *script,
                dice.fork(),
            )));
        }
        if script.asks.is_some() {
            for at in 0..=dice.below(2) {
                let content = format!("answer {at}");
                let (world, id, dice) = (world.clone(), id.clone(), dice.fork());
                tokio::spawn(give(world, id, content, dice));
            }
        }
        clients.push(
            (0..=dice.below(3))
                .map(|_| tokio::spawn(client::read(world.clone(), id.clone(), dice.fork())))
                .collect(),
        );
    }
    for _ in 0..dice.below(25) {
        sleep(dice.millis(1500)).await;
        trouble.strike(dice);
        if dice.one_in(12) {
            let (id, _) =
                &sessions[usize::try_from(dice.below(sessions.len() as u64)).unwrap_or(0)];
            tokio::spawn(abort(world.clone(), id.clone(), dice.fork()));
        }
    }
    trouble.end();
    for start in starts {
        let _ = timeout(AFTERMATH, start).await;
    }
    clients
}

/// Heals, waits for every ending, and holds what was seen against the promises.
async fn settle(
    world: &Arc<World>,
    clients: Vec<Vec<tokio::task::JoinHandle<Vec<Seen>>>>,
    sessions: &[(SessionId, Script)],
    kind: Kind,
) -> Result<(), String> {
    let mut dice = Dice::new(1);
    // What hangs is stopped in the end, so that everything has an ending.
    sleep(Duration::from_secs(25)).await;
    for (id, script) in sessions {
        if script.ending == Ending::Hang {
            abort(world.clone(), id.clone(), dice.fork()).await;
        }
    }
    let deadline = Instant::now() + AFTERMATH;
    let mut stories = Vec::new();
    for (clients, (id, script)) in clients.into_iter().zip(sessions) {
        let mut seen = Vec::new();
        for client in clients {
            match tokio::time::timeout_at(deadline, client).await {
                Ok(Ok(theirs)) => seen.extend(theirs),
                Ok(Err(panic)) => return Err(format!("?: a client panicked: {panic}")),
                Err(_) => return Err("3: a client never got its ending".into()),
            }
        }
        stories.push(tell(world, id, *script, kind, seen).await?);
    }
    world.over.store(true, SeqCst);
    let mut known = world.known.lock().unwrap();
    if let Some(violation) = known.violations.pop() {
        return Err(format!("1: {violation}"));
    }
    let differ = |answers: &&Vec<Bytes>| answers.iter().any(|it| *it != answers[0]);
    if kind != Kind::Rewinds
        && let Some(answers) = known.answers.values().find(differ)
    {
        return Err(format!("inputs: one answer counts, not {answers:?}"));
    }
    drop(known);
    stories.iter().try_for_each(Story::check)
}

async fn tell(
    world: &World,
    id: &SessionId,
    script: Script,
    kind: Kind,
    seen: Vec<Seen>,
) -> Result<Story, String> {
    let (mut logs, mut status, mut claims) = (Vec::new(), None, 0);
    for server in &world.servers {
        match server.state(id).await {
            Ok(state) => {
                status = Some(state.status);
                claims = state.attempts;
            }
            Err(StoreError::Gone(_) | StoreError::NotFound) => break,
            Err(error) => return Err(format!("?: the store is well, but {error}")),
        }
        let log = timeout(AFTERMATH, whole_log(server, id)).await;
        let log = log.map_err(|_| "3: a log has no ending".to_owned())?;
        logs.push(log.map_err(|error| format!("1: {error}"))?);
    }
    let known = world.known.lock().unwrap();
    let begun_late = known.begun_late.iter().filter(|begun| *begun == id);
    Ok(Story {
        script,
        kind,
        seen,
        logs,
        status,
        claims,
        begun_late: u32::try_from(begun_late.count()).unwrap_or(u32::MAX),
        calls: known.calls.get(id).copied().unwrap_or(0),
        aborted: known.aborted.contains(id),
        asked_to_abort: known.asked_to_abort.contains(id),
        gave_up: known.gave_up.contains(id),
        rewound: kind == Kind::Rewinds,
        resumes: world.resumes,
    })
}

/// A session from its beginning to its end, as a server gives it.
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

async fn begin(world: Arc<World>, id: SessionId, script: Script, mut dice: Dice) {
    for _ in 0..10 {
        let server = world.pick(&mut dice).clone();
        let Ok(permit) = server.permit(None) else {
            return;
        };
        let answer = Answer::new(world.clone(), id.clone(), script, dice.fork());
        let start = start(&id).inbox(answer.inbox.clone());
        let starting = server.start(permit, start, answer);
        // Some clients give up before they have an answer, and try again.
        let patience = if dice.one_in(4) {
            dice.millis(20)
        } else {
            AFTERMATH
        };
        if let Ok(Ok(_)) = timeout(patience, starting).await {
            return;
        }
        world.known.lock().unwrap().gave_up.push(id.clone());
        sleep(dice.millis(1000)).await;
    }
}

/// Answers the question of a session, from any server, until it is stored or another one is, or
/// the session has ended. Where the store may forget all that, to the end of the world.
async fn give(world: Arc<World>, id: SessionId, content: String, mut dice: Dice) {
    sleep(dice.millis(20_000)).await;
    while !world.is_over() {
        let server = world.pick(&mut dice).clone();
        let answer = store::StoredAnswer::new(QUESTION, content.clone());
        match server.answer(&id, answer).await {
            Ok(AnswerOutcome::Stored(_) | AnswerOutcome::Taken)
            | Err(StoreError::Sealed | StoreError::Gone(_))
                if !world.rewinds() =>
            {
                return;
            }
            _ => sleep(Duration::from_millis(500)).await,
        }
    }
}

async fn abort(world: Arc<World>, id: SessionId, mut dice: Dice) {
    world.known.lock().unwrap().asked_to_abort.push(id.clone());
    for _ in 0..20 {
        let server = world.pick(&mut dice).clone();
        match server.abort(&id, AbortRequest::default()).await {
            Ok(state) => {
                if matches!(state.status, Status::Streaming | Status::Waiting) {
                    world.known.lock().unwrap().aborted.push(id.clone());
                }
                return;
            }
            Err(StoreError::Gone(_)) => return,
            Err(_) => sleep(Duration::from_millis(500)).await,
        }
    }
}

/// Goes on with the answer of an orphan where its log ends.
struct Resumes(Weak<World>, Dice);

impl RecoveryHandler for Resumes {
    fn recover(&self, orphan: Orphan) -> BoxFuture<'_, Result<Option<Continuation>, ReadError>> {
        Box::pin(async move {
            let said = orphan.read().await?;
            let said = said.iter().map(|chunk| chunk.len() as u64);
            let said = said.sum::<u64>().saturating_sub(1);
            let Some(world) = self.0.upgrade() else {
                return Ok(None);
            };
            if orphan.tail.get() == 0 {
                let mut known = world.known.lock().unwrap();
                known.begun_late.push(orphan.id().clone());
            }
            let script = world.scripts.lock().unwrap().get(orphan.id()).copied();
            let Some(script) = script else {
                return Ok(None);
            };
            let mut answer = Answer::new(world, orphan.id().clone(), script, self.1.clone());
            answer.said = said;
            if script.asks == Some(said) {
                answer.ask();
            }
            let inbox = answer.inbox.clone();
            let on = Continuation::new(answer).inbox(inbox);
            Ok(Some(if orphan.tail.get() == 0 {
                on.first("info")
            } else {
                on
            }))
        })
    }
}

/// The answer of the provider: `e1`, `e2`, …, with pauses, and an ending.
struct Answer {
    world: Arc<World>,
    id: SessionId,
    script: Script,
    said: u64,
    called: bool,
    pause: Option<Pin<Box<Sleep>>>,
    inbox: Inbox,
    asking: Option<BoxFuture<'static, Bytes>>,
    dice: Dice,
}

impl Answer {
    fn new(world: Arc<World>, id: SessionId, script: Script, dice: Dice) -> Self {
        Self {
            world,
            id,
            script,
            said: 0,
            called: false,
            pause: None,
            inbox: Inbox::new(),
            asking: None,
            dice,
        }
    }

    fn ask(&mut self) {
        let inbox = self.inbox.clone();
        self.asking = Some(Box::pin(async move {
            inbox.recv(QUESTION).await.expect("nobody closes it")
        }));
    }
}

impl Source for Answer {
    fn poll_record(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut BytesMut,
    ) -> Poll<Option<Mark>> {
        if !self.called {
            self.called = true;
            let mut known = self.world.known.lock().unwrap();
            *known.calls.entry(self.id.clone()).or_default() += 1;
        }
        if let Some(asking) = &mut self.asking {
            let answer = std::task::ready!(asking.as_mut().poll(cx));
            self.asking = None;
            let mut known = self.world.known.lock().unwrap();
            known
                .answers
                .entry(self.id.clone())
                .or_default()
                .push(answer);
        }
        if self.pause.is_none() && self.script.pause > 0 {
            let pause = self.script.pause;
            let pause = self.dice.millis(pause);
            self.pause = Some(Box::pin(sleep(pause)));
        }
        if let Some(pause) = &mut self.pause {
            std::task::ready!(pause.as_mut().poll(cx));
            self.pause = None;
        }
        if self.said < self.script.events {
            self.said += 1;
            out.extend_from_slice(format!("e{}", self.said).as_bytes());
            if self.script.asks == Some(self.said) {
                self.ask();
                return Poll::Ready(Some(Mark::Waiting));
            }
            return Poll::Ready(Some(Mark::Event));
        }
        match self.script.ending {
            Ending::Complete => Poll::Ready(None),
            Ending::Hang => Poll::Pending,
            Ending::Panic => std::panic::resume_unwind(Box::new("as the schedule wants")),
            Ending::Fail => {
                out.extend_from_slice(b"failed");
                Poll::Ready(Some(Mark::Terminal(Outcome::Error(ErrorCode::Provider))))
            }
        }
    }
}
