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
    /// After so long without a reply, a call gives up its connection.
    pub(crate) patience: Duration,
}

/// Why a statement has no result.
#[derive(Debug)]
pub(crate) enum StatementError {
    /// It was not sent.
    NotSent(Box<dyn Error + Send + Sync>),
    /// The server said no, and applied nothing.
    Refused(tokio_postgres::Error),
    /// No reply came, or one that leaves it open.
    Lost(Box<dyn Error + Send + Sync>),
}

/// So often is a statement tried that loses against others, which is rare: each touches one
/// session, or takes its locks in order.
const TRIES: u32 = 8;

impl StatementRunner {
    pub(crate) async fn query(
        &self,
        statement: &Statement,
        params: Params<'_>,
    ) -> Result<Vec<Row>, StatementError> {
        let mut tries = TRIES;
        loop {
            tries -= 1;
            match self.query_once(statement, params).await {
                Err(StatementError::Refused(error)) if tries > 0 && lost_a_race(&error) => {}
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
        match timeout(self.patience, self.run(&client, statement, params)).await {
            Ok(result) => result,
            Err(late) => {
                // The reply may still come, and is nobody's: the connection isn't used again.
                drop(Object::take(client));
                Err(StatementError::Lost(late.into()))
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
        result.map_err(judge)
    }
}

impl StatementError {
    /// What this means to whoever wanted to write.
    pub(crate) fn of_write(self) -> StoreError {
        match self {
            Self::NotSent(source) => StoreError::unavailable(false, source),
            Self::Refused(source) => StoreError::unavailable(false, source),
            Self::Lost(source) => StoreError::unavailable(true, source),
        }
    }

    /// What this means to whoever wanted to read.
    pub(crate) fn of_read(self) -> StoreError {
        match self {
            Self::Refused(source) => StoreError::unavailable(false, source),
            Self::NotSent(source) | Self::Lost(source) => StoreError::unavailable(false, source),
        }
    }

    /// Whether a page or a value of the table itself can't be read.
    pub(crate) fn is_corruption(&self) -> bool {
        let code = match self {
            Self::Refused(error) => error.code(),
            Self::NotSent(_) | Self::Lost(_) => None,
        };
        code == Some(&SqlState::DATA_CORRUPTED) || code == Some(&SqlState::INDEX_CORRUPTED)
    }
}

fn judge(error: tokio_postgres::Error) -> StatementError {
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

fn lost_a_race(error: &tokio_postgres::Error) -> bool {
    let code = error.code();
    code == Some(&SqlState::T_R_SERIALIZATION_FAILURE)
        || code == Some(&SqlState::T_R_DEADLOCK_DETECTED)
}
