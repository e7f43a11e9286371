use axum::{Router, middleware::from_fn_with_state};
use axum_existing::{App, auth::authenticate, notes};
use futures_util::stream;
use serde_json::json;
use tower::Layer as _;
use unbroken::{
    access::OnlyTheOwner,
    chat::{ChatEvent, ProviderError, provider_fn},
    durable::DurableLayer,
    log::Owner,
    session::Sessions,
};

use crate::{
    client::{With, call, get},
    server::{CHAT, NOTES, Server, ask, routes, silent_after},
};

#[tokio::test]
async fn the_applications_401_is_used_by_the_chat_too() {
    let server = Server::app().await;
    for path in [NOTES, CHAT, "/api/chat/nobodys-session-0000000001"] {
        for request in [
            get(path),
            get(path).with("authorization", "Bearer who-knows"),
        ] {
            let refused = server.send(request).await;
            assert_eq!(refused.status(), 401, "{path}");
            assert_eq!(refused.header("www-authenticate"), "Bearer");
            assert_eq!(refused.json().await, "who are you? send your token");
        }
    }
    let start = server.send(ask(&json!({"tokens": 1}))).await;
    assert_eq!(start.status(), 401);
}

#[tokio::test]
async fn an_answer_is_its_owners_and_looks_absent_to_others() {
    let server = Server::app().await;
    let answer = server.ask(&silent_after(1)).await;
    let at = format!("{CHAT}/{}", answer.header("x-session-id"));
    for (method, path) in [
        ("GET", at.clone()),
        ("POST", format!("{at}/abort")),
        ("DELETE", at.clone()),
    ] {
        let bens = server.send(call(method, &path).by("ben")).await;
        assert_eq!(bens.status(), 404, "{method}");
    }
    assert_eq!(server.send(get(&at).by("ann")).await.status(), 200);
    let bens = server.send(get(CHAT).by("ben")).await.json().await;
    assert_eq!(bens["sessions"], json!([]));
    let anns = server.send(get(CHAT).by("ann")).await.json().await;
    assert_eq!(anns["sessions"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn control_auth_before_the_merge_leaves_the_chat_without_users() {
    let state = App::demo();
    let server = Server::of(
        notes::routes()
            .with_state(state.clone())
            .layer(from_fn_with_state(state.clone(), authenticate))
            .merge(routes(&state)),
    )
    .await;
    assert_eq!(server.send(get(NOTES).by("ann")).await.status(), 200);
    let start = server.send(ask(&json!({"tokens": 1})).by("ann")).await;
    assert_eq!(start.status(), 401, "the extractor refuses every request");
}

#[tokio::test]
async fn control_an_optional_owner_makes_a_403_without_www_authenticate() {
    let state = App::demo();
    let access = OnlyTheOwner::new(|head: &mut http::request::Parts| {
        let user = head.extensions.get::<axum_existing::auth::User>()?;
        Owner::try_from(user.0.to_string()).ok()
    });
    let provider =
        provider_fn(|_request| stream::iter([Ok::<_, ProviderError>(ChatEvent::text("Hello"))]));
    let chat = || {
        let durable = DurableLayer::new(Sessions::in_memory(), access.clone());
        unbroken_axum::mount::<_, ()>(CHAT, durable.layer(provider))
    };
    let authenticated = chat().layer(from_fn_with_state(state, authenticate));
    for (router, status) in [(authenticated, 200), (Router::new().merge(chat()), 403)] {
        let server = Server::of(router).await;
        let start = server.send(ask(&json!({})).by("ann")).await;
        assert_eq!(start.status(), status);
        assert_eq!(start.header("www-authenticate"), "");
    }
}
