//! Two servers on one schema, and the calls that several tests need.

use std::time::Duration;

use unbroken::{
    log::{Epoch, Outcome, ServiceName, SessionId},
    store::{AfterAppend, Created, NewSession, PendingEnding, Seal, Store, StoreError},
};
use unbroken_postgres::{Postgres, PostgresOptions, tokio_postgres::Client};

use crate::{fixture::chunk, machine::Machine};

type Error = Box<dyn std::error::Error + Send + Sync>;

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const HOUR: Duration = Duration::from_secs(3600);

/// Counts the bytes that clients chose in rows of tombstones, apart from ids and owners, and the rest of an
/// ending.
pub(super) const NAMED: &str = "SELECT count(*) FROM @.sessions WHERE chat IS NOT NULL OR service <> '' \
    OR abort_reason IS NOT NULL OR summary IS NOT NULL OR ending_due IS NOT NULL \
    OR ending_until IS NOT NULL OR retained_until IS NOT NULL OR deliveries <> 0 \
    OR deleted IS NULL OR tombstone_number IS NULL";

pub(super) fn service() -> ServiceName {
    ServiceName::new("a service")
}

/// A schema, and two servers on it.
pub(super) struct Servers {
    pub(super) options: PostgresOptions,
    pub(super) one: Postgres,
    pub(super) other: Postgres,
    pub(super) client: Client,
}

impl Servers {
    pub(super) async fn open(machine: &Machine, options: PostgresOptions) -> Result<Self, Error> {
        Ok(Self {
            one: Postgres::open(&machine.url, options.clone()).await?,
            other: Postgres::open(&machine.url, options.clone()).await?,
            client: machine.client().await,
            options,
        })
    }

    pub(super) async fn number(&self, query: &str) -> Result<i64, Error> {
        let query = query.replace('@', &self.options.schema);
        Ok(self.client.query_one(&query, &[]).await?.get(0))
    }

    /// Runs statements with `@` in the place of the schema.
    pub(super) async fn execute(&self, text: &str) -> Result<(), Error> {
        let text = text.replace('@', &self.options.schema);
        Ok(self.client.batch_execute(&text).await?)
    }

    /// Confirms the delivery of the ending that the last epoch has sealed.
    pub(super) async fn deliver(&self, store: &Postgres, id: &SessionId) -> Result<(), Error> {
        let epoch = format!(
            "SELECT counter, bits FROM {}.sessions WHERE id = $1",
            self.options.schema
        );
        let row = self.client.query_one(&epoch, &[&id.as_str()]).await?;
        let epoch = Epoch {
            counter: row.get::<_, i64>(0).cast_unsigned(),
            bits: row.get::<_, i64>(1).cast_unsigned(),
        };
        Ok(store.delivered(id, epoch).await?)
    }

    pub(super) async fn requests(&self) -> Result<i64, Error> {
        self.number("SELECT count(*) FROM @.requests").await
    }

    /// Moves all times of the sessions into the past.
    pub(super) async fn pass(&self, time: Duration) -> Result<(), Error> {
        let pass = format!(
            "UPDATE @.sessions SET created = created - {0}, keep_until = keep_until - {0},
                lease_until = lease_until - {0}, lease_mark = lease_mark - {0}, deleted = deleted - {0},
                due = due - {0}, ending_due = ending_due - {0}, ending_until = ending_until - {0},
                retained_until = retained_until - {0}",
            time.as_micros()
        );
        let pass = pass.replace('@', &self.options.schema);
        Ok(self.client.batch_execute(&pass).await?)
    }
}

/// Creates a session and seals it.
pub(super) async fn sealed(
    store: &Postgres,
    new: NewSession,
    keep: Duration,
) -> Result<SessionId, StoreError> {
    let id = SessionId::random();
    let Created::Created(epoch) = store.create(&id, new).await? else {
        unreachable!("ids are random");
    };
    let seal = Seal::new(Outcome::Aborted, keep).summary("the summary".into());
    let seal = AfterAppend::Seal(seal);
    store.append(&id, chunk(1, epoch, &["a"]), seal).await?;
    Ok(id)
}

pub(super) async fn take_one(store: &Postgres) -> Result<PendingEnding, Error> {
    let mut taken = store.endings(&service(), 10, HOUR).await?;
    assert_eq!(taken.len(), 1);
    Ok(taken.remove(0))
}

pub(super) fn is_gone<T>(answer: &Result<T, StoreError>) -> bool {
    matches!(answer, Err(StoreError::Gone(_)))
}
