use http::request::Parts;
use unbroken::{
    dialect::{Native, Problem, Refusal},
    log::{InvalidSessionId, SessionId},
};
use warp::Filter;

use crate::{Refused, head::head};

/// A filter that extracts the id of the session that a request means: the next segment of the path if
/// there is one, else the header `X-Session-Id`, else the query's `sessionId`.
///
/// Rejects with 400 what isn't an id, and its absence; see [`optional_session_id`]. Whether there is
/// such a session, and whose, is for the route to find out: no policy stands before it.
///
/// Like `warp::path::param` it takes the segment away: put it where the id stands. After
/// `warp::path!("ask")`, which is the whole path, there is no segment, and headers and query say it.
///
/// ```
/// use serde_json::{Value, json};
/// use unbroken::{log::{Owner, SessionId}, session::Sessions, store::StoreError};
/// use unbroken_warp::{Refused, recover, session_id};
/// use warp::{Filter, reply};
/// # #[derive(Clone)] struct User(Owner);
/// # fn user() -> impl Filter<Extract = (User,), Error = warp::Rejection> + Copy {
/// #     warp::ext::get::<User>()
/// # }
///
/// async fn status(
///     sessions: Sessions,
///     id: SessionId,
///     User(user): User,
/// ) -> Result<reply::Json, Refused> {
///     let state = sessions.state(&id).await?;
///     if state.info.owner.as_ref() != Some(&user) {
///         return Err(StoreError::NotFound.into()); // as if it weren't there
///     }
///     Ok(reply::json(&json!({"status": state.status.as_str(), "tail": state.tail.get()})))
/// }
///
/// // GET /answers/{id}/status; `user()` is a filter of the application's.
/// let sessions = Sessions::in_memory();
/// let status = warp::any()
///     .map(move || sessions.clone())
///     .and(warp::path("answers"))
///     .and(session_id())
///     .and(warp::path!("status"))
///     .and(warp::get())
///     .and(user())
///     .then(status)
///     .recover(recover);
/// # let _ = async { warp::serve(status).run(([127, 0, 0, 1], 3000)).await };
/// ```
pub fn session_id() -> impl Filter<Extract = (SessionId,), Error = warp::Rejection> + Copy {
    optional_session_id().and_then(async |id: Option<SessionId>| {
        id.ok_or_else(|| {
            let problem = Problem::MalformedId;
            let detail = "name the session: in the path, in X-Session-Id, or as ?sessionId=";
            warp::Rejection::from(Refused(Refusal::new(problem, detail)))
        })
    })
}

/// The same as [`session_id`], but takes absence for `None`.
pub fn optional_session_id()
-> impl Filter<Extract = (Option<SessionId>,), Error = warp::Rejection> + Copy {
    let segment = warp::path::param()
        .map(Some)
        .or(warp::any().map(|| None))
        .unify();
    segment
        .and(head())
        .and_then(async |segment: Option<String>, head: Parts| {
            named(segment.as_deref(), &head)
                .map_err(|refusal| warp::Rejection::from(Refused(refusal)))
        })
}

fn named(segment: Option<&str>, head: &Parts) -> Result<Option<SessionId>, Refusal> {
    let Some(segment) = segment else {
        return Native::new().session_id(head);
    };
    let id = segment
        .parse()
        .map_err(|error: InvalidSessionId| Refusal::new(Problem::MalformedId, error.to_string()))?;
    Ok(Some(id))
}
