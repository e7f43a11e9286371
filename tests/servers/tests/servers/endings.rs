//! Servers that are killed while answers end: the application is told of every ending.

use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, HashSet},
    net::SocketAddr,
    time::{Duration, Instant},
};

use libtest_mimic::Trial;
use tokio::time::sleep;
use unbroken::log::SessionId;

use crate::{
    kills::rounds,
    support::{
        Checked, Error,
        client::{AnswerSpec, send, start},
        cluster::Cluster,
        engine::Engine,
        in_time,
        rng::Rng,
        server::Server,
    },
};

const LEASE: Duration = Duration::from_secs(1);
const CLIENTS: usize = 4;

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for engine in Engine::ALL {
        trials.push(engine.trial("an_ending_outlives_any_number_of_servers", outbox));
        trials.push(engine.trial("control_a_hook_is_lost_with_its_server", hook));
    }
    trials
}

/// The servers of a trial, and the sessions that clients started.
struct Scene {
    cluster: Cluster,
    servers: RefCell<Vec<Server>>,
    started: RefCell<HashSet<String>>,
    over: Cell<bool>,
}

impl Scene {
    async fn new(engine: Engine, endings: &'static str) -> Result<Self, Error> {
        let scene = Self {
            cluster: Cluster::new(engine, LEASE, "fail")?.endings(endings),
            servers: RefCell::default(),
            started: RefCell::default(),
            over: Cell::new(false),
        };
        for _ in 0..if engine.is_shared() { 2 } else { 1 } {
            scene.add_server().await?;
        }
        Ok(scene)
    }

    async fn add_server(&self) -> Checked {
        let server = self.cluster.start().await?;
        self.servers.borrow_mut().push(server);
        Ok(())
    }

    fn newest(&self) -> Option<SocketAddr> {
        self.servers.borrow().last().map(|server| server.addr)
    }

    fn oldest(&self) -> Option<SocketAddr> {
        self.servers.borrow().first().map(|server| server.addr)
    }

    /// Starts short answers until the kills are over. The server that is killed next has most of them.
    async fn ask(&self, mut rng: Rng) {
        while !self.over.get() {
            let id = SessionId::random();
            let addr = if rng.below(4) == 0 {
                self.newest()
            } else {
                self.oldest()
            };
            let Some(addr) = addr else {
                sleep(Duration::from_millis(2)).await;
                continue;
            };
            let spec = AnswerSpec::tokens(rng.index(4), rng.below(10));
            if let Ok(mut answer) = send(addr, start(id.as_str(), spec)).await
                && answer.status().is_success()
            {
                self.started.borrow_mut().insert(id.as_str().to_owned());
                while let Ok(Some(_)) = answer.next().await {}
            }
        }
    }

    /// Kills the oldest server again and again.
    async fn kill(&self, kills: usize, mut rng: Rng) -> Checked {
        for _ in 0..kills {
            sleep(Duration::from_millis(20) + rng.millis(120)).await;
            let server = self.servers.borrow_mut().remove(0);
            server.kill();
            self.add_server().await?;
        }
        self.over.set(true);
        Ok(())
    }

    /// Returns how often the application was told of each session that a client started.
    fn told(&self) -> HashMap<String, usize> {
        let mut told: HashMap<String, usize> = HashMap::new();
        for id in self.cluster.call_log.sessions("ended") {
            *told.entry(id).or_default() += 1;
        }
        told
    }

    fn missing(&self) -> usize {
        let told = self.told();
        let started = self.started.borrow();
        started.iter().filter(|id| !told.contains_key(*id)).count()
    }

    async fn run(&self, kills: usize) -> Checked {
        let clients = (0..CLIENTS).map(|_| self.ask(Rng::new()));
        let clients = futures_util::future::join_all(clients);
        let (killed, _) = futures_util::future::join(self.kill(kills, Rng::new()), clients).await;
        killed
    }

    async fn clean_up(self) -> Checked {
        drop(self.servers);
        self.cluster.clean_up().await
    }
}

async fn outbox(engine: Engine) -> Checked {
    let kills = rounds(if engine.is_shared() { 20 } else { 40 });
    let scene = Scene::new(engine, "outbox").await?;
    let began = Instant::now();
    scene.run(kills).await?;
    let waits = Instant::now();
    in_time("all endings", async {
        while scene.missing() > 0 {
            sleep(Duration::from_millis(100)).await;
        }
    })
    .await?;
    let told = scene.told();
    let times: usize = told.values().sum();
    println!(
        "{}: {kills} kills, {} sessions, each was told of, {} times again; {:?}, of which {:?} for the \
         last",
        engine.name(),
        scene.started.borrow().len(),
        times - told.len(),
        began.elapsed(),
        waits.elapsed(),
    );
    assert!(scene.started.borrow().len() >= kills, "hardly a session");
    scene.clean_up().await
}

async fn hook(engine: Engine) -> Checked {
    let scene = Scene::new(engine, "hook").await?;
    for _ in 0..20 {
        scene.over.set(false);
        scene.run(5).await?;
        // A hook takes less, and nothing else is to come.
        sleep(LEASE * 3).await;
        if scene.missing() > 0 {
            return scene.clean_up().await;
        }
    }
    Err("no ending was lost: the kills hit nothing".into())
}
