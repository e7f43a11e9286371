use std::{borrow::Cow, collections::BTreeSet};

use crate::{
    chat::{ChatRequest, Role},
    dialect::{Problem, Refusal},
};

/// What clients may choose of a chat request. Nothing unless opened: what is closed here, strangers
/// could otherwise choose on the application's bill.
///
/// ```
/// use unbroken::durable::ClientFields;
///
/// let open = ClientFields::nothing().model().field("temperature");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientFields {
    model: bool,
    system_prompt: bool,
    system_role: bool,
    fields: BTreeSet<Cow<'static, str>>,
}

impl ClientFields {
    /// Neither the model, nor anything in the system's voice, nor fields that the library doesn't
    /// know.
    pub fn nothing() -> Self {
        Self::default()
    }

    /// Also the model. A request that names one is refused otherwise.
    pub fn model(mut self) -> Self {
        self.model = true;
        self
    }

    /// Also the system prompt. A request that has one is refused otherwise.
    pub fn system_prompt(mut self) -> Self {
        self.system_prompt = true;
        self
    }

    /// Also messages of the role `system`. A request that has one is refused otherwise.
    pub fn system_role(mut self) -> Self {
        self.system_role = true;
        self
    }

    /// Also the field of this name, which the library doesn't know; it is in
    /// [`ChatRequest::extra`] then. Such fields are dropped otherwise.
    pub fn field(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.fields.insert(name.into());
        self
    }

    /// Drops what is silently dropped, and refuses what is not open.
    pub(super) fn admit(&self, request: &mut ChatRequest) -> Result<(), Refusal> {
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
    fn what_is_closed_is_refused_and_what_is_open_passes() {
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
                .admit(&mut request(value.clone()))
                .unwrap_err();
            assert_eq!(refusal.problem, Problem::NotOpen);
            let mut admitted = request(value.clone());
            open.admit(&mut admitted).unwrap();
            assert_eq!(serde_json::to_value(&admitted).unwrap(), value);
        }
    }

    #[test]
    fn what_is_inside_is_held_to_the_same() {
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
        let mut admitted = request(value);
        ClientFields::nothing()
            .field("cacheControl")
            .admit(&mut admitted)
            .unwrap();
        assert_eq!(serde_json::to_value(&admitted).unwrap(), known);
    }

    #[test]
    fn unknown_fields_are_dropped_unless_named() {
        let value = json!({
            "messages": [{"role": "user", "content": "Hi", "cache": true}],
            "script": {"tokens": 3},
            "temperature": 2,
        });
        let mut closed = request(value.clone());
        ClientFields::nothing().admit(&mut closed).unwrap();
        assert_eq!(
            serde_json::to_value(&closed).unwrap(),
            json!({"messages": [{"role": "user", "content": "Hi"}]})
        );
        let mut open = request(value);
        ClientFields::nothing()
            .field("script")
            .admit(&mut open)
            .unwrap();
        assert_eq!(open.extra.len(), 1);
        assert_eq!(open.extra["script"]["tokens"], 3);
    }
}
