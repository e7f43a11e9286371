use bytes::Bytes;
use http::{Response, request::Parts};
use serde_json::json;

use super::*;
use crate::dialect::{Intent, Native, Problem, RequestLimits, ResponseData, Route};

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
            .apply(&mut request(value.clone()), &Native::new())
            .unwrap_err();
        assert_eq!(refusal.problem, Problem::NotOpen);
        let mut passed = request(value.clone());
        open.apply(&mut passed, &Native::new()).unwrap();
        assert_eq!(serde_json::to_value(&passed).unwrap(), value);
    }
}

pub(super) fn fits(fields: &ClientFields, value: &serde_json::Value) -> Result<(), Refusal> {
    fields.apply(&mut request(value.clone()), &Native::new())
}

#[test]
fn earlier_turns_are_open_up_to_their_size() {
    let nothing = ClientFields::nothing();
    for (turn, bytes) in [
        (json!({"role": "assistant", "content": "Hello"}), 5),
        (
            json!({"role": "tool", "tool_call_id": "1", "content": "four"}),
            4,
        ),
        (
            json!({"role": "assistant", "content": "", "tool_calls": [
                {"id": "1", "name": "now", "arguments": {"a": [1]}}
            ]}),
            13,
        ),
        (
            json!({"role": "user", "content": "", "tool_calls": [{"id": "1", "name": "now"}]}),
            8,
        ),
    ] {
        let value = json!({"messages": [turn, {"role": "user", "content": "So?"}]});
        let refusal = fits(&nothing, &value).unwrap_err();
        assert_eq!(refusal.problem, Problem::NotOpen);
        for word in ["`assistant`", "`tool`", "ClientFields::history"] {
            assert!(refusal.detail.contains(word), "{}", refusal.detail);
        }
        fits(&nothing.clone().history(bytes), &value).unwrap();
        let refusal = fits(&nothing.clone().history(bytes - 1), &value).unwrap_err();
        assert_eq!(refusal.problem, Problem::NotOpen);
        assert!(
            refusal.detail.contains(&bytes.to_string()),
            "{}",
            refusal.detail
        );
    }
}

#[test]
fn outputs_at_the_end_are_no_earlier_turn() {
    let user = json!({"role": "user", "content": "Hi"});
    let output = json!({"role": "tool", "tool_call_id": "1", "content": "noon"});
    let nothing = ClientFields::nothing();
    fits(&nothing, &json!({"messages": [user, output, output]})).unwrap();
    fits(&nothing, &json!({"messages": [output, user]})).unwrap_err();
}

#[test]
fn tools_of_the_client_are_open_up_to_their_number_and_size() {
    let tool = |name: &str| json!({"name": name, "description": "Maps.", "parameters": {"a": 1}});
    let value = json!({"messages": [], "isomorphicTools": [tool("map"), tool("tap")]});
    let nothing = ClientFields::nothing();
    let refusal = fits(&nothing, &value).unwrap_err();
    assert!(
        refusal.detail.contains("ClientFields::client_tools"),
        "{}",
        refusal.detail
    );
    fits(&nothing.clone().client_tools(2, 30), &value).unwrap();
    for (count, bytes, named) in [(1, 30, "2 tools"), (2, 29, "30 bytes")] {
        let refusal = fits(&nothing.clone().client_tools(count, bytes), &value).unwrap_err();
        assert_eq!(refusal.problem, Problem::NotOpen);
        assert!(refusal.detail.contains(named), "{}", refusal.detail);
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
        .history(100)
        .client_tools(1, 100)
        .field("cacheControl")
        .apply(&mut passed, &Native::new())
        .unwrap();
    assert_eq!(serde_json::to_value(&passed).unwrap(), known);
}

#[test]
fn unknown_fields_are_dropped_unless_named() {
    let value = json!({
        "messages": [{"role": "user", "content": "Hi", "cache": true}],
        "script": {"tokens": 3},
        "metadata": {"tab": 2},
    });
    let mut closed = request(value.clone());
    ClientFields::nothing()
        .apply(&mut closed, &Native::new())
        .unwrap();
    assert_eq!(
        serde_json::to_value(&closed).unwrap(),
        json!({"messages": [{"role": "user", "content": "Hi"}]})
    );
    let mut open = request(value);
    ClientFields::nothing()
        .field("script")
        .apply(&mut open, &Native::new())
        .unwrap();
    assert_eq!(open.extra.len(), 1);
    assert_eq!(open.extra["script"]["tokens"], 3);
}

/// The native dialect, with words of its own.
#[derive(Debug)]
struct Worded(Native);

impl Dialect for Worded {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn route(&self, head: &Parts) -> Result<Route, Refusal> {
        self.0.route(head)
    }

    fn decode(
        &self,
        head: &Parts,
        body: &Bytes,
        limits: &RequestLimits,
    ) -> Result<Intent, Refusal> {
        self.0.decode(head, body, limits)
    }

    fn refuse(&self, refusal: &Refusal) -> Response<Bytes> {
        self.0.refuse(refusal)
    }

    fn respond(&self, data: &ResponseData<'_>) -> Response<Bytes> {
        self.0.respond(data)
    }

    fn field_name(&self, field: &'static str) -> &'static str {
        match field {
            "options.maxOutputTokens" => "max_output_tokens",
            "media" => "input_image",
            "model" => "engine",
            other => other,
        }
    }

    fn can_restart(&self) -> bool {
        self.0.can_restart()
    }
}

#[test]
fn a_refusal_names_a_field_in_the_words_of_the_dialect() {
    let user = json!({"role": "user", "content": [
        {"type": "media", "mediaType": "image/png", "url": "https://example.com"},
    ]});
    let limited = ClientFields::nothing().max_output_tokens(5);
    for (fields, value, word) in [
        (
            ClientFields::nothing(),
            json!({"messages": [], "model": "m"}),
            "`engine`",
        ),
        (
            ClientFields::nothing(),
            json!({"messages": [user]}),
            "`input_image`",
        ),
        (
            ClientFields::nothing(),
            json!({"messages": [], "options": {"maxOutputTokens": 9}}),
            "`max_output_tokens`",
        ),
        (
            limited.clone(),
            json!({"messages": [], "options": {"maxOutputTokens": 9}}),
            "`max_output_tokens`",
        ),
        (
            limited,
            json!({"messages": [], "options": {"maxOutputTokens": 0}}),
            "`max_output_tokens`",
        ),
    ] {
        let worded = Worded(Native::new());
        let refusal = fields.apply(&mut request(value), &worded).unwrap_err();
        assert!(refusal.detail.contains(word), "{}", refusal.detail);
    }
}
