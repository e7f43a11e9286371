use std::error::Error;

use bytes::Bytes;

use super::stored_request;
use crate::chat::ChatRequest;

/// A request as a running session keeps it for its hooks: in the stored form, of which the store may
/// hold the same bytes. Decoded, it takes a multiple of them.
#[derive(Clone)]
pub(super) struct KeptRequest {
    stored: Bytes,
    /// The fields that aren't stored.
    context: ChatRequest,
}

impl KeptRequest {
    /// Keeps a request, of which `stored` is the stored form.
    pub(super) fn new(stored: Bytes, request: &ChatRequest) -> Self {
        let context = ChatRequest {
            inputs: request.inputs.clone(),
            session_id: request.session_id.clone(),
            owner: request.owner.clone(),
            extensions: request.extensions.clone(),
            ..ChatRequest::default()
        };
        Self { stored, context }
    }

    /// Decodes the request.
    pub(super) fn decode(self) -> ChatRequest {
        let Self { stored, context } = self;
        match stored_request::restore(&stored) {
            Ok(request) => ChatRequest {
                inputs: context.inputs,
                session_id: context.session_id,
                owner: context.owner,
                extensions: context.extensions,
                ..request
            },
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn Error,
                    "the stored request of a session can't be read; its hooks get an empty one"
                );
                context
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::log::{ChatId, Owner, SessionId};

    #[test]
    fn a_request_comes_back_with_what_is_stored_and_what_is_not() {
        let mut request = ChatRequest::from_user("Hi");
        request.chat_id = Some(ChatId::new("c"));
        request.extra.insert("open".into(), json!({"a": [1, 2]}));
        let stored = stored_request::store(&request).unwrap();
        request.session_id = Some(SessionId::random());
        request.owner = Some(Owner::new("ann"));
        request.extensions.insert(7_u8);
        let kept = KeptRequest::new(stored, &request).decode();
        assert_eq!(kept.messages, request.messages);
        assert_eq!((kept.chat_id, kept.extra), (request.chat_id, request.extra));
        assert_eq!(kept.session_id, request.session_id);
        assert_eq!(kept.owner, request.owner);
        assert_eq!(kept.extensions.get(), Some(&7_u8));
    }
}
