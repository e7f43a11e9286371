//! The decoders, and the bodies that each gets.

use std::hint::black_box;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use http::{Request, request::Parts};
use tower::{Service as _, ServiceExt as _};
use tower_layer::Layer as _;
use unbroken::{
    chat::{ChatEvent, ProviderError, provider_fn},
    dialect::{
        AgUi, AiSdk, Dialect, DurableStreams, Intent, Native, OpenAiResponses, RequestLimits,
    },
    tools::{ToolLayer, Tools},
};

use crate::{
    bodies::{USER, chat, deep, many, parts},
    callgrind::growth_part_ends,
    follow_ups,
};

pub(crate) struct Decoder {
    pub(crate) name: &'static str,
    /// In bytes.
    pub(crate) sizes: [usize; 2],
    pub(crate) shapes: &'static [Shape],
    /// Prepares the decoding of a body.
    prepare: fn(Vec<u8>) -> Box<dyn FnOnce()>,
}

pub(crate) struct Shape {
    pub(crate) name: &'static str,
    body: fn(usize) -> Vec<u8>,
}

impl Decoder {
    /// Decodes each shape at each size. Every second part is the decoding alone.
    pub(crate) fn run(&self) {
        let mut part = 0;
        for shape in self.shapes {
            for bytes in self.sizes {
                let decode = (self.prepare)((shape.body)(bytes));
                growth_part_ends(part);
                decode();
                growth_part_ends(part + 1);
                part += 2;
            }
        }
    }
}

/// The limits would refuse most of these bodies early.
pub(crate) const UNLIMITED: RequestLimits = RequestLimits::new()
    .messages(usize::MAX)
    .parts(usize::MAX)
    .tools(usize::MAX)
    .outputs(usize::MAX)
    .answers(usize::MAX)
    .values(usize::MAX)
    .depth(127);

const BODY: [usize; 2] = [16 * 1024, 256 * 1024];
/// The longest path and query that the types of `http` hold is 64 KiB.
const URI: [usize; 2] = [3 * 1024, 48 * 1024];

macro_rules! shapes {
    ($($name:literal: $body:expr;)+) => {
        &[$(Shape { name: $name, body: $body },)+]
    };
}

pub(crate) const DECODERS: &[Decoder] = &[
    Decoder {
        name: "native",
        sizes: BODY,
        prepare: |body| Box::new(move || post(&Native::new(), "/", &body)),
        shapes: shapes! {
            "messages": |bytes| many(r#"{"messages":["#, |_| r#"{"role":"user","content":""}"#.into(), "]}", bytes);
            "calls": |bytes| many(
                r#"{"messages":[{"role":"assistant","tool_calls":["#,
                |n| format!(r#"{{"id":"c{n}","name":"t","arguments":{{}}}}"#), "]}]}", bytes);
            "names": |bytes| chat("enabledTools", |n| format!(r#""tool-{n}""#), bytes);
            "fields": |bytes| many(&format!("{{{USER},"), |n| format!(r#""field-{n}":{n}"#), "}", bytes);
            "a long name": |bytes| format!(r#"{{"chatId":"{}",{USER}}}"#, "n".repeat(bytes)).into();
            "depth": |bytes| chat("x", |_| deep(100), bytes);
        },
    },
    Decoder {
        name: "tool_layer",
        sizes: BODY,
        prepare: |body| Box::new(move || tool_layer(&body)),
        shapes: shapes! {
            "outputs": |bytes| chat("isomorphicClientOutputs",
                |n| format!(r#"{{"callId":"{n}","toolName":"t"}}"#), bytes);
            "equal outputs": |bytes| chat("isomorphicClientOutputs",
                |_| r#"{"callId":"1","toolName":"t"}"#.into(), bytes);
            "tools": |bytes| chat("isomorphicTools", |n| format!(r#"{{"name":"tool-{n}"}}"#), bytes);
        },
    },
    Decoder {
        name: "ai_sdk",
        sizes: BODY,
        prepare: |body| Box::new(move || post(&AiSdk::new(), "/", &body)),
        shapes: shapes! {
            "handoffs and tools": |bytes| parts(|n| format!(
                r#"{{"type":"data-handoff","id":"{n}","data":{{"usesHandoff":true}}}},{{"type":"tool-t","toolCallId":"{n}","state":"output-available"}}"#), bytes);
            "messages without ids": |bytes| many(r#"{"id":"c","messages":["#,
                |n| format!(r#"{{"role":"user","parts":[{{"type":"text","text":"{n}"}}]}}"#), "]}", bytes);
            "steps": |bytes| parts(|n| format!(
                r#"{{"type":"step-start"}},{{"type":"text","text":"{n}"}}"#), bytes);
            "parts of one handoff": |bytes| parts_of_one(bytes,
                r#""type":"data-handoff","id":"1","data":{"usesHandoff":true,"serverOutput":"#);
            "parts of one state": |bytes| parts_of_one(bytes,
                r#""type":"data-provider-state","id":"1","data":{"provider":"p","data":"#);
            "approvals": |bytes| parts(|n| format!(
                r#"{{"type":"tool-t","toolCallId":"{n}","state":"approval-responded","approval":{{"id":"a{n}","approved":true}}}}"#), bytes);
        },
    },
    Decoder {
        name: "ag_ui",
        sizes: BODY,
        prepare: |body| Box::new(move || post(&AgUi::new(), "/", &body)),
        shapes: shapes! {
            "tool messages": |bytes| many(r#"{"messages":["#,
                |n| format!(r#"{{"role":"tool","toolCallId":"{n}","content":""}}"#), "]}", bytes);
            "calls that never came": |bytes| many(r#"{"messages":["#,
                |n| format!(
                    r#"{{"role":"assistant","toolCalls":[{{"id":"{n}","function":{{"name":"t"}}}}]}},{{"role":"tool","toolCallId":"{n}","content":"","metadata":{{"unbroken":{{"incomplete":true}}}}}},{{"role":"user","content":"Hi"}}"#
                ), "]}", bytes);
            "parts": |bytes| many(r#"{"messages":[{"role":"user","content":["#,
                |_| r#"{"type":"text","text":"a"}"#.into(), "]}]}", bytes);
            "tools": |bytes| chat("tools", |_| r#"{"name":"t"}"#.into(), bytes);
        },
    },
    Decoder {
        name: "openai_responses",
        sizes: BODY,
        prepare: |body| Box::new(move || post(&OpenAiResponses::new(), "/responses", &body)),
        shapes: shapes! {
            "calls": |bytes| many(r#"{"input":["#, call_item, "]}", bytes);
            "calls and their states": |bytes| {
                let mut body = many(r#"{"input":["#, state_item, ",", bytes / 2);
                body.extend(many("", call_item, "]}", bytes / 2));
                body
            };
            "states after the turns of their calls": |bytes| {
                let mut body = many(r#"{"input":["#, call_item, r#",{"role":"user","content":"Hi"},"#, bytes / 2);
                body.extend(many("", state_item, "]}", bytes / 2));
                body
            };
            "parts": |bytes| many(r#"{"input":[{"role":"user","content":["#,
                |_| r#"{"type":"input_text","text":"a"}"#.into(), "]}]}", bytes);
            "tools": |bytes| many(r#"{"input":"Hi","tools":["#,
                |_| r#"{"type":"function","name":"t"}"#.into(), "]}", bytes);
        },
    },
    Decoder {
        name: "durable_streams",
        sizes: BODY,
        prepare: |body| Box::new(move || post(&DurableStreams::new(), "/", &body)),
        shapes: shapes! {
            "outputs": |bytes| chat("isomorphicClientOutputs",
                |n| format!(r#"{{"callId":"{n}","toolName":"t"}}"#), bytes);
        },
    },
    Decoder {
        name: "outputs_for_calls",
        sizes: BODY,
        prepare: |body| follow_ups::prepare(body, false),
        shapes: shapes! {
            "outputs": follow_ups::outputs;
            "copied turns": follow_ups::copied_turns;
        },
    },
    Decoder {
        name: "outputs_for_second_halves",
        sizes: BODY,
        prepare: |body| follow_ups::prepare(body, true),
        shapes: shapes! {
            "tool messages": follow_ups::tool_messages;
        },
    },
    Decoder {
        name: "queries",
        sizes: URI,
        prepare: |body| Box::new(move || queries(&body)),
        shapes: shapes! {
            "parameters": |bytes| query(|n| format!("a{n}=1"), bytes);
            "equal parameters": |bytes| query(|_| "offset=1".into(), bytes);
            "encoded names": |bytes| query(|_| "%6Fffset%3D".into(), bytes);
        },
    },
];

/// A decoder that compares each element with all before it, as a check that this is noticed. It allocates
/// no more than another one.
pub(crate) const CONTROL: Decoder = Decoder {
    name: "control",
    sizes: [4 * 1024, 64 * 1024],
    prepare: |body| {
        Box::new(move || {
            let mut seen: Vec<&[u8]> = Vec::new();
            for element in body.split(|&byte| byte == b',') {
                if !seen.contains(&element) {
                    seen.push(element);
                }
            }
            black_box(seen.len());
        })
    },
    shapes: shapes! {
        "numbers": |bytes| many("", |n| format!("a number of some length {n:09}"), "", bytes);
    },
};

/// Writes an item of OpenAI's responses: a call.
fn call_item(n: usize) -> String {
    format!(r#"{{"type":"function_call","call_id":"{n}","name":"t"}}"#)
}

/// Writes an item of OpenAI's responses: the state of a call.
fn state_item(n: usize) -> String {
    let state = URL_SAFE_NO_PAD.encode(format!(r#"{{"call":"{n}","provider":"p","data":1}}"#));
    format!(r#"{{"type":"reasoning","encrypted_content":"unbroken.{state}"}}"#)
}

/// Writes parts of one call, of which the first has half of the bytes.
fn parts_of_one(bytes: usize, first: &str) -> Vec<u8> {
    let large = "a".repeat(bytes / 2);
    let part = r#"{"type":"tool-t","toolCallId":"1","state":"output-available","output":1}"#;
    parts(
        |n| {
            if n == 0 {
                format!(r#"{{{first}"{large}"}}}}"#)
            } else {
                part.to_owned()
            }
        },
        bytes,
    )
}

fn query(pair: impl Fn(usize) -> String, bytes: usize) -> Vec<u8> {
    let pairs = many("", pair, "", bytes);
    String::from_utf8(pairs).unwrap().replace(',', "&").into()
}

fn head(request: http::request::Builder) -> Parts {
    let request = request.header("content-type", "application/json");
    request.body(()).unwrap().into_parts().0
}

/// Does what the layer does with a body.
fn decode(dialect: &dyn Dialect, path: &str, body: &[u8]) -> Option<Intent> {
    let (head, body) = (head(Request::post(path)), Bytes::copy_from_slice(body));
    dialect.route(&head).unwrap();
    dialect.subject(&head, &body).ok()?;
    dialect.decode(&head, &body, &UNLIMITED).ok()
}

fn post(dialect: &dyn Dialect, path: &str, body: &[u8]) {
    let intent = decode(dialect, path, body);
    // A name that is too long is the only thing that is wrong with these bodies.
    assert!(intent.is_some() || body.windows(999).any(|it| it == [b'n'; 999]));
}

/// Decodes a request and hands it to the layer that runs tools.
fn tool_layer(body: &[u8]) {
    let Some(Intent::Start(start)) = decode(&Native::new(), "/", body) else {
        panic!("the body is refused")
    };
    let model = provider_fn(|request| {
        black_box(unbroken::chat::ChatRequest::tool_definitions(&request));
        stream::iter([Ok::<_, ProviderError>(ChatEvent::text("Hello"))])
    });
    let mut tools = ToolLayer::new(Tools::new()).layer(model);
    let tools = tools.ready().now_or_never().unwrap().unwrap();
    let mut answer = tools.call(start.request).now_or_never().unwrap().unwrap();
    let mut events = 0;
    while let Some(Some(event)) = answer.next().now_or_never() {
        event.unwrap();
        events += 1;
    }
    assert!(events > 0);
}

fn queries(query: &[u8]) {
    const ID: &str = "0123456789abcdefghjkmnpqrs";
    let query = std::str::from_utf8(query).unwrap();
    let dialects: [(&dyn Dialect, &str); 5] = [
        (&Native::new(), ID),
        (&AiSdk::new(), "chat/stream"),
        (&AgUi::new(), ID),
        (&OpenAiResponses::new(), &format!("responses/{ID}")),
        (&DurableStreams::new(), ID),
    ];
    for (dialect, path) in dialects {
        let head = head(Request::get(format!(
            "/{path}?{query}&live=sse&stream=true"
        )));
        let _ = black_box(dialect.route(&head));
    }
}
