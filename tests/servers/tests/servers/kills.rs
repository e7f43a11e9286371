//! The server that writes is killed at random moments, again and again, while eight clients read.
//!
//! What a client was shown is acknowledged. Clients come back to whatever server lives, with the
//! cursor that they have; in the end each asks for the whole log once more and compares. Each kill
//! hits eight answers, and the next one comes when all eight clients have heard something new.

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
    Checked, Error, SOON, all,
    calls::micros,
    client::{Cut, Say, read, send, start},
    dice::Dice,
    engine::Engine,
    log::{Broken, Event, Policy, Promise, Seen},
    percentile,
    server::{BUSY, Server},
    team::Team,
};

const CLIENTS: usize = 8;
const LANES: usize = 6;
const TOKENS: usize = 40;
const DELAY_MS: u64 = 10;
const LEASE: Duration = Duration::from_secs(1);
/// How long after the lease an orphan may still be one.
const GRACE: Duration = Duration::from_secs(2);
/// How many of the rounds are run, in percent.
const SHARE: &str = "UNBROKEN_ROUNDS_PERCENT";

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for engine in Engine::ALL {
        trials.push(engine.trial("nothing_that_was_shown_is_lost_by_a_kill", kills));
        trials.push(engine.trial("the_check_notices_a_store_that_lies", lies));
    }
    trials
}

/// So many of something, or the part of them that was asked for.
pub(crate) fn rounds(all: usize) -> usize {
    let percent = std::env::var(SHARE).ok();
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
    let boards = all(lanes).await?;
    let sum = |of: fn(&Board) -> usize| boards.iter().map(of).sum::<usize>();
    let kills = sum(|board| board.kills);
    assert_eq!(kills, rounds);
    let (mut delays, mut excess) = (Vec::new(), Duration::ZERO);
    for board in &boards {
        for (kill, delay) in &board.recovered {
            // What it took about then.
            let around = kill.saturating_sub(2)..board.ordinary.len().min(kill + 1);
            let ordinary = board.ordinary[around].iter().max().copied();
            let ordinary = ordinary.unwrap_or_default();
            excess = excess.max(delay.saturating_sub(ordinary * BUSY));
            delays.push(*delay);
        }
    }
    let mut ordinary = boards
        .iter()
        .map(|board| &board.ordinary[..])
        .collect::<Vec<_>>()
        .concat();
    delays.sort();
    ordinary.sort();
    println!(
        "{}: {kills} kills, {} answers, {} events shown; {} times one ran on or ended after a kill \
         (p50 {:?}, p99 {:?}, most {:?}; a lease is {LEASE:?}, a new answer of one token took p50 \
         {:?}, most {:?}); {:?}",
        engine.name(),
        sum(|board| board.answers),
        sum(|board| board.shown),
        delays.len(),
        percentile(&delays, 50),
        percentile(&delays, 99),
        percentile(&delays, 100),
        percentile(&ordinary, 50),
        percentile(&ordinary, 100),
        began.elapsed(),
    );
    // All eight were in the middle of an answer, give or take those that were just done.
    assert!(
        delays.len() >= rounds * CLIENTS / 2,
        "kills that hit nobody"
    );
    if excess > LEASE + GRACE {
        let how = format!("orphans were left alone for {excess:?}, as an idle machine has it");
        return Err(Promise::Recovery.broken(how).into());
    }
    Ok(())
}

async fn lies(engine: Engine) -> Checked {
    let told = lane(engine, Policy::Resume, 20, "lies").await;
    let Err(error) = told else {
        return Err("nobody noticed".into());
    };
    let broken = error.downcast_ref::<Broken>().map(|broken| broken.promise);
    if broken == Some(Promise::Shown) {
        return Ok(());
    }
    Err(format!("it was noticed for another reason: {error}").into())
}

/// What the clients and the killer of a lane tell each other.
#[derive(Debug, Default)]
struct Board {
    /// The servers that live.
    up: Vec<SocketAddr>,
    /// The one that is killed next: answers are started there.
    writes: Option<SocketAddr>,
    killed: Option<(Instant, u64)>,
    kills: usize,
    /// How long an answer took that was begun at each kill.
    ordinary: Vec<Duration>,
    /// Which clients have heard a token that was said after the last kill.
    heard: [bool; CLIENTS],
    /// No answer is started any more.
    over: bool,
    /// After which kill, and how long after it, an answer ran on or ended.
    recovered: Vec<(usize, Duration)>,
    answers: usize,
    shown: usize,
}

struct Lane {
    team: Team,
    policy: Policy,
    board: Mutex<Board>,
}

async fn lane(
    engine: Engine,
    policy: Policy,
    rounds: usize,
    fault: &'static str,
) -> Result<Board, Error> {
    let lane = Lane {
        team: Team::new(engine, LEASE, policy.name())?.fault(fault),
        policy,
        board: Mutex::default(),
    };
    let clients = all((0..CLIENTS).map(|client| lane.client(client)));
    let ran = try_join(lane.kill(engine, rounds), clients).await.map(drop);
    let broken = ran.err();
    let Lane { team, board, .. } = lane;
    team.disband().await?;
    match broken {
        Some(error) => Err(error),
        None => Ok(board.into_inner().unwrap_or_else(PoisonError::into_inner)),
    }
}

impl Lane {
    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the servers that live in the end.
    async fn kill(&self, engine: Engine, rounds: usize) -> Result<(Server, Option<Server>), Error> {
        let mut dice = Dice::new();
        let mut writes = self.up(self.team.start().await?);
        self.board().writes = Some(writes.addr);
        let mut other = None;
        if engine.is_shared() {
            other = Some(self.up(self.team.start().await?));
        }
        for _ in 0..rounds {
            self.all_have_heard().await?;
            sleep(dice.millis(100)).await;
            {
                let mut board = self.board();
                board.up.retain(|addr| *addr != writes.addr);
                board.writes = None;
            }
            let at = Instant::now();
            writes.kill();
            {
                let mut board = self.board();
                board.killed = Some((at, micros()));
                board.heard = [false; CLIENTS];
                board.kills += 1;
                board.writes = other.as_ref().map(|it| it.addr);
            }
            writes = match other.take() {
                Some(survivor) => survivor,
                None => self.restarted().await?,
            };
            let ordinary = writes.ordinary_answer().await?;
            self.board().ordinary.push(ordinary);
            if engine.is_shared() {
                other = Some(self.up(self.team.start().await?));
            }
        }
        self.all_have_heard().await?;
        self.board().over = true;
        // They live on while the clients finish what they read.
        Ok((writes, other))
    }

    /// The server that comes after the only one: an orphan's time counts from when there is one.
    async fn restarted(&self) -> Result<Server, Error> {
        let server = self.up(self.team.start().await?);
        let mut board = self.board();
        board.writes = Some(server.addr);
        board.killed = board.killed.map(|(_, micros)| (Instant::now(), micros));
        Ok(server)
    }

    fn up(&self, server: Server) -> Server {
        self.board().up.push(server.addr);
        server
    }

    async fn all_have_heard(&self) -> Result<(), Error> {
        let began = Instant::now();
        loop {
            let heard = self.board().heard;
            if heard.iter().all(|heard| *heard) {
                return Ok(());
            }
            if began.elapsed() > SOON {
                let how = format!("who has heard something {SOON:?} after a kill: {heard:?}");
                return Err(Promise::Recovery.broken(how).into());
            }
            sleep(Duration::from_millis(3)).await;
        }
    }

    async fn client(&self, client: usize) -> Result<(), Error> {
        let mut dice = Dice::new();
        while !self.board().over {
            self.answer(client, &mut dice).await?;
            self.board().answers += 1;
        }
        Ok(())
    }

    /// One answer, read to its end, and then compared with its log.
    async fn answer(&self, client: usize, dice: &mut Dice) -> Result<(), Error> {
        let id = SessionId::random();
        let mut seen = Seen::default();
        let kills = self.board().kills;
        while !seen.is_over() {
            self.read_on(client, id.as_str(), kills, &mut seen, dice)
                .await?;
        }
        let mut whole = Seen::default();
        while !whole.is_over() {
            whole = Seen::default();
            self.read_on(CLIENTS, id.as_str(), kills, &mut whole, dice)
                .await?;
        }
        seen.is_in(&whole)?;
        whole.has_one_writer_at_a_time()?;
        whole.is_an_answer(TOKENS, self.policy)?;
        let calls = self.team.journal.calls(id.as_str()).len();
        let epochs = whole.tags().len();
        let most = match self.policy {
            Policy::Fail => 1,
            // Each epoch wrote a record before it called.
            Policy::Restart => epochs,
            Policy::Resume => epochs + self.board().kills - kills,
        };
        // A server that dies between its first record and the call has called nobody.
        let least = usize::from(whole.tokens().next().is_some());
        if calls < least || calls > most {
            let how = format!("{calls} calls for {id}, not {least} to {most}");
            return Err(Promise::Calls.broken(how).into());
        }
        Ok(())
    }

    /// Reads from some server until that is cut, or the answer is over.
    async fn read_on(
        &self,
        client: usize,
        id: &str,
        kills: usize,
        seen: &mut Seen,
        dice: &mut Dice,
    ) -> Result<(), Error> {
        let is_new = seen.0.is_empty() && client < CLIENTS;
        let addr = {
            let board = self.board();
            match board.up.len() {
                0 => None,
                _ if is_new => board.writes,
                count => Some(board.up[dice.index(count)]),
            }
        };
        let again = sleep(Duration::from_millis(5));
        let Some(addr) = addr else {
            again.await;
            return Ok(());
        };
        let request = if is_new {
            start(id, Say::tokens(TOKENS, DELAY_MS))
        } else {
            read(id, seen.last())
        };
        let Ok(mut answer) = send(addr, request).await else {
            again.await;
            return Ok(());
        };
        match answer.status().as_u16() {
            200 => {}
            429 | 503 => {
                again.await;
                return Ok(());
            }
            status => {
                let body = answer.rest().await.unwrap_or_default();
                let body = String::from_utf8_lossy(&body);
                let how = format!("{status} after {:?}: {body}", seen.last());
                return Err(Promise::Shown.broken(how).into());
            }
        }
        loop {
            match answer.next().await {
                Ok(Some(event)) => {
                    if client < CLIENTS {
                        self.board().hear(client, kills, seen, &event);
                    }
                    seen.take(event)?;
                }
                Ok(None) if seen.is_over() => return Ok(()),
                Ok(None) => {
                    let how = format!("a clean end after {:?}", seen.last());
                    return Err(Promise::Ending.broken(how).into());
                }
                Err(Cut) => return Ok(()),
            }
        }
    }
}

impl Board {
    /// A client got an event of an answer that was begun after so many kills.
    fn hear(&mut self, client: usize, kills: usize, seen: &Seen, event: &Event) {
        self.shown += 1;
        let Some((at, micros)) = self.killed else {
            self.heard[client] = true;
            return;
        };
        let taken_over = seen.last().is_some_and(|last| last.tag() != event.tag());
        if taken_over && kills < self.kills && !self.heard[client] {
            self.recovered.push((self.kills, at.elapsed()));
        }
        if event.token().is_some_and(|token| token.at > micros) {
            self.heard[client] = true;
        }
    }
}
