use http::request::Parts;
use unbroken::{dialect::Native, log::Position};
use warp::Filter;

use crate::{Refused, head::head};

/// Creates a filter that extracts the cursor that a client resumes from: `Last-Event-ID`, else
/// `X-Last-LSN`, else the query's `after`, else its `lastLsn`, else the start.
///
/// Rejects with 400 what isn't a cursor. The filter does not look into the log: a reader that is
/// opened at the cursor finds out if the log holds its record.
///
/// ```
/// use unbroken::{log::{Owner, Position, SessionId}, session::Sessions, store::StoreError};
/// use unbroken_warp::{Refused, cursor, recover, session_id};
/// use warp::Filter;
/// # #[derive(Clone)] struct User(Owner);
/// # fn user() -> impl Filter<Extract = (User,), Error = warp::Rejection> + Copy {
/// #     warp::ext::get::<User>()
/// # }
///
/// async fn missed(
///     sessions: Sessions,
///     id: SessionId,
///     User(user): User,
///     after: Position,
/// ) -> Result<String, Refused> {
///     let state = sessions.state(&id).await?;
///     if state.meta.owner.as_ref() != Some(&user) {
///         return Err(StoreError::NotFound.into()); // as if it weren't there
///     }
///     Ok(format!("{} events", state.tail.get().saturating_sub(after.lsn.get())))
/// }
///
/// // `user()` is a filter of the application.
/// let sessions = Sessions::in_memory();
/// let missed = warp::any()
///     .map(move || sessions.clone())
///     .and(session_id())
///     .and(warp::path!("missed"))
///     .and(user())
///     .and(cursor())
///     .then(missed)
///     .recover(recover);
/// # let _ = async { warp::serve(missed).run(([127, 0, 0, 1], 3000)).await };
/// ```
pub fn cursor() -> impl Filter<Extract = (Position,), Error = warp::Rejection> + Copy {
    head().and_then(async |head: Parts| {
        let cursor = Native::new().cursor(&head).map_err(Refused)?;
        Ok::<_, warp::Rejection>(cursor.unwrap_or_default())
    })
}
