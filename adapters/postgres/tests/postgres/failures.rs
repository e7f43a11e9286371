//! What an operator reads when the server refuses, hangs or is gone.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use libtest_mimic::Trial;
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::{sleep, timeout},
};
use unbroken::{
    log::{Digest, ServiceName, SessionId},
    session::{Mark, Session, SessionSpec, Sessions, Source},
};
use unbroken_postgres::{
    Postgres, PostgresOptions,
    tokio_postgres::{self, Config},
};

use crate::{
    machine::{Checked, Machine, connect},
    traces::Traces,
};

pub(crate) fn trials(machine: &Machine) -> Vec<Trial> {
    vec![
        machine.trial("a_right_that_was_taken_away_is_named", |it| {
            beside(it, no_right)
        }),
        machine.trial("connections_that_are_ended_are_named", |it| {
            beside(it, ended)
        }),
        machine.trial("a_statement_that_takes_too_long_is_named", |it| {
            beside(it, too_slow)
        }),
    ]
}

/// Runs a test on a runtime of one thread, whose traces it collects.
async fn beside<F>(machine: Machine, test: F) -> Checked
where
    F: AsyncFnOnce(App) -> Checked + Send + 'static,
{
    let run = move || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build()?;
        runtime.block_on(async { test(App::start(&machine).await?).await })
    };
    tokio::task::spawn_blocking(run).await?
}

/// A source of the records that a test sends.
struct SentRecords(UnboundedReceiver<String>);

impl Source for SentRecords {
    fn poll_record(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut bytes::BytesMut,
    ) -> Poll<Option<Mark>> {
        self.0.poll_recv(cx).map(|record| {
            out.extend_from_slice(record?.as_bytes());
            Some(Mark::Event)
        })
    }
}

/// A registry with a role of its own on the server, and a session that runs.
struct App {
    admin: tokio_postgres::Client,
    schema: String,
    role: String,
    traces: Traces,
    records: UnboundedSender<String>,
    _session: Session,
}

impl App {
    async fn start(machine: &Machine) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let admin = connect(&machine.url).await?;
        let schema = machine.schema();
        let options = PostgresOptions::new().schema(schema.clone()).pool_size(2);
        drop(Postgres::open(&machine.url, options.clone()).await?);
        let role = format!("{schema}_app");
        let role_made = format!(
            "CREATE ROLE {role} LOGIN;
             GRANT USAGE ON SCHEMA {schema} TO {role};
             GRANT ALL ON ALL TABLES IN SCHEMA {schema} TO {role};
             GRANT ALL ON ALL SEQUENCES IN SCHEMA {schema} TO {role};"
        );
        admin.batch_execute(&role_made).await?;
        let server: Config = machine.url.parse()?;
        let (host, port) = match (&server.get_hosts()[0], server.get_ports().first()) {
            (tokio_postgres::config::Host::Tcp(host), port) => (host.clone(), port.copied()),
            (host, _) => return Err(format!("{host:?} is no TCP host").into()),
        };
        let url = format!(
            "postgres://{role}@{host}:{}/{}",
            port.unwrap_or(5432),
            server.get_dbname().unwrap_or("postgres")
        );
        let options = options.migrate(false);
        let store = Postgres::open(&url, options).await?;
        let traces = Traces::collect();
        let sessions = Sessions::builder(store)
            .lease(Duration::from_secs(1))
            .build();
        let (records, received) = unbounded_channel();
        let service = ServiceName::new("a service");
        let spec = SessionSpec::new(
            SessionId::random(),
            service,
            Digest([1; 32]),
            "first".into(),
        );
        let permit = sessions.permit(None)?;
        let session = sessions
            .start(permit, spec, SentRecords(received))
            .await?
            .session;
        while session.tail().get() < 1 {
            sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(traces.with(&["the store failed"]), Vec::<String>::new());
        Ok(Self {
            admin,
            schema,
            role,
            traces,
            records,
            _session: session,
        })
    }

    async fn run(&self, statement: &str) -> Checked {
        let statement = statement
            .replace("{schema}", &self.schema)
            .replace("{role}", &self.role);
        Ok(self.admin.batch_execute(&statement).await?)
    }

    /// Sends a record, and waits for a failure that names this cause.
    async fn names(&self, cause: &str) -> Checked {
        self.records.send("a".into())?;
        self.line(&["WARN", "the store failed", cause]).await
    }

    async fn line(&self, words: &[&str]) -> Checked {
        let there = async {
            while self.traces.with(words).is_empty() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        let there = timeout(Duration::from_secs(20), there).await;
        there.map_err(|_| format!("{words:?} is not in {:#?}", self.traces.with(&[""])).into())
    }

    /// Waits for the end of the outage, and drops the role.
    async fn end(self) -> Checked {
        self.line(&["the store answers again"]).await?;
        let dropped = "DROP OWNED BY {role}; DROP ROLE {role}";
        self.run(dropped).await
    }
}

async fn no_right(app: App) -> Checked {
    app.run("REVOKE INSERT ON ALL TABLES IN SCHEMA {schema} FROM {role}")
        .await?;
    app.names("permission denied").await?;
    app.run("GRANT INSERT ON ALL TABLES IN SCHEMA {schema} TO {role}")
        .await?;
    app.end().await
}

async fn ended(app: App) -> Checked {
    app.run("ALTER ROLE {role} NOLOGIN").await?;
    app.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'")
        .await?;
    app.names("not permitted to log in").await?;
    app.run("ALTER ROLE {role} LOGIN").await?;
    app.end().await
}

async fn too_slow(app: App) -> Checked {
    app.run("ALTER ROLE {role} SET statement_timeout = '100ms'")
        .await?;
    app.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'")
        .await?;
    app.run("BEGIN; LOCK TABLE {schema}.sessions IN EXCLUSIVE MODE")
        .await?;
    app.names("statement timeout").await?;
    app.run("COMMIT").await?;
    app.end().await
}
