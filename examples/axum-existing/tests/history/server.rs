//! The chat of the application over the table.

use std::time::Duration;

use axum::{Router, body::Body};
use axum_existing::{
    App, chat,
    layers::{Settings, app},
    notes,
};
use http::{Method, Request};
use http_body_util::BodyExt as _;
use libtest_mimic::Trial;
use serde_json::{Value, json};
use tower::ServiceExt as _;
use unbroken::{
    durable::ClientFields,
    provider::{Scripted, scripted::Script},
    session::Sessions,
};

use crate::database::{Database, Schema};

pub(crate) fn trials(database: &Database) -> Vec<Trial> {
    vec![
        database.trial("a_chat_goes_on_after_the_server_was_replaced", replaced),
        database.trial("an_answer_is_kept_also_if_the_table_was_away", away),
        database.trial("a_chat_is_shown_to_its_user_only", users),
    ]
}

/// The application, with a new registry each time: the answers of the last one are in the table only.
async fn application(schema: &Schema, sessions: Sessions) -> Router {
    let (state, open) = (App::demo(), ClientFields::nothing().field("script"));
    let provider = Scripted::new(Script::say("Hello there.").delay(Duration::ZERO));
    let table = schema.table().await;
    let chat = chat::kept_routes(sessions, state.clone(), table, open, provider);
    app(notes::routes(), chat, state, &Settings::default())
}

async fn send(app: &Router, method: Method, path: &str, user: &str, body: &Value) -> (u16, String) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", format!("Bearer {user}-token"))
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()))
        .unwrap();
    let response = app.clone().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

async fn ask(app: &Router, id: &str, text: &str, answer: &str) -> (u16, String) {
    let message = json!({"id": id, "role": "user", "parts": [{"type": "text", "text": text}]});
    let script = json!({"text": answer, "delayMs": 0});
    let body = json!({"id": "c", "message": message, "script": script});
    send(app, Method::POST, "/api/pages", "ann", &body).await
}

async fn page(app: &Router, user: &str) -> Vec<String> {
    let (status, body) = send(app, Method::GET, "/api/chats/c", user, &Value::Null).await;
    assert_eq!(status, 200, "{body}");
    let messages: Vec<Value> = serde_json::from_str(&body).unwrap();
    let text = |message: &Value| -> String {
        let parts = message["parts"].as_array().unwrap().iter();
        parts.filter_map(|part| part["text"].as_str()).collect()
    };
    messages.iter().map(text).collect()
}

async fn until_rows(schema: &Schema, count: i64) {
    let has = async {
        while schema.rows().await != count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), has)
        .await
        .expect("the rows come");
}

async fn replaced(schema: Schema) {
    let first = application(&schema, Sessions::in_memory()).await;
    assert_eq!(ask(&first, "m1", "Hi", "Hello.").await.0, 200);
    until_rows(&schema, 1).await;
    let second = application(&schema, Sessions::in_memory()).await;
    assert_eq!(page(&second, "ann").await, ["Hi", "Hello."]);
    assert_eq!(ask(&second, "m2", "And?", "No more.").await.0, 200);
    assert_eq!(
        page(&second, "ann").await,
        ["Hi", "Hello.", "And?", "No more."]
    );
    until_rows(&schema, 2).await;
    assert_eq!(
        page(&second, "ann").await,
        ["Hi", "Hello.", "And?", "No more."]
    );
    // An edit, after which the first server is as good as the second.
    assert_eq!(ask(&second, "m1", "Hey", "Hey yourself.").await.0, 200);
    until_rows(&schema, 3).await;
    assert_eq!(page(&first, "ann").await, ["Hey", "Hey yourself."]);
}

async fn away(schema: Schema) {
    let app = application(&schema, Sessions::in_memory()).await;
    let client = schema.client().await;
    // Rows can be read, and none can be added.
    let close = "ALTER TABLE chat_exchanges ADD CONSTRAINT closed CHECK (false) NOT VALID";
    client.batch_execute(close).await.unwrap();
    assert_eq!(ask(&app, "m1", "Hi", "Hello.").await.0, 200);
    assert_eq!(ask(&app, "m2", "And?", "No more.").await.0, 200);
    assert_eq!(
        page(&app, "ann").await,
        ["Hi", "Hello.", "And?", "No more."]
    );
    assert_eq!(schema.rows().await, 0);
    let open = "ALTER TABLE chat_exchanges DROP CONSTRAINT closed";
    client.batch_execute(open).await.unwrap();
    until_rows(&schema, 2).await;
    let hide = "ALTER TABLE chat_exchanges RENAME TO hidden";
    client.batch_execute(hide).await.unwrap();
    let (status, body) = ask(&app, "m3", "So?", "So.").await;
    assert_eq!(status, 503, "{body}");
    assert!(!body.contains("chat_exchanges"), "{body}");
    let show = "ALTER TABLE hidden RENAME TO chat_exchanges";
    client.batch_execute(show).await.unwrap();
    assert_eq!(ask(&app, "m3", "So?", "So.").await.0, 200);
    until_rows(&schema, 3).await;
}

async fn users(schema: Schema) {
    let app = application(&schema, Sessions::in_memory()).await;
    assert_eq!(ask(&app, "m1", "Hi", "Hello.").await.0, 200);
    for is_kept in [false, true] {
        if is_kept {
            until_rows(&schema, 1).await;
        }
        assert_eq!(page(&app, "ben").await, [""; 0]);
        assert_eq!(page(&app, "ann").await.len(), 2);
    }
    let (status, _) = send(&app, Method::GET, "/api/chats/c", "eve", &Value::Null).await;
    assert_eq!(status, 401);
    let long = format!("/api/chats/{}", "x".repeat(129));
    let (status, _) = send(&app, Method::GET, &long, "ann", &Value::Null).await;
    assert_eq!(status, 404);
}
