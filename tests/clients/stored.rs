use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use axum::http::StatusCode;
use unbroken::{dialect::ai_sdk::UiMessage, durable::SessionEnded};

/// The messages of answers that have ended, as an application stores them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stored {
    messages: Arc<Mutex<HashMap<String, UiMessage>>>,
}

impl Stored {
    pub(crate) fn keep(&self, ended: &SessionEnded) {
        let message = UiMessage::from_transcript(ended.id.as_str(), &ended.transcript);
        let mut messages = self.messages.lock().expect("nothing panics");
        messages.insert(ended.id.to_string(), message);
    }

    pub(crate) fn message(&self, id: &str) -> Result<String, StatusCode> {
        let messages = self.messages.lock().expect("nothing panics");
        let message = messages.get(id).ok_or(StatusCode::NOT_FOUND)?;
        serde_json::to_string(message).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
    }
}
