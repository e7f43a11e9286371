//! The conformance suite, for each way to reach the server.

use std::{path::Path, sync::Arc, time::Duration};

use libtest_mimic::Trial;
use tokio::sync::OnceCell;
use unbroken::{
    BoxFuture,
    log::{Lsn, SessionId},
    store::Store,
};
use unbroken_conformance::{
    Verdict,
    store::{CASES, Harness},
};
use unbroken_postgres::{Listen, Postgres, PostgresOpenError};

use crate::{
    machine::{Checked, Machine, ignored},
    tools::{PGBOUNCER, Pgbouncer},
};

/// The largest append, small enough for a test to exceed.
const MAX_APPEND: usize = 1 << 20;

pub(crate) fn trials(machine: &Machine) -> Vec<Trial> {
    let direct = suite(machine, "direct", |machine: Machine| async move {
        let options = machine.options().max_append_bytes(MAX_APPEND);
        let schema = options.schema.clone();
        let store = Postgres::open(&machine.url, options).await?;
        Ok(Shared::new(Arc::new(store), machine, schema))
    });
    let behind_a_box = suite(machine, "dyn", |machine: Machine| async move {
        let options = machine.options().max_append_bytes(MAX_APPEND);
        let schema = options.schema.clone();
        let store: Arc<dyn Store> = Arc::new(Postgres::open(&machine.url, options).await?);
        Ok(Shared::new(Arc::new(store), machine, schema))
    });
    let mut trials: Vec<_> = [direct, behind_a_box].into_iter().flatten().collect();
    if Path::new(PGBOUNCER).exists() {
        trials.extend(behind_pgbouncer(machine));
    } else {
        let reason = "pgbouncer is not installed";
        trials.push(Trial::ignorable_test("pgbouncer", move || ignored(reason)));
    }
    trials
}

/// The function that creates the way to listen.
type Way = fn(&Machine) -> Result<Listen, PostgresOpenError>;

/// The ways to listen behind pgbouncer in transaction mode, where `LISTEN` doesn't work: by polling, and
/// by a connection to the server.
fn behind_pgbouncer(machine: &Machine) -> Vec<Trial> {
    let listening = |machine: &Machine| Listen::url(&machine.url);
    let polling = |_: &Machine| Ok(Listen::poll(Duration::from_millis(100)));
    let ways: [(_, Way); 2] = [
        ("pgbouncer_polling", polling),
        ("pgbouncer_listening", listening),
    ];
    let suites = ways.map(|(name, listen)| {
        suite(machine, name, move |machine: Machine| async move {
            let bouncer = Pgbouncer::start(&machine.url).await?;
            let options = machine
                .options()
                .max_append_bytes(MAX_APPEND)
                .prepared(false);
            let options = options.listen(listen(&machine)?);
            let schema = options.schema.clone();
            let store = Postgres::open(&bouncer.url, options).await?;
            machine.keep(bouncer);
            Ok(Shared::new(Arc::new(store), machine, schema))
        })
    });
    suites.into_iter().flatten().collect()
}

type Opened = Result<Shared, Box<dyn std::error::Error + Send + Sync>>;

/// Creates a trial for each case. All share a store, which the first opens.
pub(crate) fn suite<Fut>(
    machine: &Machine,
    name: &'static str,
    open: impl Fn(Machine) -> Fut + Clone + Send + Sync + 'static,
) -> Vec<Trial>
where
    Fut: Future<Output = Opened> + Send + 'static,
{
    let cell = Arc::new(OnceCell::new());
    let trial = |case: &'static unbroken_conformance::store::StoreCase| {
        let (cell, open) = (cell.clone(), open.clone());
        machine.trial(
            format!("{name}::{}", case.name),
            move |machine| async move {
                let store = cell.get_or_try_init(|| open(machine)).await?;
                let finding = case.run_on_real_clock(Arc::new(store.clone())).await;
                match finding.verdict {
                    Verdict::Passed => Ok(()) as Checked,
                    _ => Err(finding.to_string().into()),
                }
            },
        )
    };
    CASES.iter().map(trial).collect()
}

/// A store, and access to its tables.
#[derive(Clone)]
pub(crate) struct Shared {
    store: Arc<dyn Store>,
    machine: Machine,
    schema: String,
}

impl Shared {
    fn new(store: Arc<dyn Store>, machine: Machine, schema: String) -> Self {
        Self {
            store,
            machine,
            schema,
        }
    }
}

impl Harness for Shared {
    fn store(&self) -> BoxFuture<'_, Arc<dyn Store>> {
        Box::pin(async { self.store.clone() })
    }

    fn corrupt<'a>(&'a self, id: &'a SessionId, lsn: Lsn) -> BoxFuture<'a, bool> {
        Box::pin(async move {
            let spoil = "UPDATE @.chunks c SET data = c.data || 'x' FROM @.sessions s \
                WHERE c.session = s.number AND s.id = $1 AND c.last = $2";
            let lsn = i64::try_from(lsn.get()).expect("a small number");
            let client = self.machine.client().await;
            let (spoil, id) = (spoil.replace('@', &self.schema), id.as_str());
            let spoilt = client.execute(&spoil, &[&id, &lsn]).await;
            spoilt.expect("the table is there") == 1
        })
    }

    fn step(&self) -> Duration {
        Duration::from_millis(250)
    }

    fn max_append_bytes(&self) -> Option<usize> {
        Some(MAX_APPEND)
    }
}
