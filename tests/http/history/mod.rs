//! Conversations that the server keeps: requests bring the new message only.

mod delivery;
mod edits;
mod outputs;
mod refused;
pub(crate) mod table;
mod turns;

use serde_json::{Value, json};
use unbroken::{
    access::OnlyTheOwner,
    dialect::AiSdk,
    durable::{ClientFields, DurableLayer},
    log::{ChatId, Owner},
    session::Sessions,
};

use self::table::Table;
use crate::{
    client::{Answer, Whole, With, post, send},
    server::{Call, Calls, MOUNT, Server, driven_at},
};

/// A server that keeps chats in a table, with a provider that the test drives.
struct Chats {
    server: Server,
    calls: Calls,
    table: Table,
    layer: DurableLayer,
}

fn layer(sessions: &Sessions) -> DurableLayer {
    let who = |head: &mut http::request::Parts| {
        let name = head.headers.get("x-user")?.to_str().ok()?;
        Some(Owner::new(name))
    };
    DurableLayer::new(sessions.clone(), OnlyTheOwner::new(who))
        .dialect(AiSdk::new())
        .public_path(MOUNT)
        .client_fields(ClientFields::nothing())
}

impl Chats {
    async fn new() -> Self {
        Self::with(Sessions::in_memory(), |layer| layer).await
    }

    async fn with(sessions: Sessions, with: impl FnOnce(DurableLayer) -> DurableLayer) -> Self {
        let table = Table::default();
        let layer = with(layer(&sessions).history(table.clone()));
        let (server, calls) = driven_at(sessions, &layer).await;
        Self {
            server,
            calls,
            table,
            layer,
        }
    }

    async fn send(&self, body: &Value) -> Answer {
        send(self.server.addr, post(MOUNT, body).with("x-user", "ann")).await
    }

    /// Sends a request, and has the model answer with this text. Returns what the model got.
    async fn answered(&self, body: &Value, text: &str) -> Vec<String> {
        let (answer, call) = self.running(body).await;
        call.say(text);
        let got = got(&call);
        drop(call);
        answer.whole().await;
        got
    }

    /// Sends a request that begins an answer.
    async fn running(&self, body: &Value) -> (Answer, Call) {
        let answer = self.send(body).await;
        assert_eq!(answer.status(), 200);
        (answer, self.calls.next().await)
    }

    async fn refused(&self, body: &Value) -> Whole {
        let whole = self.send(body).await.whole().await;
        assert!(whole.status() >= 400, "{}", whole.text());
        whole
    }

    /// Returns what a page of the chat `c` shows: the role and the text of each message.
    async fn page(&self) -> Vec<String> {
        let (ann, chat) = (Owner::new("ann"), ChatId::new("c"));
        let messages = self.layer.chat_messages(Some(&ann), &chat).await.unwrap();
        let shown = messages.iter().map(|it| serde_json::to_value(it).unwrap());
        shown.map(|it| shown_text(&it)).collect()
    }
}

fn shown_text(message: &Value) -> String {
    let parts = message["parts"].as_array().unwrap().iter();
    let text: String = parts.filter_map(|part| part["text"].as_str()).collect();
    format!("{}: {text}", message["role"].as_str().unwrap())
}

/// Returns the role and the text of each message that the model got.
fn got(call: &Call) -> Vec<String> {
    let messages = call.request.messages.iter();
    let shown = messages.map(|it| format!("{}: {}", it.role.as_str(), it.text()));
    shown.collect()
}

fn says(id: &str, text: &str) -> Value {
    json!({"id": "c", "trigger": "submit-message",
        "message": {"id": id, "role": "user", "parts": [{"type": "text", "text": text}]}})
}

fn again(mut body: Value) -> Value {
    body["trigger"] = "regenerate-message".into();
    body
}
