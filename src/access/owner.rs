use std::{any::type_name, fmt, future::ready};

use http::request::Parts;

use super::{Access, Action, Identified, SessionRef};
use crate::{BoxFuture, log::Owner};

/// The policy that opens a session to its owner only.
///
/// Every request with an owner may start sessions, and list its own. A request without an owner may do
/// nothing: a start or a list is refused with 403, and every session looks absent (404). To respond
/// with a 401 instead, implement [`Identify`].
///
/// The owner comes from an [`Identify`]: a closure over the request's head, or for example
/// `unbroken_axum::identify_with`.
#[derive(Clone)]
pub struct OnlyTheOwner<I> {
    identify: I,
}

/// The first step of [`OnlyTheOwner`], which finds the owner that a request comes from.
///
/// Implemented by closures `Fn(&mut Parts) -> Option<Owner>`. A type of the application may look the
/// owner up, and answer a request without one:
///
/// ```
/// use bytes::Bytes;
/// use http::{Request, Response, StatusCode, header, request::Parts};
/// use unbroken::{
///     BoxFuture,
///     access::{Identified, Identify, OnlyTheOwner},
///     log::Owner,
/// };
///
/// #[derive(Clone)]
/// struct User(String);
///
/// /// Takes the user that an outer layer has authenticated, and asks other clients to sign in.
/// struct SignedIn;
///
/// impl Identify for SignedIn {
///     fn identify<'a>(&'a self, head: &'a mut Parts) -> BoxFuture<'a, Identified> {
///         Box::pin(async move {
///             if let Some(User(name)) = head.extensions.get() {
///                 return Ok(name.parse().ok());
///             }
///             let response = Response::builder()
///                 .status(StatusCode::UNAUTHORIZED)
///                 .header(header::WWW_AUTHENTICATE, "Bearer");
///             Err(response.body(Bytes::new()).expect("a valid head"))
///         })
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let access = OnlyTheOwner::new(SignedIn);
/// # let (mut head, ()) = Request::new(()).into_parts();
/// # assert_eq!(SignedIn.identify(&mut head).await.unwrap_err().status(), 401);
/// # head.extensions.insert(User("ann".into()));
/// # assert_eq!(SignedIn.identify(&mut head).await.unwrap(), Some(Owner::new("ann")));
/// # drop(access);
/// # }
/// ```
#[diagnostic::on_unimplemented(
    note = "a closure that takes `&mut http::request::Parts` and returns `Option<Owner>` implements it",
    note = "`unbroken_axum::identify_with` needs `.with_state(state)` for an extractor that needs state"
)]
pub trait Identify: Send + Sync + 'static {
    /// Returns the owner that the request comes from, or `None` if it has none.
    ///
    /// # Errors
    ///
    /// A response, which is sent as it is.
    fn identify<'a>(&'a self, head: &'a mut Parts) -> BoxFuture<'a, Identified>;
}

impl<I: Identify> OnlyTheOwner<I> {
    /// Creates the policy.
    pub const fn new(identify: I) -> Self {
        Self { identify }
    }
}

impl<I: Identify> Access for OnlyTheOwner<I> {
    fn identify<'a>(&'a self, head: &'a mut Parts) -> BoxFuture<'a, Identified> {
        self.identify.identify(head)
    }

    fn allow<'a>(
        &'a self,
        owner: Option<&'a Owner>,
        action: Action,
        session: Option<SessionRef<'a>>,
    ) -> BoxFuture<'a, bool> {
        let allowed = match (owner, action, session) {
            (None, ..) => false,
            (Some(_), Action::Start | Action::List, _) => true,
            (owner, _, Some(session)) => session.owner == owner,
            (_, _, None) => false,
        };
        Box::pin(ready(allowed))
    }

    fn names_owners(&self) -> bool {
        true
    }
}

impl<F> Identify for F
where
    F: Fn(&mut Parts) -> Option<Owner> + Send + Sync + 'static,
{
    fn identify<'a>(&'a self, head: &'a mut Parts) -> BoxFuture<'a, Identified> {
        Box::pin(ready(Ok(self(head))))
    }
}

impl<I> fmt::Debug for OnlyTheOwner<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OnlyTheOwner")
            .field(&format_args!("{}", type_name::<I>()))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::SessionId;

    fn policy() -> impl Access {
        OnlyTheOwner::new(|_: &mut Parts| None)
    }

    async fn allows(caller: Option<&str>, action: Action, owner: Option<&str>) -> bool {
        let id = SessionId::random();
        let (caller, owner) = (caller.map(Owner::new), owner.map(Owner::new));
        let session = SessionRef::new(&id, owner.as_ref(), None);
        let caller = caller.as_ref();
        policy().allow(caller, action, Some(session)).await
    }

    #[tokio::test]
    async fn a_session_is_open_to_its_owner_only() {
        for action in [Action::Read, Action::Abort, Action::Answer, Action::Delete] {
            assert!(allows(Some("ann"), action, Some("ann")).await);
            assert!(!allows(Some("ann"), action, Some("ben")).await);
            assert!(!allows(None, action, Some("ann")).await);
        }
    }

    #[tokio::test]
    async fn a_session_without_an_owner_is_closed() {
        for action in [Action::Read, Action::Abort, Action::Answer, Action::Delete] {
            assert!(!allows(None, action, None).await);
            assert!(!allows(Some("ann"), action, None).await);
        }
    }

    #[tokio::test]
    async fn every_owner_may_start_and_list() {
        for action in [Action::Start, Action::List] {
            assert!(policy().allow(Some(&Owner::new("ann")), action, None).await);
            assert!(!policy().allow(None, action, None).await);
        }
    }
}
