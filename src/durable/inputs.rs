use crate::{
    BoxFuture,
    chat::{InputAnswer, InputId, InputSource},
    session::Inbox,
};

/// What people answer to a session's questions, over HTTP and on any server, for the provider that
/// asks: an [`InputSource`] over the session's [`Inbox`].
///
/// The layer gives each provider one. An application's own handler does the same:
///
/// ```
/// use unbroken::{
///     chat::{ChatRequest, Inputs},
///     durable::SessionInputs,
///     session::Inbox,
/// };
///
/// let (inbox, mut request) = (Inbox::new(), ChatRequest::from_user("Book me a table"));
/// request.inputs = Inputs::new(SessionInputs::new(inbox.clone()));
/// // and `Start::new(…).inbox(inbox)`
/// ```
#[derive(Debug, Clone)]
pub struct SessionInputs {
    inbox: Inbox,
}

impl SessionInputs {
    /// What arrives in this inbox.
    pub const fn new(inbox: Inbox) -> Self {
        Self { inbox }
    }
}

impl InputSource for SessionInputs {
    fn answer<'a>(&'a self, id: &'a InputId) -> BoxFuture<'a, Option<InputAnswer>> {
        Box::pin(async move { Some(read(&self.inbox.recv(id.as_str()).await?)) })
    }

    fn close<'a>(&'a self, id: &'a InputId) -> BoxFuture<'a, Option<InputAnswer>> {
        Box::pin(async move { Some(read(&self.inbox.close(id.as_str()).await?)) })
    }
}

fn read(content: &[u8]) -> InputAnswer {
    serde_json::from_slice(content).unwrap_or_else(|error| {
        // Only an application that gives answers by itself can do that.
        tracing::error!(%error, "what was answered is no answer; it counts as none");
        InputAnswer::cancel()
    })
}
