//! What was added: the chat, whose answers outlive their connection.

use axum::Router;
use futures_core::TryStream;
use tower::{Service, ServiceBuilder};
use unbroken::{
    BoxError,
    access::OnlyTheOwner,
    chat::{ChatEvent, ChatRequest},
    durable::{ClientFields, DurableLayer},
    log::Owner,
    session::Sessions,
};
use unbroken_axum::{identify_with, mount};

use crate::{App, auth::User};

/// The chat at `/api/chat`, answered by this provider, which is told of the user's notes. `open` is
/// what clients may choose beyond their messages.
pub fn routes<P>(sessions: Sessions, app: App, open: ClientFields, provider: P) -> Router
where
    P: Service<ChatRequest, Error: Into<BoxError>, Future: Send> + Clone + Send + Sync + 'static,
    P::Response: TryStream<Ok = ChatEvent, Error: Into<BoxError>> + Send,
{
    // An answer is its owner's, and the application says who that is, by the extractor that all its
    // handlers use. The rejection of the extractor, here a 401, goes out as it is. To everybody
    // else the answer isn't there.
    let access = OnlyTheOwner::new(identify_with(|User(name): User| Owner::new(name)));

    let chat = ServiceBuilder::new()
        // Above this line requests are HTTP, and there is one for each reader. Below it there is one
        // for each answer, already authorised and in the log.
        .layer(DurableLayer::new(sessions, access).open(open))
        .map_request(move |request| with_notes(&app, request))
        .service(provider);
    mount("/api/chat", chat)
}

/// Puts something of the application's into what the model is told.
///
/// It goes by the owner, which is stored with the session. What else layers left on the HTTP request
/// is in `request.extensions`, but not for an answer that is started again after a crash. The prompt
/// that is made here is never stored and never shown to clients.
fn with_notes(app: &App, mut request: ChatRequest) -> ChatRequest {
    let notes = request
        .owner
        .as_ref()
        .map(|owner| app.notes_of(owner.as_str()));
    if let Some(notes) = notes.filter(|notes| !notes.is_empty()) {
        request.system_prompt = Some(format!("The user's notes:\n- {}", notes.join("\n- ")));
    }
    request
}
