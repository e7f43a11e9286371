//! The durable chat that was added to the application.

use axum::Router;
use tower::ServiceBuilder;
use unbroken::{
    access::OnlyTheOwner,
    chat::{ChatRequest, Provider},
    durable::{ClientFields, DurableLayer},
    session::Sessions,
};
use unbroken_axum::{identify_with, mount};

use crate::{App, auth::User};

/// Returns the routes of the chat at `/api/chat`.
///
/// The provider gets the user's notes in the system prompt. `open` lists the fields that clients may set
/// beside their messages.
pub fn routes<P>(sessions: Sessions, app: App, open: ClientFields, provider: P) -> Router
where
    P: Provider + Sync,
{
    // Answers belong to the user that the application's own extractor finds. A rejection of the
    // extractor, here a 401, is sent as it is. For other users the answer looks absent.
    let access = OnlyTheOwner::new(identify_with(|User(name): User| name));

    let chat = ServiceBuilder::new()
        // Above this line are HTTP requests, one for each reader. Below it are chat requests, one for
        // each answer, authorised and stored.
        .layer(DurableLayer::new(sessions, access).client_fields(open))
        .map_request(move |request| with_notes(&app, request))
        .service(provider);
    mount("/api/chat", chat)
}

/// Adds the user's notes to the system prompt.
///
/// The user is the owner, which is stored with the session. Other data that layers put on the HTTP
/// request is in `request.extensions`, except for an answer that restarts after a crash. The prompt is
/// neither stored nor sent to clients.
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
