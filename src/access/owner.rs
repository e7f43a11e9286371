use std::{any::type_name, fmt, future::ready};

use http::request::Parts;

use super::{Access, Action, Identified, SessionRef};
use crate::{log::Owner, store::BoxFuture};

/// Whoever has a name may start sessions, and only they may do anything with them.
///
/// Made from what names them: a closure over the request's head, or another [`Identify`], such as
/// `unbroken_axum::identify_with`. A request without a name may do nothing; to answer it with a 401
/// instead, implement [`Identify`].
#[derive(Clone)]
pub struct OnlyTheOwner<I> {
    identify: I,
}

/// Names whom a request comes from, for [`OnlyTheOwner`].
///
/// A closure `Fn(&mut Parts) -> Option<Owner>` is one.
#[diagnostic::on_unimplemented(
    note = "a closure that takes `&mut http::request::Parts` and gives `Option<Owner>` names owners",
    note = "`unbroken_axum::identify_with` needs `.with_state(state)` for an extractor that needs state"
)]
pub trait Identify: Send + Sync + 'static {
    /// Whom the request comes from.
    ///
    /// # Errors
    ///
    /// A response, which goes out as it is.
    fn identify<'a>(&'a self, head: &'a mut Parts) -> BoxFuture<'a, Identified>;
}

impl<I: Identify> OnlyTheOwner<I> {
    /// The policy, with what names owners.
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
        who: Option<&'a Owner>,
        action: Action,
        session: Option<SessionRef<'a>>,
    ) -> BoxFuture<'a, bool> {
        let allowed = match (who, action, session) {
            (None, ..) => false,
            (Some(_), Action::Start | Action::List, _) => true,
            (who, _, Some(session)) => session.owner == who,
            (_, _, None) => false,
        };
        Box::pin(ready(allowed))
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

    async fn allows(who: Option<&str>, action: Action, owner: Option<&str>) -> bool {
        let id = SessionId::random();
        let (who, owner) = (who.map(Owner::new), owner.map(Owner::new));
        let session = SessionRef::new(&id, owner.as_ref(), None);
        policy().allow(who.as_ref(), action, Some(session)).await
    }

    #[tokio::test]
    async fn a_session_is_its_owners() {
        for action in [Action::Read, Action::Abort, Action::Answer, Action::Delete] {
            assert!(allows(Some("ann"), action, Some("ann")).await);
            assert!(!allows(Some("ann"), action, Some("ben")).await);
            assert!(!allows(None, action, Some("ann")).await);
        }
    }

    #[tokio::test]
    async fn what_nobody_owns_nobody_may_have() {
        for action in [Action::Read, Action::Abort, Action::Answer, Action::Delete] {
            assert!(!allows(None, action, None).await);
            assert!(!allows(Some("ann"), action, None).await);
        }
    }

    #[tokio::test]
    async fn whoever_has_a_name_may_start_and_list() {
        for action in [Action::Start, Action::List] {
            assert!(policy().allow(Some(&Owner::new("ann")), action, None).await);
            assert!(!policy().allow(None, action, None).await);
        }
    }
}
