use std::{borrow::Cow, collections::BTreeSet};

use crate::{
    chat::{ChatRequest, Role},
    dialect::{Problem, Refusal},
};

/// The fields of a chat request that clients may choose.
///
/// None is open by default: a client that chooses the model or the system prompt does so on the
/// application's bill. The layer refuses (422) a closed field that the library knows, and drops fields
/// that it doesn't know.
///
/// ```
/// use unbroken::durable::ClientFields;
///
/// let fields = ClientFields::nothing().model().field("temperature");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientFields {
    model: bool,
    system_prompt: bool,
    system_role: bool,
    fields: BTreeSet<Cow<'static, str>>,
}

impl ClientFields {
    /// Opens no field: not the model, not the system prompt or messages of the role `system`, and no
    /// field that the library doesn't know.
    pub fn nothing() -> Self {
        Self::default()
    }

    /// Opens `model`. Otherwise a request with a model is refused.
    pub fn model(mut self) -> Self {
        self.model = true;
        self
    }

    /// Opens `systemPrompt`. Otherwise a request with a system prompt is refused.
    pub fn system_prompt(mut self) -> Self {
        self.system_prompt = true;
        self
    }

    /// Opens messages of the role `system`. Otherwise a request with one is refused.
    pub fn system_role(mut self) -> Self {
        self.system_role = true;
        self
    }

    /// Opens a field that the library doesn't know, and puts it into [`ChatRequest::extra`]. Otherwise
    /// the field is dropped.
    pub fn field(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.fields.insert(name.into());
        self
    }

    /// Refuses a request with closed fields, and drops its unknown fields.
    pub(super) fn apply(&self, request: &mut ChatRequest) -> Result<(), Refusal> {
        let closed = if request.model.is_some() && !self.model {
            Some("`model` is not open to clients; leave it out")
        } else if request.system_prompt.is_some() && !self.system_prompt {
            Some("`systemPrompt` is not open to clients; leave it out")
        } else if !self.system_role && request.messages.iter().any(|it| it.role == Role::System) {
            Some("messages of the role `system` are not open to clients; leave them out")
        } else {
            None
        };
        if let Some(detail) = closed {
            return Err(Refusal::new(Problem::NotOpen, detail));
        }
        request
            .extra
            .retain(|name, _| self.fields.contains(name.as_str()));
        for message in &mut request.messages {
            message.extra.clear();
            for call in &mut message.tool_calls {
                call.extra.clear();
            }
        }
        for tool in &mut request.isomorphic_tools {
            tool.extra.clear();
        }
        for output in &mut request.isomorphic_client_outputs {
            output.extra.clear();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn request(value: serde_json::Value) -> ChatRequest {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_closed_field_is_refused_and_an_open_one_passes() {
        let cases = [
            (
                json!({"messages": [], "model": "m"}),
                ClientFields::nothing().model(),
            ),
            (
                json!({"messages": [], "systemPrompt": "p"}),
                ClientFields::nothing().system_prompt(),
            ),
            (
                json!({"messages": [{"role": "system", "content": "p"}]}),
                ClientFields::nothing().system_role(),
            ),
        ];
        for (value, open) in cases {
            let refusal = ClientFields::nothing()
                .apply(&mut request(value.clone()))
                .unwrap_err();
            assert_eq!(refusal.problem, Problem::NotOpen);
            let mut passed = request(value.clone());
            open.apply(&mut passed).unwrap();
            assert_eq!(serde_json::to_value(&passed).unwrap(), value);
        }
    }

    #[test]
    fn unknown_fields_of_nested_values_are_dropped() {
        let known = json!({
            "messages": [{
                "role": "assistant", "content": "",
                "tool_calls": [{"id": "1", "name": "map", "arguments": {}}],
            }],
            "isomorphicTools": [
                {"name": "map", "description": "", "parameters": {}, "authority": "client"},
            ],
            "isomorphicClientOutputs": [{
                "callId": "1", "toolName": "map", "params": {}, "clientOutput": "ok",
                "usesHandoff": false,
            }],
        });
        let mut value = known.clone();
        for place in [
            "/messages/0",
            "/messages/0/tool_calls/0",
            "/isomorphicTools/0",
            "/isomorphicClientOutputs/0",
        ] {
            value.pointer_mut(place).unwrap()["cacheControl"] = json!("forever");
        }
        let mut passed = request(value);
        ClientFields::nothing()
            .field("cacheControl")
            .apply(&mut passed)
            .unwrap();
        assert_eq!(serde_json::to_value(&passed).unwrap(), known);
    }

    #[test]
    fn unknown_fields_are_dropped_unless_named() {
        let value = json!({
            "messages": [{"role": "user", "content": "Hi", "cache": true}],
            "script": {"tokens": 3},
            "temperature": 2,
        });
        let mut closed = request(value.clone());
        ClientFields::nothing().apply(&mut closed).unwrap();
        assert_eq!(
            serde_json::to_value(&closed).unwrap(),
            json!({"messages": [{"role": "user", "content": "Hi"}]})
        );
        let mut open = request(value);
        ClientFields::nothing()
            .field("script")
            .apply(&mut open)
            .unwrap();
        assert_eq!(open.extra.len(), 1);
        assert_eq!(open.extra["script"]["tokens"], 3);
    }
}
