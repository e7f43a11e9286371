//! The tools that a session offers and declares, and the first example of the README.

use serde::Deserialize;
use serde_json::{Value, json};
use tower_layer::Layer as _;
use unbroken::{
    chat::{Capabilities, EnabledTools},
    provider::scripted::{Script, Scripted},
    session::Sessions,
    tools::{Call, ToolLayer, Tools, tool_fn},
};

use super::counted::{answer, calling, give, of, start};
use crate::{
    client::ndjson,
    server::{Server, fields, layer, mounted, serve},
};

#[derive(Deserialize, schemars::JsonSchema)]
struct Mail {
    /// The address.
    to: String,
    text: String,
}

/// The tools of the README's first example.
fn tools() -> Tools {
    let mail = tool_fn(
        "send_mail",
        "Sends an e-mail.",
        |mail: Mail, call: Call| async move {
            call.progress("Connecting");
            let urgent: bool = call.ask_for("Is it urgent?").await?;
            Ok(format!(
                "sent to {}, {} bytes, urgent: {urgent}",
                mail.to,
                mail.text.len()
            ))
        },
    );
    Tools::new().with(mail.approved("Send this mail?"))
}

async fn server(default: Option<EnabledTools>) -> Server {
    let sessions = Sessions::in_memory();
    let mut durable = layer(&sessions)
        .client_fields(fields())
        .capabilities(Capabilities::new().tools(tools().names()));
    if let Some(default) = default {
        durable = durable.enabled_tools(default);
    }
    let provider = ToolLayer::new(tools()).layer(Scripted::new(Script::say("Hello")));
    serve(sessions, mounted!(durable, provider)).await
}

fn mailing() -> Value {
    let arguments = json!({"to": "ada@example.org", "text": "Hi"});
    let mut request = calling(json!([{"id": "1", "name": "send_mail", "arguments": arguments}]));
    request.as_object_mut().unwrap().remove("enabledTools");
    request
}

#[tokio::test]
async fn the_first_example_of_the_readme_works_as_printed() {
    let readme = include_str!("../../../README.md");
    for line in [
        r#"tool_fn("send_mail", "Sends an e-mail.""#,
        r#"call.ask_for("Is it urgent?")"#,
        r#"mail.approved("Send this mail?")"#,
        "ToolLayer::new(tools)",
    ] {
        assert!(readme.contains(line), "the README has {line}");
    }
    let server = server(None).await;
    let mut stream = start(&server, &mailing()).await;
    let id = stream.id();
    for content in [json!(null), json!(true)] {
        let kind = if content.is_null() {
            "approval"
        } else {
            "question"
        };
        let seen = stream
            .until(&format!(r#""kind":"{kind}""#))
            .await
            .to_owned();
        let whole = &seen[..=seen.rfind('\n').unwrap()];
        let asked = ndjson(whole);
        let input = of(&asked, "input_request");
        let input = input.last().unwrap()["inputId"].as_str().unwrap();
        let body = json!({"action": "accept", "content": content});
        assert_eq!(give(&server, &id, input, body).await, 202);
    }
    let whole = stream.whole().await;
    let events = ndjson(whole.text());
    let result = of(&events, "tool_result")[0]["content"].as_str().unwrap();
    assert_eq!(result, "sent to ada@example.org, 2 bytes, urgent: true");
}

#[tokio::test]
async fn a_session_declares_the_tools_that_it_offers() {
    let named =
        |names: &[&str]| EnabledTools::Named(names.iter().map(|name| (*name).to_owned()).collect());
    let defaults = [
        (None, true),
        (Some(EnabledTools::All), true),
        (Some(named(&["send_mail"])), true),
        (Some(named(&[])), false),
    ];
    for (default, by_default) in defaults {
        let server = server(default).await;
        for (enabled, offered) in [
            (None, by_default),
            (Some(json!(true)), true),
            (Some(json!(false)), false),
            (Some(json!(["send_mail"])), true),
            (Some(json!(["other"])), false),
        ] {
            let mut request = json!({
                "messages": [{"role": "user", "content": "Hi"}],
                "script": {"delayMs": 0, "toolCalls": [{"id": "1", "name": "send_mail"}], "then": [{"results": true}]},
                "isomorphicTools": [{"name": "map"}],
            });
            if let Some(enabled) = enabled {
                request["enabledTools"] = enabled;
            }
            let events = answer(&server, &request).await;
            let declared = &events[0].1["capabilities"]["tools"];
            let expected = if offered {
                json!(["send_mail", "map"])
            } else {
                json!(["map"])
            };
            assert_eq!(*declared, expected);
            // Of a tool that is offered the arguments are checked; another one doesn't exist.
            let error = of(&events, "tool_error")[0]["message"].as_str().unwrap();
            assert_eq!(error.contains("there is no tool"), !offered, "{error}");
        }
    }
}
