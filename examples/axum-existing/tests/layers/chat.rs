use axum_existing::{
    App, chat,
    layers::{Settings, app},
    notes,
};
use futures_util::stream;
use serde_json::json;
use unbroken::{
    chat::{ChatEvent, ChatRequest, ProviderError, provider_fn},
    durable::ClientFields,
    session::Sessions,
};

use crate::{
    client::{With, post},
    server::{NOTES, Server, ask, silent_after},
};

#[tokio::test]
async fn no_layer_delays_an_event() {
    let server = Server::app().await;
    for accept in ["application/x-ndjson", "text/event-stream"] {
        for count in [0, 1, 3] {
            let request = ask(&silent_after(count)).by("ann");
            let request = request
                .with("accept", accept)
                .with("accept-encoding", "gzip");
            let mut answer = server.send(request).await;
            assert_eq!(answer.status(), 200);
            // The provider sends nothing more, so this event did not wait for another.
            let last = match count {
                0 => "session_info".to_owned(),
                count => format!("\"{count} \""),
            };
            answer.until(&last).await;
        }
    }
}

#[tokio::test]
async fn a_lost_connection_is_resumed_through_all_layers() {
    let server = Server::app().await;
    let mut answer = server.ask(&json!({"tokens": 50, "delayMs": 5})).await;
    answer.until("\"3 \"").await;
    let id = answer.header("x-session-id").to_owned();
    assert_eq!(
        answer.header("content-location"),
        format!("/api/chat/{id}"),
        "the mount is known"
    );
    drop(answer);
    let rest = server.read(&id, "?after=4").await.whole().await;
    assert!(rest.is_complete(), "{}", rest.text);
    assert_eq!(rest.lsns(), (5..=52).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_provider_gets_the_notes_of_the_user() {
    let echo = provider_fn(|request: ChatRequest| {
        let prompt = request
            .system_prompt
            .unwrap_or_else(|| "nothing".to_owned());
        stream::iter([Ok::<_, ProviderError>(ChatEvent::text(prompt))])
    });
    let state = App::demo();
    let chat = chat::routes(
        Sessions::in_memory(),
        state.clone(),
        ClientFields::nothing(),
        echo,
    );
    let router = app(notes::routes(), chat, state, &Settings::default());
    let server = Server::of(router).await;
    let note = post(NOTES, &json!("Ann likes tea.")).by("ann");
    assert_eq!(server.send(note).await.status(), 201);
    for (user, prompt) in [("ann", "- Ann likes tea."), ("ben", "\"nothing\"")] {
        let answer = server.send(ask(&json!({})).by(user)).await.whole().await;
        assert!(
            answer.is_complete() && answer.text.contains(prompt),
            "{user}"
        );
    }
}
