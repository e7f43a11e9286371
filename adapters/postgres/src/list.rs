use std::num::NonZeroUsize;

use tokio_postgres::{Row, types::ToSql};
use unbroken::{
    log::{ChatId, Owner, SessionId},
    store::{Filter, Listed, Listing, StoreError},
};

use crate::{
    db::{Params, StatementError},
    list_statement::{ListOrder, ListScope, numbers},
    postgres::PostgresInner,
    row::SessionRow,
    sql::Statement,
};

/// The size of a page where the filter has no limit.
const PAGE: usize = 100;

/// The most statements of one page. More than one is needed only if sessions of the page have expired
/// and no sweep has come yet. Then the page may be short, or even empty, and have a next one.
const MAX_STATEMENTS: usize = 8;

/// The growth of the limit where sessions of a chat have expired and no sweep has come yet.
const GROWTH: usize = 4;

/// Less than the place of any session.
const FIRST_PLACE: i64 = -i64::MAX;

impl PostgresInner {
    pub(crate) async fn list(&self, filter: &Filter) -> Result<Listing, StoreError> {
        let Some(statuses) = numbers(filter.status) else {
            return Ok(Listing::default());
        };
        let limit = filter.limit.map_or(PAGE, NonZeroUsize::get);
        let owner = filter.owner.as_ref().map(|it| it.as_str().as_bytes());
        let chat = filter.chat.as_ref().map(|it| it.as_str().as_bytes());
        let scope = ListScope::new(owner.is_some(), chat.is_some());
        let statement = scope.statement(&self.schema, statuses, ListOrder::NewestFirst);
        let mut place = match &filter.after {
            None => FIRST_PLACE,
            // A cursor that is not one of this store has nothing after it.
            Some(after) => after.parse().map_or(0, i64::saturating_neg),
        };
        let mut sessions = Vec::new();
        for _ in 0..MAX_STATEMENTS {
            let wanted = limit - sessions.len();
            let count = row_count(wanted.saturating_add(1));
            let mut params: Vec<&(dyn ToSql + Sync)> = vec![&place, &count];
            params.extend(owner.iter().map(|it| it as &(dyn ToSql + Sync)));
            params.extend(chat.iter().map(|it| it as &(dyn ToSql + Sync)));
            let rows = self.rows(&statement, &params).await?;
            let page = &rows[..wanted.min(rows.len())];
            sessions.extend(page.iter().filter_map(listed));
            if rows.len() <= wanted {
                return Ok(Listing {
                    sessions,
                    next: None,
                });
            }
            place = page
                .last()
                .map_or(Ok(0), |last| last.try_get(0))
                .map_or(0, i64::saturating_neg);
            if sessions.len() == limit {
                break;
            }
        }
        Ok(Listing {
            sessions,
            next: Some(place.saturating_neg().to_string()),
        })
    }

    pub(crate) async fn of_chat(
        &self,
        owner: Option<&Owner>,
        chat: &ChatId,
        limit: usize,
    ) -> Result<Vec<Listed>, StoreError> {
        let owner = owner.map(|it| it.as_str().as_bytes());
        let chat = chat.as_str().as_bytes();
        let mut wanted = limit;
        loop {
            let params: [&(dyn ToSql + Sync); 4] =
                [&FIRST_PLACE, &row_count(wanted), &owner, &chat];
            let rows = self.rows(&self.sql.of_chat, &params).await?;
            let mut sessions: Vec<_> = rows.iter().filter_map(listed).collect();
            if sessions.len() >= limit || rows.len() < wanted {
                sessions.truncate(limit);
                return Ok(sessions);
            }
            wanted = wanted.saturating_mul(GROWTH);
        }
    }

    pub(crate) async fn orphans(&self, limit: usize) -> Result<Vec<Listed>, StoreError> {
        let rows = self.rows(&self.sql.orphans, &[&row_count(limit)]).await?;
        Ok(rows.iter().filter_map(listed).collect())
    }

    /// Reads the rows of those ids that are sessions or tombstones.
    pub(crate) async fn look_at(
        &self,
        ids: &[&SessionId],
    ) -> Result<Vec<(SessionId, Result<SessionRow, StoreError>)>, StoreError> {
        let ids: Vec<&str> = ids.iter().map(|id| id.as_str()).collect();
        let rows = self.rows(&self.sql.states, &[&ids]).await?;
        let found = rows.iter().filter_map(|row| {
            let id = row.try_get::<_, &str>(1).ok()?.parse().ok()?;
            Some((id, SessionRow::new(row)))
        });
        Ok(found.collect())
    }

    async fn rows(
        &self,
        statement: &Statement,
        params: Params<'_>,
    ) -> Result<Vec<Row>, StoreError> {
        let rows = self.db.query(statement, params).await;
        rows.map_err(StatementError::of_read)
    }
}

/// Decodes a row of a list. Skips a session that has expired, and a row that can't be decoded, so that
/// the others can be listed.
fn listed(row: &Row) -> Option<Listed> {
    SessionRow::new(row).ok().map(SessionRow::listed)
}

fn row_count(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
