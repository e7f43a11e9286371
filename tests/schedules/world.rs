//! Two registries on one store, and what a schedule does to them.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::BytesMut;
use tokio::time::{Instant, Sleep, sleep, timeout};
use unbroken::{
    session::{
        ErrorCode, Flaw, Mark, Outcome, Position, ReadError, Retention, SessionId, Sessions,
        Source, Status,
    },
    store::{Abort, Memory, StoreError},
    testing::{Fault, FaultStore, Jump, Op, Rates, Rewind, Rule},
};

use crate::{
    audit::Audit,
    check::Story,
    client::{self, Seen},
    plan::{Dice, Ending, Kind, Script},
    support::{Words, id, start},
};

/// What is switched off.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Broken {
    flaw: Option<Flaw>,
    rule: Option<Rule>,
}

impl From<Flaw> for Broken {
    fn from(flaw: Flaw) -> Self {
        Self {
            flaw: Some(flaw),
            rule: None,
        }
    }
}

impl From<Rule> for Broken {
    fn from(rule: Rule) -> Self {
        Self {
            flaw: None,
            rule: Some(rule),
        }
    }
}

const LEASE: Duration = Duration::from_secs(5);
/// How long the world goes on once all faults are over: a lease for each server to be sure of the
/// store, one for the session, and the time to be served.
const AFTERMATH: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(crate) struct World {
    servers: [Sessions; 2],
    over: AtomicBool,
    kind: Kind,
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
}

impl World {
    pub(crate) fn pick(&self, dice: &mut Dice) -> &Sessions {
        &self.servers[usize::from(dice.one_in(2))]
    }

    /// Whether the store answers every call at once, so that a reader which waits in vain was
    /// forgotten.
    pub(crate) fn answers(&self) -> bool {
        matches!(self.kind, Kind::Calm | Kind::Repeats | Kind::DroppedWakeups)
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.load(SeqCst)
    }

    pub(crate) fn violation(&self, what: String) {
        self.known.lock().unwrap().violations.push(what);
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
    let mut memory = Memory::new();
    if let Some(rule) = broken.rule {
        memory = memory.without(rule);
    }
    let store = FaultStore::new(Audit::new(memory));
    let retention = Duration::from_secs(if dice.one_in(4) { 20 } else { 600 });
    let server = || {
        let mut builder = Sessions::with_format(store.clone(), Words)
            .lease(LEASE)
            .patience(Duration::from_secs(3))
            .linger(Duration::from_secs(1))
            .hot_bytes(64)
            .retention(Retention::for_duration(retention));
        if let Some(flaw) = broken.flaw {
            builder = builder.flaw(flaw);
        }
        builder.build()
    };
    let world = Arc::new(World {
        servers: [server(), server()],
        over: AtomicBool::new(false),
        kind,
        known: Mutex::default(),
    });
    // Both servers have known the store for a while.
    for server in &world.servers {
        let _ = server.attach(&id("nothing")).await;
    }
    sleep(LEASE * 2).await;

    let sessions: Vec<(SessionId, Script)> = (0..=dice.below(2))
        .map(|n| (id(&format!("session-{n}")), Script::roll(&mut dice)))
        .collect();
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
    if let Some(violation) = world.known.lock().unwrap().violations.pop() {
        return Err(format!("1: {violation}"));
    }
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
    Ok(Story {
        script,
        kind,
        seen,
        logs,
        status,
        claims,
        calls: known.calls.get(id).copied().unwrap_or(0),
        aborted: known.aborted.contains(id),
        asked_to_abort: known.asked_to_abort.contains(id),
        gave_up: known.gave_up.contains(id),
        rewound: kind == Kind::Rewinds,
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
        let answer = Answer {
            world: world.clone(),
            id: id.clone(),
            script,
            said: 0,
            called: false,
            pause: None,
            dice: dice.fork(),
        };
        let starting = server.start(permit, start(&id), answer);
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

async fn abort(world: Arc<World>, id: SessionId, mut dice: Dice) {
    world.known.lock().unwrap().asked_to_abort.push(id.clone());
    for _ in 0..20 {
        let server = world.pick(&mut dice).clone();
        match server.abort(&id, Abort::default()).await {
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

/// What the provider answers: `e1`, `e2`, …, with pauses, and an ending.
struct Answer {
    world: Arc<World>,
    id: SessionId,
    script: Script,
    said: u64,
    called: bool,
    pause: Option<Pin<Box<Sleep>>>,
    dice: Dice,
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

/// The faults of a schedule.
struct Trouble {
    kind: Kind,
    store: FaultStore<Audit>,
    snapshot: Option<<Memory as Rewind>::Snapshot>,
}

impl Trouble {
    fn new(kind: Kind, dice: &mut Dice, store: FaultStore<Audit>) -> Self {
        let mut rates = Rates::default();
        rates.repeat_within = 20;
        rates.pause_within = LEASE * 3;
        match kind {
            Kind::Calm | Kind::Rewinds => {}
            Kind::LostReplies => (rates.lose_before, rates.lose_after) = (100, 100),
            Kind::Repeats => rates.repeat = 300,
            Kind::DroppedWakeups => rates.miss_wake = 500,
            Kind::Takeovers => (rates.pause_before, rates.pause_after) = (10, 10),
            Kind::Storm => {
                (rates.lose_before, rates.lose_after) = (80, 80);
                (rates.pause_before, rates.pause_after) = (5, 5);
                (rates.repeat, rates.miss_wake) = (100, 200);
            }
        }
        store.faults().random(dice.roll(), rates);
        Self {
            kind,
            store,
            snapshot: None,
        }
    }

    fn strike(&mut self, dice: &mut Dice) {
        match self.kind {
            // An owner hangs in an append while another takes over, and hangs in turn.
            Kind::Takeovers if dice.one_in(4) => {
                let faults = self.store.faults();
                faults.next(Op::Append, Fault::PauseBefore(LEASE * 2));
                faults.next(Op::Claim, Fault::PauseAfter(LEASE * 2));
            }
            Kind::Takeovers if dice.one_in(4) => self.store.inner().memory.jump(LEASE * 2),
            Kind::Storm if dice.one_in(6) => self.store.inner().memory.jump(LEASE * 2),
            Kind::LostReplies | Kind::Storm if dice.one_in(4) => {
                let faults = self.store.faults().clone();
                // Short enough that a start which was applied unheard is repeated in time: past
                // that, somebody else may find an orphan.
                let span = if self.kind == Kind::Storm { 6000 } else { 1500 };
                let span = dice.millis(span);
                tokio::spawn(async move {
                    faults.outage(true);
                    sleep(span).await;
                    faults.outage(false);
                });
            }
            Kind::Rewinds if dice.one_in(3) => {
                self.snapshot = Some(self.store.inner().memory.snapshot());
            }
            Kind::Rewinds if dice.one_in(4) => {
                if let Some(snapshot) = &self.snapshot {
                    self.store.inner().memory.restore(snapshot);
                    self.store.inner().forget();
                }
            }
            _ => {}
        }
    }

    fn end(&self) {
        self.store.faults().heal();
    }
}
