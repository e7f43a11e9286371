use std::{error::Error, time::Duration};

use deadpool_postgres::{Object, Pool};
use tokio::{sync::Semaphore, time::timeout};
use tokio_postgres::{Row, error::SqlState, types::ToSql};
use unbroken::store::StoreError;

use crate::{PostgresOptions, sql::Statement};

pub(crate) type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

/// Runs statements, each a transaction of its own, on connections of the pool.
#[derive(Debug)]
pub(crate) struct StatementRunner {
    pub(crate) pool: Pool,
    pub(crate) prepared: bool,
    pub(crate) timeouts: StatementTimeouts,
    // Of the connections, so many may move large values: renewals and small appends don't wait for those.
    large: Semaphore,
}

/// The time limits of a call, by the bytes that it moves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StatementTimeouts {
    statement: Duration,
    bytes_per_second: u64,
}

/// The time for which a call waits for a reply after the time limit of its statement.
const REPLY_SLACK: Duration = Duration::from_secs(5);
/// The bytes up to which a call needs no more time than the server allows anyway.
pub(crate) const SMALL: usize = 512 << 10;

impl StatementTimeouts {
    pub(crate) fn of(options: &PostgresOptions) -> Self {
        Self {
            statement: options.statement_timeout,
            bytes_per_second: u64::try_from(options.min_bytes_per_second.max(1))
                .unwrap_or(u64::MAX),
        }
    }

    /// Returns the time without a reply after which a call gives up its connection, and the time limit of its
    /// statement, unless that is the one of the connection.
    fn for_bytes(self, bytes: usize) -> (Duration, Option<Duration>) {
        let moved = u64::try_from(bytes).unwrap_or(u64::MAX);
        let moved = moved.saturating_mul(1_000_000) / self.bytes_per_second;
        let statement = self
            .statement
            .saturating_add(Duration::from_micros(if bytes > SMALL { moved } else { 0 }));
        let call = statement.saturating_add(REPLY_SLACK);
        (call, (bytes > SMALL).then_some(statement))
    }
}

/// Returns a time limit in milliseconds, as the server takes it.
pub(crate) fn millis(limit: Duration) -> u128 {
    limit.as_millis().clamp(1, 1 << 30)
}

/// An error of a statement.
#[derive(Debug)]
pub(crate) enum StatementError {
    /// The statement was not sent.
    NotSent(Box<dyn Error + Send + Sync>),
    /// The server refused, and applied nothing.
    Refused(tokio_postgres::Error),
    /// No reply came, or one that does not tell if the statement was applied.
    Lost(Box<dyn Error + Send + Sync>),
}

/// The most attempts of a statement that conflicts with others. Conflicts are rare: each statement
/// touches one session, or takes its locks in order.
const MAX_TRIES: u32 = 8;

impl StatementRunner {
    pub(crate) fn new(pool: Pool, options: &PostgresOptions) -> Self {
        Self {
            pool,
            prepared: options.prepared,
            timeouts: StatementTimeouts::of(options),
            large: Semaphore::new((options.pool_size / 2).max(1)),
        }
    }

    pub(crate) async fn query(
        &self,
        statement: &Statement,
        params: Params<'_>,
    ) -> Result<Vec<Row>, StatementError> {
        self.query_for(statement, params, 0).await
    }

    /// Runs a statement that sends or receives about so many bytes.
    pub(crate) async fn query_for(
        &self,
        statement: &Statement,
        params: Params<'_>,
        bytes: usize,
    ) -> Result<Vec<Row>, StatementError> {
        let mut tries = MAX_TRIES;
        loop {
            tries -= 1;
            match self.query_once(statement, params, bytes).await {
                Err(StatementError::Refused(error)) if tries > 0 && is_conflict(&error) => {}
                result => return result,
            }
        }
    }

    pub(crate) async fn query_opt(
        &self,
        statement: &Statement,
        params: Params<'_>,
    ) -> Result<Option<Row>, StatementError> {
        self.query_opt_for(statement, params, 0).await
    }

    /// Runs a statement that sends or receives about so many bytes.
    pub(crate) async fn query_opt_for(
        &self,
        statement: &Statement,
        params: Params<'_>,
        bytes: usize,
    ) -> Result<Option<Row>, StatementError> {
        let rows = self.query_for(statement, params, bytes).await?;
        Ok(rows.into_iter().next())
    }

    async fn query_once(
        &self,
        statement: &Statement,
        params: Params<'_>,
        bytes: usize,
    ) -> Result<Vec<Row>, StatementError> {
        let _permit = if bytes > SMALL {
            let permit = self.large.acquire().await;
            Some(permit.map_err(|error| StatementError::NotSent(error.into()))?)
        } else {
            None
        };
        let client = self.pool.get().await;
        let client = client.map_err(|error| StatementError::NotSent(error.into()))?;
        let (of_call, of_statement) = self.timeouts.for_bytes(bytes);
        let result = async {
            match of_statement {
                None => self.run(&client, statement, params).await,
                Some(limit) => self.run_longer(&client, statement, params, limit).await,
            }
        };
        match timeout(of_call, result).await {
            Ok(Err(error)) if of_statement.is_some() => {
                // It may be in the middle of the transaction.
                drop(Object::take(client));
                Err(error)
            }
            Ok(result) => result,
            Err(elapsed) => {
                // The reply may still come, so the connection isn't used again.
                drop(Object::take(client));
                Err(StatementError::Lost(elapsed.into()))
            }
        }
    }

    /// Runs a statement for which the server has another time limit, since its parameters or its rows take long to
    /// be sent.
    async fn run_longer(
        &self,
        client: &Object,
        statement: &Statement,
        params: Params<'_>,
        limit: Duration,
    ) -> Result<Vec<Row>, StatementError> {
        let start = format!("BEGIN; SET LOCAL statement_timeout = {}", millis(limit));
        let started = client.batch_execute(&start).await;
        started.map_err(|error| StatementError::NotSent(error.into()))?;
        let rows = self.run(client, statement, params).await?;
        client.batch_execute("COMMIT").await.map_err(classify)?;
        Ok(rows)
    }

    async fn run(
        &self,
        client: &Object,
        statement: &Statement,
        params: Params<'_>,
    ) -> Result<Vec<Row>, StatementError> {
        let Statement { text, types } = statement;
        let result = if self.prepared {
            let prepared = client.prepare_typed_cached(text, types).await;
            let prepared = prepared.map_err(|error| StatementError::NotSent(error.into()))?;
            client.query(&prepared, params).await
        } else {
            let typed: Vec<_> = params.iter().copied().zip(types.iter().cloned()).collect();
            client.query_typed(text, &typed).await
        };
        result.map_err(classify)
    }
}

impl StatementError {
    /// Converts the error of a write.
    pub(crate) fn of_write(self) -> StoreError {
        match self {
            Self::NotSent(source) => StoreError::unavailable(false, source),
            Self::Refused(source) => StoreError::unavailable(false, source),
            Self::Lost(source) => StoreError::unavailable(true, source),
        }
    }

    /// Converts the error of a read.
    pub(crate) fn of_read(self) -> StoreError {
        match self {
            Self::Refused(source) => StoreError::unavailable(false, source),
            Self::NotSent(source) | Self::Lost(source) => StoreError::unavailable(false, source),
        }
    }

    /// Returns true if the server found a page or a value of the table corrupt.
    pub(crate) fn is_corruption(&self) -> bool {
        let code = match self {
            Self::Refused(error) => error.code(),
            Self::NotSent(_) | Self::Lost(_) => None,
        };
        code == Some(&SqlState::DATA_CORRUPTED) || code == Some(&SqlState::INDEX_CORRUPTED)
    }
}

fn classify(error: tokio_postgres::Error) -> StatementError {
    let code = error.code().map_or("", SqlState::code);
    // A server that ends a connection may do so after a commit that it was about to confirm.
    let open =
        code.is_empty() || code.starts_with("08") || code.starts_with("57P") || code == "40003";
    if open {
        StatementError::Lost(error.into())
    } else {
        StatementError::Refused(error)
    }
}

fn is_conflict(error: &tokio_postgres::Error) -> bool {
    let code = error.code();
    code == Some(&SqlState::T_R_SERIALIZATION_FAILURE)
        || code == Some(&SqlState::T_R_DEADLOCK_DETECTED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_moves_many_bytes_has_the_time_that_the_slowest_link_needs() {
        let second = Duration::from_secs(1);
        let options = PostgresOptions::new()
            .statement_timeout(10 * second)
            .min_bytes_per_second(1 << 20);
        let timeouts = StatementTimeouts::of(&options);
        assert_eq!(timeouts.for_bytes(0), (15 * second, None));
        assert_eq!(timeouts.for_bytes(SMALL), (15 * second, None));
        assert_eq!(
            timeouts.for_bytes(16 << 20),
            (31 * second, Some(26 * second))
        );
        let (call, statement) = timeouts.for_bytes(usize::MAX);
        assert!(statement.is_some_and(|it| it < call));
        assert_eq!(millis(Duration::MAX), 1 << 30);
    }
}
