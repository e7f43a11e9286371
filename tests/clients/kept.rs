//! Chats that the server keeps, for clients that send their new message only.

use std::sync::{Arc, Mutex};

use axum::{Router, extract::Path, http::StatusCode, routing::get};
use unbroken::{
    BoxError, BoxFuture,
    dialect::{ChatMessage, Dialect},
    durable::{ChatExchange, DurableLayer, History},
    log::{ChatId, Owner},
};

use crate::provider::Scripts;

fn json(messages: &[ChatMessage]) -> Result<String, StatusCode> {
    serde_json::to_string(messages).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}

/// The table of the application.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<(ChatId, ChatExchange)>>>);

impl Kept {
    fn of_chat(&self, chat: &ChatId) -> Vec<ChatExchange> {
        let rows = self.0.lock().expect("nothing panics");
        let of_chat = rows.iter().filter(|(of, _)| of == chat);
        of_chat.map(|(_, exchange)| exchange.clone()).collect()
    }
}

impl History for Kept {
    fn append<'a>(
        &'a self,
        _: Option<&'a Owner>,
        chat: &'a ChatId,
        exchange: &'a ChatExchange,
    ) -> BoxFuture<'a, Result<(), BoxError>> {
        Box::pin(async move {
            let mut rows = self.0.lock().expect("nothing panics");
            let is_new = rows
                .iter()
                .all(|(_, it)| it.ending_id != exchange.ending_id);
            if is_new {
                rows.push((chat.clone(), exchange.clone()));
            }
            Ok(())
        })
    }

    fn load<'a>(
        &'a self,
        _: Option<&'a Owner>,
        chat: &'a ChatId,
    ) -> BoxFuture<'a, Result<Vec<ChatExchange>, BoxError>> {
        Box::pin(async move { Ok(self.of_chat(chat)) })
    }
}

/// Returns a service at the name of the layer, and the messages of its chats: for a page that is opened, and as
/// they are in the table.
pub(crate) fn app(
    name: &'static str,
    layer: DurableLayer,
    dialect: impl Dialect,
    provider: Scripts,
) -> Router {
    use tower_layer::Layer as _;

    let kept = Kept::default();
    let layer = layer.dialect(dialect).history(kept.clone());
    let service = layer.layer(provider);
    let page = get(async move |Path(chat): Path<String>| {
        let messages = layer.chat_messages(None, &ChatId::new(chat)).await;
        let messages = messages.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
        json(&messages)
    });
    let table = get(async move |Path(chat): Path<String>| {
        let exchanges = kept.of_chat(&ChatId::new(chat));
        let rows = exchanges.len().to_string();
        (
            [("x-rows", rows)],
            json(&ChatExchange::conversation(exchanges)),
        )
    });
    Router::new()
        .route(&format!("/pages/{name}/{{chat}}"), page)
        .route(&format!("/tables/{name}/{{chat}}"), table)
        .nest_service(&format!("/{name}"), service)
}
