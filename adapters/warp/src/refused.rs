use unbroken::{
    dialect::{Dialect, Native, Refusal},
    session::{Busy, StartError},
    store::StoreError,
};
use warp::{Reply, reject::Reject, reply::Response};

/// A [`Refusal`] as a rejection of warp, and as a reply: `application/problem+json`.
///
/// The errors of [`Sessions`](unbroken::session::Sessions) convert into it, so that a route can use
/// `?`. Each says what to do, and reveals nothing about sessions of other owners. Refuse a session
/// that isn't the caller's as [`StoreError::NotFound`], so that absent and forbidden sessions look
/// alike. Of a session that is gone, [`StoreError::Gone`] has the owner.
///
/// As it is a reply too, a route ends with `then`, and the refusal is its answer. With `and_then` it
/// would be a rejection, and warp would try the routes after this one.
///
/// ```
/// use unbroken::{log::{Owner, SessionId}, session::Sessions, store::{AbortRequest, StoreError}};
/// use unbroken_warp::{Refused, recover, session_id};
/// use warp::{Filter, http::StatusCode};
/// # #[derive(Clone)] struct User(Owner);
/// # fn user() -> impl Filter<Extract = (User,), Error = warp::Rejection> + Copy {
/// #     warp::ext::get::<User>()
/// # }
///
/// async fn stop(
///     sessions: Sessions,
///     id: SessionId,
///     User(user): User,
/// ) -> Result<StatusCode, Refused> {
///     let state = sessions.state(&id).await?;
///     if state.meta.owner.as_ref() != Some(&user) {
///         return Err(StoreError::NotFound.into());
///     }
///     sessions.abort(&id, AbortRequest::default()).await?;
///     Ok(StatusCode::ACCEPTED)
/// }
///
/// // `user()` is a filter of the application.
/// let sessions = Sessions::in_memory();
/// let stop = warp::any()
///     .map(move || sessions.clone())
///     .and(warp::path("answers"))
///     .and(session_id())
///     .and(warp::path!("stop"))
///     .and(warp::post())
///     .and(user())
///     .then(stop)
///     .recover(recover);
/// # let _ = async { warp::serve(stop).run(([127, 0, 0, 1], 3000)).await };
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused(pub Refusal);

/// Answers the rejections of this crate's filters, and returns every other rejection unchanged: for
/// `Filter::recover`.
///
/// Where several routes rejected the request, a rejection of this crate takes precedence. A rejection
/// that isn't recovered becomes a plain 500, and before that warp tries the routes that follow:
/// recover before an `or` with a route that answers everything, such as a page.
///
/// ```
/// use unbroken::log::Position;
/// use unbroken_warp::{cursor, recover};
/// use warp::Filter;
///
/// let api = warp::path!("cursor").and(cursor()).map(|after: Position| after.lsn.to_string());
/// let page = warp::any().map(|| "the page");
/// let app = api.recover(recover).or(page);
/// # let _ = async { warp::serve(app).run(([127, 0, 0, 1], 3000)).await };
/// ```
///
/// # Errors
///
/// Returns the rejection if it isn't one of this crate.
pub async fn recover(rejection: warp::Rejection) -> Result<Response, warp::Rejection> {
    match rejection.find::<Refused>() {
        Some(ours) => Ok(ours.clone().into_response()),
        None => Err(rejection),
    }
}

impl Reject for Refused {}

impl Reply for Refused {
    fn into_response(self) -> Response {
        Native::new().refuse(&self.0).into_response()
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self(refusal)
    }
}

impl From<Busy> for Refused {
    fn from(error: Busy) -> Self {
        Self(error.into())
    }
}

impl From<StartError> for Refused {
    fn from(error: StartError) -> Self {
        Self(error.into())
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self(error.into())
    }
}
