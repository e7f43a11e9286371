//! Counts of PostgreSQL about the table of sessions.

use std::{future::Future, time::Duration};

use unbroken_postgres::{
    Postgres, PostgresOptions,
    tokio_postgres::{Client, Config, NoTls},
};

use crate::machine::Machine;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// The work on the table of sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    /// The number of scans of indexes.
    pub(crate) scans: i64,
    /// The number of entries of indexes that scans have visited.
    pub(crate) entries: i64,
    /// The number of rows that scans of the whole table have visited.
    pub(crate) walked: i64,
    /// The number of updates of rows.
    pub(crate) updates: i64,
    /// The number of updates that left every index as it is.
    pub(crate) heap_only: i64,
}

/// Sessions that are inserted by SQL. Each value is an expression, in which `n` is the number of the
/// session.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub(crate) count: u32,
    pub(crate) owner: &'a str,
    pub(crate) chat: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) waiting: &'a str,
    /// The time in microseconds since 1970 until which an ended session is kept.
    pub(crate) keep_until: &'a str,
    pub(crate) tombstone_number: &'a str,
    pub(crate) service: &'a str,
    /// The time from which the ending may be taken, if it waits.
    pub(crate) ending_due: &'a str,
    /// The time at which the ending is dropped, if it waits.
    pub(crate) ending_until: &'a str,
}

impl Default for Rows<'_> {
    fn default() -> Self {
        Self {
            count: 1,
            owner: "NULL",
            chat: "NULL",
            kind: "NULL",
            waiting: "false",
            keep_until: "9000000000000000",
            tombstone_number: "NULL::bigint",
            service: "'a service'",
            ending_due: "NULL::bigint",
            ending_until: "NULL::bigint",
        }
    }
}

impl Rows<'_> {
    /// Returns the statement, with `@` in the place of the schema.
    pub(crate) fn insert(self) -> String {
        let Self {
            count,
            owner,
            chat,
            kind,
            waiting,
            keep_until,
            tombstone_number,
            service,
            ending_due,
            ending_until,
        } = self;
        format!(
            "INSERT INTO @.sessions (id, owner, chat, service, digest, format, created, token, counter,
                bits, tail, waiting, kind, code, lease, lease_until, lease_mark, keep_until, tombstone,
                tombstone_number, deleted, ending_due, ending_until)
             SELECT 'filled-' || gen_random_uuid(), {owner}, {chat}, {service}, sha256(n::text::bytea), 1, 0,
                decode(repeat('00', 16), 'hex'), 1, n, 1, {waiting}, {kind}, 0, 1, 0, 0, {keep_until},
                9000000000000000, {tombstone_number}, CASE WHEN {tombstone_number} IS NOT NULL THEN 1 END,
                {ending_due}, {ending_until}
             FROM generate_series(1, {count}) n"
        )
    }
}

/// A schema whose work is counted.
pub(crate) struct CountedSchema {
    machine: Machine,
    pub(crate) options: PostgresOptions,
    client: Client,
}

impl CountedSchema {
    /// Creates the tables.
    pub(crate) async fn new(machine: &Machine) -> Result<Self, Error> {
        let it = Self {
            machine: machine.clone(),
            options: machine.options(),
            client: machine.client().await,
        };
        it.count(|_| async { Ok(()) }).await?;
        Ok(it)
    }

    /// Runs statements with `@` in the place of the schema.
    pub(crate) async fn execute(&self, text: &str) -> Result<(), Error> {
        let text = self.named(text);
        // On a connection of its own: its end reports its counts.
        let client = self.connect().await?;
        client.batch_execute(&text).await?;
        drop(client);
        self.disconnected().await
    }

    pub(crate) async fn fill(&self, rows: Rows<'_>) -> Result<(), Error> {
        self.execute(&rows.insert()).await
    }

    /// Counts the work of a store with the options of the schema.
    pub(crate) async fn count<Fut>(
        &self,
        work: impl FnOnce(Postgres) -> Fut,
    ) -> Result<Counts, Error>
    where
        Fut: Future<Output = Result<(), Error>>,
    {
        let config = self.config()?;
        let store = Postgres::open_with(config, NoTls, self.options.clone()).await?;
        let before = self.read().await?;
        work(store).await?;
        self.disconnected().await?;
        let after = self.read().await?;
        Ok(Counts {
            scans: after.scans - before.scans,
            entries: after.entries - before.entries,
            walked: after.walked - before.walked,
            updates: after.updates - before.updates,
            heap_only: after.heap_only - before.heap_only,
        })
    }

    /// Returns a statement with the name of the schema in the place of `@`.
    pub(crate) fn named(&self, text: &str) -> String {
        text.replace('@', &self.options.schema)
    }

    pub(crate) async fn number(&self, query: &str) -> Result<i64, Error> {
        let query = self.named(query);
        Ok(self.client.query_one(&query, &[]).await?.get(0))
    }

    fn config(&self) -> Result<Config, Error> {
        let mut config: Config = self.machine.url.parse()?;
        config.application_name(&self.options.schema);
        Ok(config)
    }

    async fn connect(&self) -> Result<Client, Error> {
        let (client, connection) = self.config()?.connect(NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// Waits until the server has ended all connections to the schema but that of this value. They report
    /// their counts before that.
    async fn disconnected(&self) -> Result<(), Error> {
        let open = "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1";
        for _ in 0..3000 {
            let row = self.client.query_one(open, &[&self.options.schema]).await?;
            if row.get::<_, i64>(0) == 0 {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Err("the connections don't end".into())
    }

    async fn read(&self) -> Result<Counts, Error> {
        let query = "SELECT coalesce(t.idx_scan, 0), coalesce(t.seq_tup_read, 0), t.n_tup_upd, t.n_tup_hot_upd,
                (SELECT coalesce(sum(i.idx_tup_read), 0)::bigint FROM pg_stat_user_indexes i WHERE i.relid = t.relid)
             FROM pg_stat_user_tables t WHERE t.schemaname = $1 AND t.relname = 'sessions'";
        let row = self
            .client
            .query_one(query, &[&self.options.schema])
            .await?;
        Ok(Counts {
            scans: row.get(0),
            walked: row.get(1),
            updates: row.get(2),
            heap_only: row.get(3),
            entries: row.get(4),
        })
    }
}
