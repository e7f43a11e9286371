//! The limits on the elements of a request, on both sides, in every dialect.
#![allow(
    clippy::needless_pass_by_value,
    reason = "bodies are written as they are"
)]

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{Request, request::Parts};
use serde_json::{Value, json};
use unbroken::dialect::{
    AgUi, AiSdk, Dialect, DurableStreams, Element, Native, OpenAiResponses, Problem, Refusal,
    RequestLimits,
};

const ID: &str = "0123456789abcdefghjkmnpqrs";
const MAX: usize = 3;

fn head(path: &str) -> Parts {
    let request = Request::post(path).header("content-type", "application/json");
    request.body(()).unwrap().into_parts().0
}

fn decode(
    dialect: &dyn Dialect,
    path: &str,
    body: &Value,
    limits: &RequestLimits,
) -> Result<(), Refusal> {
    let (head, body) = (head(path), Bytes::from(body.to_string()));
    dialect.route(&head)?;
    dialect.subject(&head, &body)?;
    dialect.decode(&head, &body, limits).map(drop)
}

type Body = fn(usize) -> Value;

fn list(count: usize, element: Value) -> Value {
    vec![element; count].into()
}

fn numbered(count: usize, element: impl Fn(String) -> Value) -> Value {
    (0..count).map(|n| element(format!("n{n}"))).collect()
}

fn user() -> Value {
    json!({"role": "user", "content": "Hi"})
}

fn sdk(messages: Value) -> Value {
    let mut body = json!({"id": "c"});
    body["messages"] = messages;
    body
}

fn ui(parts: Value) -> Value {
    let mut message = json!({"id": "m", "role": "assistant"});
    message["parts"] = parts;
    message
}

fn text() -> Value {
    json!({"type": "text", "text": "a"})
}

fn approval(id: String) -> Value {
    let id = Value::from(id);
    json!({
        "type": "tool-t", "toolCallId": id, "state": "approval-responded",
        "approval": {"id": id, "approved": true},
    })
}

fn values(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(values).sum(),
        Value::Object(fields) => fields.values().map(values).sum(),
        _ => 0,
    }
}

/// A chat request, of the native dialect and of Durable Streams.
const CHAT: &[(Element, Body)] = &[
    (Element::Message, |n| json!({"messages": list(n, user())})),
    (Element::Part, |n| {
        let calls = numbered(n, |id| json!({"id": id, "name": "t"}));
        json!({"messages": [user(), {"role": "assistant", "tool_calls": calls}]})
    }),
    (
        Element::Tool,
        |n| json!({"messages": [user()], "isomorphicTools": list(n, json!({"name": "t"}))}),
    ),
    (
        Element::Tool,
        |n| json!({"messages": [user()], "enabledTools": list(n, json!("t"))}),
    ),
    (Element::Output, |n| {
        let outputs = numbered(n, |id| json!({"callId": id, "toolName": "t"}));
        json!({"messages": [user()], "isomorphicClientOutputs": outputs})
    }),
];

const AI_SDK: &[(Element, Body)] = &[
    (Element::Message, |n| sdk(list(n, ui(json!([]))))),
    (Element::Part, |n| {
        sdk(json!([ui(json!([])), ui(list(n, text()))]))
    }),
    (Element::Tool, |n| {
        let mut body = sdk(json!([ui(json!([]))]));
        body["isomorphicTools"] = list(n, json!({"name": "t"}));
        body
    }),
    (Element::Output, |n| {
        let mut body = sdk(json!([ui(json!([]))]));
        body["isomorphicClientOutputs"] = numbered(n, |id| json!({"callId": id, "toolName": "t"}));
        body
    }),
    // Those that the parts hold.
    (Element::Output, |n| {
        let parts = (0..n).flat_map(|n| {
            [
                json!({"type": "data-handoff", "id": n.to_string(), "data": {"usesHandoff": true}}),
                json!({"type": "tool-t", "toolCallId": n.to_string(), "state": "output-available"}),
            ]
        });
        sdk(json!([ui(parts.collect())]))
    }),
    (Element::Answer, |n| sdk(json!([ui(numbered(n, approval))]))),
];

const AG_UI: &[(Element, Body)] = &[
    (Element::Message, |n| json!({"messages": list(n, user())})),
    (
        Element::Part,
        |n| json!({"messages": [{"role": "user", "content": list(n, text())}]}),
    ),
    (Element::Part, |n| {
        let call = json!({"id": "c", "function": {"name": "t"}});
        json!({"messages": [{"role": "assistant", "toolCalls": list(n, call)}]})
    }),
    (
        Element::Tool,
        |n| json!({"messages": [user()], "tools": list(n, json!({"name": "t"}))}),
    ),
];

const RESPONSES: &[(Element, Body)] = &[
    (Element::Message, |n| json!({"input": list(n, user())})),
    (
        Element::Part,
        |n| json!({"input": [{"role": "user", "content": list(n, text())}]}),
    ),
    (
        Element::Tool,
        |n| json!({"input": "Hi", "tools": list(n, json!({"type": "function", "name": "t"}))}),
    ),
];

/// A dialect, the path of its starts, and a body for each kind of element.
type DialectCases<'a> = (&'a dyn Dialect, &'a str, &'a [(Element, Body)]);

#[test]
fn each_limit_admits_its_own_number_of_elements_and_refuses_one_more() {
    let streams = DurableStreams::ui_messages(AiSdk::new());
    let dialects: [DialectCases; 6] = [
        (&Native::new(), "/", CHAT),
        (&DurableStreams::new(), "/", CHAT),
        (&AiSdk::new(), "/", AI_SDK),
        (&streams, "/", AI_SDK),
        (&AgUi::new(), "/", AG_UI),
        (&OpenAiResponses::new(), "/responses", RESPONSES),
    ];
    for (dialect, path, cases) in dialects {
        for (element, body) in cases {
            let limits = RequestLimits::new();
            let limits = match element {
                Element::Message => limits.messages(MAX),
                Element::Part => limits.parts(MAX),
                Element::Tool => limits.tools(MAX),
                Element::Output => limits.outputs(MAX),
                Element::Answer => limits.answers(MAX),
                other => panic!("{other:?}"),
            };
            let place = format!("{} {element:?} {}", dialect.name(), body(1));
            assert_eq!(
                decode(dialect, path, &body(MAX), &limits),
                Ok(()),
                "{place}"
            );
            let refusal = decode(dialect, path, &body(MAX + 1), &limits).unwrap_err();
            assert_eq!(refusal.problem, Problem::TooManyElements, "{place}");
            for number in ["at most 3", "has 4"] {
                assert!(refusal.detail.contains(number), "{}", refusal.detail);
            }
        }
    }
}

#[test]
fn the_values_and_the_depth_of_every_body_are_limited_on_both_sides() {
    let answer = format!("/{ID}/inputs/a");
    let streams = DurableStreams::ui_messages(AiSdk::new());
    let chat = || json!({"messages": [user()]});
    let dialects: [(&dyn Dialect, &str, Value); 9] = [
        (&Native::new(), "/", chat()),
        (&Native::new(), &answer, json!({"action": "accept"})),
        (&DurableStreams::new(), "/", chat()),
        (&AiSdk::new(), "/", sdk(json!([ui(json!([]))]))),
        (&AiSdk::new(), &answer, json!({"action": "accept"})),
        (&streams, "/", sdk(json!([ui(json!([]))]))),
        (&AgUi::new(), "/", chat()),
        (&AgUi::new(), &answer, json!({"action": "accept"})),
        (
            &OpenAiResponses::new(),
            "/responses",
            json!({"input": "Hi"}),
        ),
    ];
    for (dialect, path, mut body) in dialects {
        let place = format!("{} {path}", dialect.name());
        let with = |body: &Value, limits| decode(dialect, path, body, &limits);
        let limits = RequestLimits::new();
        body["content"] = list(50, json!(null));
        let count = values(&body);
        assert_eq!(with(&body, limits.clone().values(count)), Ok(()), "{place}");
        let refusal = with(&body, limits.clone().values(count - 1)).unwrap_err();
        assert_eq!(refusal.problem, Problem::TooManyElements, "{place}");
        // The body itself is one level.
        let nested = |levels| (1..levels).fold(json!([]), |inner, _| json!([inner]));
        body["content"] = nested(19);
        assert_eq!(with(&body, limits.clone().depth(20)), Ok(()), "{place}");
        body["content"] = nested(20);
        let refusal = with(&body, limits.depth(20)).unwrap_err();
        assert_eq!(refusal.problem, Problem::WrongShape, "{place}");
        assert!(
            refusal.detail.contains("deeper than 20 levels"),
            "{}",
            refusal.detail
        );
    }
}

/// Writes the state that a client of AG-UI or of Responses hands back.
fn sealed(data: &Value) -> String {
    let state = json!({"provider": "p", "data": data});
    format!("unbroken.{}", URL_SAFE_NO_PAD.encode(state.to_string()))
}

/// Writes a request with a value in its texts.
type InText = fn(&Value) -> Value;

/// Requests of AG-UI with a text that holds this value, twice.
const AG_UI_TEXTS: &[InText] = &[
    |of| {
        let call = json!({"id": "1", "function": {"name": "t", "arguments": of.to_string()}});
        json!({"messages": [user(), {"role": "assistant", "toolCalls": list(2, call)}]})
    },
    |of| {
        let call = json!({"id": "1", "function": {"name": "t"}, "encryptedValue": sealed(of)});
        json!({"messages": [user(), {"role": "assistant", "toolCalls": list(2, call)}]})
    },
    |of| {
        let turn = json!({"role": "assistant", "content": "Hi", "encryptedValue": sealed(of)});
        json!({"messages": list(2, turn)})
    },
    |of| {
        let thought = json!({"role": "reasoning", "content": "Hm.", "encryptedValue": sealed(of)});
        json!({"messages": [user(), thought, thought]})
    },
];

/// Requests of Responses with a text that holds this value, twice.
const RESPONSES_TEXTS: &[InText] = &[
    |of| {
        let of = of.to_string();
        let call = json!({"type": "function_call", "call_id": "1", "name": "t", "arguments": of});
        json!({"input": list(2, call)})
    },
    |of| {
        let of = of.to_string();
        let call =
            json!({"type": "mcp_call", "id": "1", "name": "t", "arguments": of, "output": of});
        json!({"input": list(2, call)})
    },
    |of| {
        let state = sealed(of);
        let thought =
            json!({"type": "reasoning", "encrypted_content": state, "arguments": of.to_string()});
        json!({"input": list(2, thought)})
    },
];

#[test]
fn the_values_inside_of_texts_count_with_those_of_the_body_on_both_sides() {
    let dialects: [(&dyn Dialect, &str, &[InText]); 2] = [
        (&AgUi::new(), "/", AG_UI_TEXTS),
        (&OpenAiResponses::new(), "/responses", RESPONSES_TEXTS),
    ];
    for (dialect, path, bodies) in dialects {
        for (at, body) in bodies.iter().enumerate() {
            let place = format!("{} {at}", dialect.name());
            let with = |body: &Value, values| {
                decode(dialect, path, body, &RequestLimits::new().values(values))
            };
            let body = body(&list(50, json!(0)));
            // The list, its elements, and around a state its provider and an object.
            let of_text = 51
                + if body.to_string().contains("unbroken.") {
                    2
                } else {
                    0
                };
            let count = values(&body) + 2 * of_text;
            assert_eq!(with(&body, count), Ok(()), "{place}");
            let refusal = with(&body, count - 1).unwrap_err();
            assert_eq!(refusal.problem, Problem::TooManyElements, "{place}");
            for word in ["JSON values", &format!("has {count};")] {
                assert!(refusal.detail.contains(word), "{}", refusal.detail);
            }
        }
    }
}

#[test]
fn a_text_that_is_no_json_has_no_values_of_its_own() {
    let words = Value::from("an article of [many, many] words; ".repeat(10_000));
    let dialects: [(&dyn Dialect, &str, Value); 2] = [
        (&AgUi::new(), "/", {
            let call = json!({"id": "1", "function": {"name": "t", "arguments": words}});
            json!({"messages": [user(), {"role": "assistant", "toolCalls": [call]}]})
        }),
        (&OpenAiResponses::new(), "/responses", {
            let call =
                json!({"type": "function_call", "call_id": "1", "name": "t", "arguments": words});
            json!({"input": [call]})
        }),
    ];
    for (dialect, path, body) in dialects {
        let limits = RequestLimits::new().values(values(&body));
        assert_eq!(
            decode(dialect, path, &body, &limits),
            Ok(()),
            "{}",
            dialect.name()
        );
    }
}

#[test]
fn the_name_of_a_chat_is_limited_on_both_sides() {
    let streams = DurableStreams::ui_messages(AiSdk::new());
    let dialects: [(&dyn Dialect, &str, Value); 5] = [
        (&Native::new(), "chatId", json!({"messages": [user()]})),
        (
            &DurableStreams::new(),
            "chatId",
            json!({"messages": [user()]}),
        ),
        (&AiSdk::new(), "id", sdk(json!([ui(json!([]))]))),
        (&streams, "id", sdk(json!([ui(json!([]))]))),
        (&AgUi::new(), "threadId", json!({"messages": [user()]})),
    ];
    let limits = RequestLimits::new();
    for (dialect, field, mut body) in dialects {
        for (bytes, fits) in [
            (0, false),
            (1, true),
            (128, true),
            (129, false),
            (1 << 20, false),
        ] {
            body[field] = "n".repeat(bytes).into();
            match decode(dialect, "/", &body, &limits) {
                Ok(()) => assert!(fits, "{} {bytes}", dialect.name()),
                Err(refusal) => {
                    assert!(!fits, "{} {bytes}: {refusal:?}", dialect.name());
                    assert_eq!(refusal.problem, Problem::WrongShape);
                    for part in [field, "1 to 128 bytes"] {
                        assert!(refusal.detail.contains(part), "{}", refusal.detail);
                    }
                }
            }
        }
    }
    for (dialect, place) in [
        (&Native::new() as &dyn Dialect, "/?chat="),
        (&AgUi::new(), "/?threadId="),
    ] {
        let route = |bytes: usize| {
            let uri = format!("{place}{}", "n".repeat(bytes));
            let (head, ()) = Request::get(uri).body(()).unwrap().into_parts();
            dialect.route(&head).map(drop)
        };
        assert_eq!(route(128), Ok(()), "{place}");
        for bytes in [0, 129] {
            let refusal = route(bytes).unwrap_err();
            assert_eq!(refusal.problem, Problem::MalformedParameter, "{place}");
            assert!(
                refusal.detail.contains("1 to 128 bytes"),
                "{}",
                refusal.detail
            );
        }
    }
}

#[test]
fn values_are_counted_beside_fields_that_a_decoder_skips() {
    let zeros = format!("[{}0]", "0,".repeat(100_000));
    let deep = format!("{}{}", "[".repeat(110), "]".repeat(110));
    let streams = DurableStreams::ui_messages(AiSdk::new());
    let message = r#"{"id":"m","role":"user","content":"Hi","parts":[],"x":ODD,"metadata":ODD}"#;
    let chat = format!(r#"{{"id":"c","messages":[{message}],"state":MUCH}}"#);
    let response =
        r#"{"tools":[{"type":"function","name":"t","strict":ODD}],"input":"Hi","state":MUCH}"#;
    let answer = format!("/{ID}/inputs/a");
    let dialects: [(&dyn Dialect, &str, &str); 7] = [
        (&Native::new(), "/", &chat),
        (&DurableStreams::new(), "/", &chat),
        (&AiSdk::new(), "/", &chat),
        (&streams, "/", &chat),
        (&AgUi::new(), "/", &chat),
        (&OpenAiResponses::new(), "/responses", response),
        (
            &Native::new(),
            &answer,
            r#"{"x":ODD,"action":"accept","content":MUCH}"#,
        ),
    ];
    for (dialect, path, body) in dialects {
        for odd in ["1e999", r#""\ud800""#] {
            for (much, problem) in [
                (&zeros, Problem::TooManyElements),
                (&deep, Problem::WrongShape),
            ] {
                let body = Bytes::from(body.replace("ODD", odd).replace("MUCH", much));
                let decoded = dialect.decode(&head(path), &body, &RequestLimits::new());
                let refusal = decoded.unwrap_err();
                let place = format!("{} {path} {odd}: {}", dialect.name(), refusal.detail);
                assert_eq!(refusal.problem, problem, "{place}");
            }
        }
    }
}
