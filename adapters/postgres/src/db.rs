use std::{error::Error, time::Duration};

use deadpool_postgres::{Object, Pool};
use tokio::time::timeout;
use tokio_postgres::{Row, error::SqlState, types::ToSql};
use unbroken::store::StoreError;

use crate::sql::Statement;

pub(crate) type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

/// Runs statements, each a transaction of its own, on connections of the pool.
#[derive(Debug)]
pub(crate) struct StatementRunner {
    pub(crate) pool: Pool,
    pub(crate) prepared: bool,
    /// The time without a reply after which a call gives up its connection.
    pub(crate) timeout: Duration,
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
    pub(crate) async fn query(
        &self,
        statement: &Statement,
        params: Params<'_>,
    ) -> Result<Vec<Row>, StatementError> {
        let mut tries = MAX_TRIES;
        loop {
            tries -= 1;
            match self.query_once(statement, params).await {
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
        Ok(self.query(statement, params).await?.into_iter().next())
    }

    async fn query_once(
        &self,
        statement: &Statement,
        params: Params<'_>,
    ) -> Result<Vec<Row>, StatementError> {
        let client = self.pool.get().await;
        let client = client.map_err(|error| StatementError::NotSent(error.into()))?;
        match timeout(self.timeout, self.run(&client, statement, params)).await {
            Ok(result) => result,
            Err(elapsed) => {
                // The reply may still come, so the connection isn't used again.
                drop(Object::take(client));
                Err(StatementError::Lost(elapsed.into()))
            }
        }
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
