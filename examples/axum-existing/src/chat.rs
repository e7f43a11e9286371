//! The durable chat that was added to the application.

use axum::{Json, Router, extract::Path, routing::get};
use http::StatusCode;
use tower::ServiceBuilder;
use unbroken::{
    access::OnlyTheOwner,
    chat::{ChatRequest, Provider},
    dialect::{AiSdk, ChatMessage},
    durable::{ClientFields, DurableLayer, History},
    log::{ChatId, Owner},
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

/// Returns the routes of a chat for `useChat` of the AI SDK at `/api/pages`, whose conversations the application
/// keeps: the page sends its new message only.
///
/// `GET /api/chats/{id}` returns the messages of a chat, with which a page is opened.
///
/// ```js
/// const messages = await (await fetch('/api/chats/' + id, { headers })).json()
/// const transport = new DefaultChatTransport({
///   api: '/api/pages',
///   headers,
///   prepareSendMessagesRequest: ({ id, messages, trigger, messageId, body }) =>
///     ({ body: { ...body, id, message: messages.at(-1), trigger, messageId } }),
/// })
/// const chat = useChat({ id, messages, transport, resume: true })
/// ```
pub fn kept_routes<P>(
    sessions: Sessions,
    app: App,
    history: impl History,
    open: ClientFields,
    provider: P,
) -> Router
where
    P: Provider + Sync,
{
    let access = OnlyTheOwner::new(identify_with(|User(name): User| name));
    let layer = DurableLayer::new(sessions, access)
        .dialect(AiSdk::new())
        .client_fields(open)
        .history(history);
    let chat = ServiceBuilder::new()
        .layer(layer.clone())
        .map_request(move |request| with_notes(&app, request))
        .service(provider);
    let messages = async move |User(name): User, Path(chat): Path<String>| {
        messages(&layer, &Owner::new(name), chat).await
    };
    mount("/api/pages", chat).route("/api/chats/{id}", get(messages))
}

async fn messages(
    layer: &DurableLayer,
    user: &Owner,
    chat: String,
) -> Result<Json<Vec<ChatMessage>>, StatusCode> {
    let chat = ChatId::try_from(chat).map_err(|_| StatusCode::NOT_FOUND)?;
    let messages = layer.chat_messages(Some(user), &chat).await;
    let messages = messages.map_err(|error| {
        eprintln!("a chat can't be loaded: {error}");
        StatusCode::SERVICE_UNAVAILABLE
    })?;
    Ok(Json(messages))
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
