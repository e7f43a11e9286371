use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    input::{ResponseInput, wrong},
    response::{RequestEcho, ResponseIdentity},
    settings,
};
use crate::{
    chat::{ChatRequest, IsomorphicTool, as_json::null_is_default},
    dialect::{Element, Refusal, RequestLimits, body, unread},
    log::SessionId,
};

/// The body of `POST /responses`. Fields that the library doesn't know are in `extra`, for the application
/// to open.
#[derive(Debug, Deserialize)]
pub(super) struct CreateResponse {
    #[serde(default)]
    pub(super) model: Option<String>,
    #[serde(default, deserialize_with = "null_is_default")]
    pub(super) stream: bool,
    #[serde(default, deserialize_with = "null_is_default")]
    pub(super) background: bool,
    #[serde(default)]
    input: Option<ResponseInput>,
    #[serde(default)]
    instructions: Option<String>,
    #[serde(default, deserialize_with = "null_is_default")]
    tools: Vec<RequestTool>,
    #[serde(default)]
    previous_response_id: Option<Value>,
    #[serde(default)]
    conversation: Option<Value>,
    #[serde(default)]
    prompt: Option<Value>,
    #[serde(flatten)]
    extra: Map<String, Value>,
    /// The JSON values of the body, and of the texts in it.
    #[serde(skip)]
    pub(super) values: usize,
}

#[derive(Debug, Deserialize)]
struct RequestTool {
    r#type: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    parameters: Value,
    #[serde(flatten)]
    others: Map<String, Value>,
}

const EXAMPLE: &str = r#"{"model":"…","input":"Hi"}"#;

impl CreateResponse {
    pub(super) fn read(bytes: &Bytes, limits: &RequestLimits) -> Result<Self, Refusal> {
        let what = "a request for a response";
        let texts = |create: &Self| {
            create
                .input
                .as_ref()
                .map_or(0, ResponseInput::values_in_texts)
        };
        let (create, values) = body::read(bytes, limits, what, EXAMPLE, texts)?;
        Ok(Self { values, ..create })
    }

    /// Returns the response whose calls this request gives outputs for: `previous_response_id`, or the one
    /// in the id of the last function call.
    pub(super) fn continues(&self) -> Option<SessionId> {
        match &self.previous_response_id {
            Some(Value::String(id)) => id.parse().ok(),
            Some(_) => None,
            None => self.input.as_ref()?.response_of_calls(),
        }
    }

    fn answers_calls(&self) -> bool {
        let input = self.input.as_ref();
        input.is_some_and(ResponseInput::ends_with_outputs)
    }

    /// Returns the request to the provider, and what the response repeats of it.
    pub(super) fn into_request(
        mut self,
        limits: &RequestLimits,
    ) -> Result<(ChatRequest, ResponseIdentity), Refusal> {
        limits.check(Element::Tool, self.tools.len())?;
        let previous = self.previous_response_id.as_ref();
        let stored = [
            (
                "previous_response_id",
                previous.filter(|_| !self.answers_calls()),
            ),
            ("conversation", self.conversation.as_ref()),
            ("prompt", self.prompt.as_ref()),
        ];
        if let Some((name, _)) = stored.iter().find(|(_, value)| value.is_some()) {
            return Err(wrong(&format!(
                "`{name}` names what this server doesn't keep; send the whole conversation as \
                 `input`"
            )));
        }
        let messages = self.input.map(|input| input.into_messages(limits));
        let messages = messages.transpose()?;
        let messages = messages.unwrap_or_default();
        if messages.is_empty() {
            return Err(wrong(&format!(
                "there is no `input` to answer; send {EXAMPLE}"
            )));
        }
        let metadata = settings::metadata(&mut self.extra)?;
        let options = settings::options(&mut self.extra)?;
        let identity = ResponseIdentity {
            created_at: 0,
            model: self.model.clone(),
            background: self.background,
            metadata,
            request: RequestEcho::of(&options),
        };
        let mut request = ChatRequest::new(messages);
        request.options = options;
        request.model = self.model;
        request.system_prompt = self.instructions;
        request.isomorphic_tools = self
            .tools
            .into_iter()
            .enumerate()
            .map(|(at, tool)| tool.into_tool(at))
            .collect::<Result<_, _>>()?;
        request.extra = self.extra;
        Ok((request, identity))
    }
}

impl RequestTool {
    fn into_tool(self, at: usize) -> Result<IsomorphicTool, Refusal> {
        if self.r#type != "function" {
            return Err(wrong(&format!(
                "tools of the type `{}` don't run here; send functions",
                self.r#type.escape_debug()
            )));
        }
        // The API has calls by the model alone without it.
        let mut others = self.others;
        others.retain(|name, value| name != "allowed_callers" || *value != json!(["direct"]));
        others.retain(|_, value| *value != Value::Bool(false));
        // The API takes `strict` for true where it is left out.
        let known = ["type", "name", "description", "parameters", "strict"];
        unread::check_members(&format!("tools[{at}]"), &others, &known)?;
        let description = self.description.unwrap_or_default();
        Ok(IsomorphicTool::new(self.name, description, self.parameters))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        chat::{ChatOptions, Message},
        dialect::Problem,
    };

    const LIMITS: RequestLimits = RequestLimits::new();

    fn read(value: &Value) -> Result<ChatRequest, Refusal> {
        let create = CreateResponse::read(&value.to_string().into(), &LIMITS)?;
        create.into_request(&LIMITS).map(|(request, _)| request)
    }

    #[test]
    fn a_body_becomes_a_request_to_the_provider() {
        let asked = read(&json!({
            "model": "gpt", "input": "Hi", "instructions": "Be brief.", "temperature": 2,
            "user": "u", "store": false,
            "stream": true, "background": null,
            "tools": [{"type": "function", "name": "map", "parameters": {"type": "object"}, "strict": true}],
        }))
        .unwrap();
        assert_eq!(asked.messages, [Message::user("Hi")]);
        assert_eq!(asked.model.as_deref(), Some("gpt"));
        assert_eq!(asked.system_prompt.as_deref(), Some("Be brief."));
        assert_eq!(asked.isomorphic_tools[0].name, "map");
        assert_eq!(asked.options, ChatOptions::new().temperature(2.0));
        // Dropped unless the application opens it.
        assert_eq!(asked.extra.keys().collect::<Vec<_>>(), ["user"]);
    }

    #[test]
    fn a_member_of_a_tool_that_the_model_does_not_get_is_refused_by_its_place() {
        let with = |name: &str, value: Value| {
            let mut tool = json!({"type": "function", "name": "map", "parameters": {}});
            tool[name] = value;
            let other = json!({"type": "function", "name": "tap", "strict": null});
            read(&json!({"input": "Hi", "tools": [other, tool]}))
        };
        for (name, asks, asks_nothing) in [
            ("defer_loading", json!(true), json!(false)),
            ("async", json!(true), json!(false)),
            ("output_schema", json!({"type": "object"}), Value::Null),
            (
                "allowed_callers",
                json!(["programmatic"]),
                json!(["direct"]),
            ),
        ] {
            let refusal = with(name, asks).unwrap_err();
            assert_eq!(refusal.problem, Problem::NotOpen);
            let place = format!("`tools[1].{name}`");
            assert!(refusal.detail.contains(&place), "{}", refusal.detail);
            assert!(with(name, asks_nothing).is_ok(), "{name}");
        }
    }

    #[test]
    fn stored_conversations_and_hosted_tools_are_refused() {
        for (field, value) in [
            ("previous_response_id", json!("resp_1")),
            ("conversation", json!("conv_1")),
            ("prompt", json!({"id": "pmpt_1"})),
            ("tools", json!([{"type": "web_search"}])),
            ("input", json!([])),
            ("input", Value::Null),
        ] {
            let mut body = json!({"model": "m", "input": "Hi"});
            body[field] = value;
            let refusal = read(&body).unwrap_err();
            assert_eq!(refusal.problem, Problem::WrongShape, "{field}");
            assert!(!refusal.detail.is_empty());
        }
        assert!(read(&json!({"model": "m", "input": "Hi", "previous_response_id": null})).is_ok());
    }
}
