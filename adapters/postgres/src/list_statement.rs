//! The statements of lists. Each reads a range of one index for each status, as long as the page.

use tokio_postgres::types::Type;
use unbroken::store::StatusFilter;

use crate::sql::{Statement, fill};

/// The columns by which a list selects sessions, apart from the status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ListScope {
    All,
    Owner,
    Chat,
    OwnerAndChat,
}

/// The order of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ListOrder {
    NewestFirst,
    /// Sessions that run before those that have ended.
    RunningFirst,
}

/// Returns the statuses that a filter selects, as the indexes number them: the kind of an ended session, 3
/// for streaming, 4 for waiting. `None` if this version doesn't know the filter.
pub(crate) const fn numbers(status: Option<StatusFilter>) -> Option<&'static [u8]> {
    Some(match status {
        None => &[0, 1, 2, 3, 4],
        Some(StatusFilter::Complete) => &[0],
        Some(StatusFilter::Aborted) => &[1],
        Some(StatusFilter::Error) => &[2],
        Some(StatusFilter::Streaming) => &[3],
        Some(StatusFilter::Waiting) => &[4],
        Some(_) => return None,
    })
}

impl ListScope {
    pub(crate) const fn new(owner: bool, chat: bool) -> Self {
        match (owner, chat) {
            (false, false) => Self::All,
            (true, false) => Self::Owner,
            (false, true) => Self::Chat,
            (true, true) => Self::OwnerAndChat,
        }
    }

    /// Returns the statement of a list of sessions with one of these statuses. Parameters: the negated
    /// number to begin below, the limit, then the owner (which may be null) and the chat if the scope has
    /// them. The rows may be of sessions that have expired.
    pub(crate) fn statement(self, schema: &str, statuses: &[u8], order: ListOrder) -> Statement {
        let columns = self.columns();
        let mut types = vec![Type::INT8, Type::INT8];
        types.extend(columns.iter().map(|_| Type::BYTEA));
        let ranges: Vec<_> = statuses.iter().map(|&it| self.range(it)).collect();
        let order = match order {
            ListOrder::NewestFirst => "u.place",
            ListOrder::RunningFirst => "u.kind IS NOT NULL, u.place",
        };
        let text = format!(
            "SELECT * FROM ({}) u ORDER BY {order} LIMIT (SELECT $2)",
            ranges.join(" UNION ALL ")
        );
        Statement {
            text: fill(schema, &text),
            types,
        }
    }

    /// Returns the columns whose values are the third and fourth parameter.
    const fn columns(self) -> &'static [&'static str] {
        match self {
            Self::All => &[],
            Self::Owner => &["s.owner"],
            Self::Chat => &["s.chat"],
            Self::OwnerAndChat => &["s.owner", "s.chat"],
        }
    }

    /// Returns the digest in the key of the scope's index, as migration 3 defines it.
    const fn digest(self) -> &'static str {
        match self {
            Self::All => "sha256('')",
            Self::Owner => "sha256(s.owner)",
            Self::Chat => "sha256(s.chat)",
            Self::OwnerAndChat => "sha256(coalesce(sha256(s.owner), '') || sha256(s.chat))",
        }
    }

    /// Returns the query of one status.
    ///
    /// A parameter in a subquery is unknown to the planner. Otherwise the server could find that a plan for
    /// the values at hand is cheaper than one for all, and plan each execution.
    fn range(self, status: u8) -> String {
        let stored = self.digest();
        let columns = || self.columns().iter().zip(3..);
        let sought = columns().fold(stored.to_owned(), |sought, (column, number)| {
            sought.replace(column, &format!("${number}"))
        });
        // Two names could have one digest.
        let equal = columns().map(|(column, number)| {
            format!(" AND {column} IS NOT DISTINCT FROM (SELECT ${number})")
        });
        let equal: String = equal.collect();
        format!(
            "(SELECT @STATE, -s.number AS place FROM @S.sessions s WHERE s.deleted IS NULL \
            AND @S.list_key({stored}, s.kind, s.waiting) = (SELECT set_byte({sought}, 31, {status})){equal} \
            AND -s.number > (SELECT $1) ORDER BY -s.number LIMIT (SELECT $2))"
        )
    }
}
