//! Reads the stored request of a session, after a write that has to return it.

use tokio_postgres::{Row, types::ToSql};
use unbroken::store::StoreError;

use crate::{
    db::{SMALL, StatementError},
    postgres::PostgresInner,
};

/// The request of a session.
enum StoredRequest {
    Whole(Vec<u8>),
    /// It has more bytes than were asked for.
    Large(usize),
}

/// Makes the error of a call whose write was made. Its repetition returns the request.
pub(crate) fn unread(source: impl Into<unbroken::BoxError>) -> StoreError {
    StoreError::unavailable(true, source)
}

impl PostgresInner {
    /// Reads the request of a session. `None` if it is not there any more.
    pub(crate) async fn request(&self, session: i64) -> Result<Option<Vec<u8>>, StoreError> {
        match self.try_request(session, SMALL, 0).await? {
            None => Ok(None),
            Some(StoredRequest::Whole(request)) => Ok(Some(request)),
            Some(StoredRequest::Large(bytes)) => self.large_request(session, bytes).await,
        }
    }

    /// Reads a request of so many bytes, which has the time that they need.
    pub(crate) async fn large_request(
        &self,
        session: i64,
        bytes: usize,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        match self.try_request(session, usize::MAX, bytes).await? {
            None => Ok(None),
            Some(StoredRequest::Whole(request)) => Ok(Some(request)),
            Some(StoredRequest::Large(_)) => Err(unread("the request is unreadable")),
        }
    }

    /// Reads the request of a session, if it has at most so many bytes.
    async fn try_request(
        &self,
        session: i64,
        most: usize,
        bytes: usize,
    ) -> Result<Option<StoredRequest>, StoreError> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let params: [&(dyn ToSql + Sync); 2] = [&session, &most];
        let row = self
            .db
            .query_opt_for(&self.sql.request, &params, bytes)
            .await;
        let row = row
            .map_err(StatementError::of_read)
            .map_err(maybe_applied)?;
        let read = |row: &Row| {
            let length = row.try_get::<_, i32>(0)?;
            let request = row.try_get::<_, Option<Vec<u8>>>(1)?;
            Ok::<_, tokio_postgres::Error>((length, request))
        };
        let Some(row) = row else { return Ok(None) };
        Ok(Some(match read(&row).map_err(unread)? {
            (_, Some(request)) => StoredRequest::Whole(request),
            (length, None) => StoredRequest::Large(usize::try_from(length).unwrap_or(0)),
        }))
    }
}

/// Converts the error of a statement after a write that was applied.
pub(crate) fn maybe_applied(error: StoreError) -> StoreError {
    match error {
        StoreError::Unavailable { source, .. } => StoreError::Unavailable {
            maybe_applied: true,
            source,
        },
        other => other,
    }
}
