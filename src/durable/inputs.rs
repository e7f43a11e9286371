use crate::{
    BoxFuture,
    chat::{InputAnswer, InputId, InputSource},
    session::Inbox,
};

/// The [`InputSource`] over a session's [`Inbox`]: the answers that clients give to the session's
/// questions, over HTTP and on any server.
///
/// The layer gives one to each provider. A handler of the application's own does it so:
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
/// // Then give the inbox to the session: `SessionSpec::new(…).inbox(inbox)`.
/// ```
#[derive(Debug, Clone)]
pub struct SessionInputs {
    inbox: Inbox,
}

impl SessionInputs {
    /// Creates a source of what arrives in this inbox.
    pub const fn new(inbox: Inbox) -> Self {
        Self { inbox }
    }
}

impl InputSource for SessionInputs {
    fn answer<'a>(&'a self, id: &'a InputId) -> BoxFuture<'a, Option<InputAnswer>> {
        Box::pin(async move { Some(decode(&self.inbox.recv(id.as_str()).await?)) })
    }

    fn close<'a>(&'a self, id: &'a InputId) -> BoxFuture<'a, Option<InputAnswer>> {
        Box::pin(async move { Some(decode(&self.inbox.close(id.as_str()).await?)) })
    }
}

fn decode(content: &[u8]) -> InputAnswer {
    serde_json::from_slice(content).unwrap_or_else(|error| {
        // Only possible if the application stores answers of its own.
        tracing::error!(%error, "a stored answer can't be decoded; it counts as cancelled");
        InputAnswer::cancel()
    })
}
