use http::request::Parts;
use unbroken::{
    dialect::{Native, Problem, Refusal},
    log::{InvalidSessionId, SessionId},
};
use warp::Filter;

use crate::{Refused, head::head};

/// Creates a filter that extracts the session id of a request: the next segment of the path if there
/// is one, else the header `X-Session-Id`, else the query's `sessionId`.
///
/// Rejects with 400 what isn't an id, and its absence; see [`optional_session_id`]. No access policy
/// runs before the route: the route looks for the session and checks its owner.
///
/// Like `warp::path::param` it consumes the segment: put it at the place of the id. After
/// `warp::path!("ask")`, which matches the whole path, there is no segment, and the id is taken from
/// the header or the query.
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
///     if state.meta.owner.as_ref() != Some(&user) {
///         return Err(StoreError::NotFound.into()); // as if it weren't there
///     }
///     Ok(reply::json(&json!({"status": state.status.as_str(), "tail": state.tail.get()})))
/// }
///
/// // GET /answers/{id}/status; `user()` is a filter of the application.
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

/// Creates a filter like [`session_id`] that extracts `None` where a request has no session id.
pub fn optional_session_id()
-> impl Filter<Extract = (Option<SessionId>,), Error = warp::Rejection> + Copy {
    let segment = warp::path::param()
        .map(Some)
        .or(warp::any().map(|| None))
        .unify();
    segment
        .and(head())
        .and_then(async |segment: Option<String>, head: Parts| {
            parse_session_id(segment.as_deref(), &head)
                .map_err(|refusal| warp::Rejection::from(Refused(refusal)))
        })
}

fn parse_session_id(segment: Option<&str>, head: &Parts) -> Result<Option<SessionId>, Refusal> {
    let Some(segment) = segment else {
        return Native::new().session_id(head);
    };
    let id = segment
        .parse()
        .map_err(|error: InvalidSessionId| Refusal::new(Problem::MalformedId, error.to_string()))?;
    Ok(Some(id))
}
