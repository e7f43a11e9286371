//! Reads the table of shapes (`recorded/shapes.txt` describes its form).

use serde_json::{Value, json};

/// A shape of an answer.
pub(crate) struct Shape {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    /// The decoder's verdict: `text`, `thinking`, `calls` and `finish`, or `error`; `usage` and
    /// `media` if there are any.
    pub(crate) verdict: Value,
    /// The reason why others have another verdict.
    pub(crate) reason: Option<String>,
}

/// Returns all shapes of a table. Each begins with these bytes.
pub(crate) fn shapes(table: &str, begin: &str) -> Vec<Shape> {
    let mut shapes: Vec<Shape> = Vec::new();
    for line in table.lines() {
        if let Some(name) = line.strip_prefix("# ") {
            shapes.push(Shape {
                name: name.to_owned(),
                bytes: if begin.is_empty() {
                    Vec::new()
                } else {
                    sent(begin)
                },
                verdict: Value::Null,
                reason: None,
            });
            continue;
        }
        let Some(shape) = shapes.last_mut().filter(|_| !line.starts_with(';')) else {
            continue;
        };
        if let Some(reason) = line.strip_prefix("? ") {
            shape.reason = Some(reason.to_owned());
        } else if let Some(verdict) = line.strip_prefix("= ") {
            shape.verdict = filled(serde_json::from_str(verdict).expect(line));
        } else if shape.verdict.is_null() {
            shape.bytes.extend(sent(line));
        }
    }
    assert!(shapes.iter().all(|shape| !shape.verdict.is_null()));
    shapes
}

/// Adds the members that a verdict leaves out.
fn filled(mut verdict: Value) -> Value {
    if verdict.get("error").is_none() {
        for (name, nothing) in [("thinking", json!("")), ("calls", json!([]))] {
            if verdict.get(name).is_none() {
                verdict[name] = nothing;
            }
        }
    }
    verdict
}

/// The begin of a shape of Chat Completions.
pub(crate) const ROLE: &str = r#"> {"role":"assistant","content":""}"#;

fn sent(line: &str) -> Vec<u8> {
    let chunk = |delta: &str, reason: &str| {
        format!(
            "data: {{\"id\":\"1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\
             \"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":{reason}}}]}}\n\n"
        )
    };
    let text = if line == "$" {
        "data: [DONE]\n\n".to_owned()
    } else if let Some(delta) = line.strip_prefix("> ") {
        chunk(delta, "null")
    } else if let Some(reason) = line.strip_prefix(". ") {
        chunk("{}", reason)
    } else if let Some(open) = line.strip_suffix('^') {
        open.to_owned()
    } else {
        format!("{line}\n")
    };
    let mut pieces = text.split("\\x");
    let mut bytes = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        let (byte, rest) = piece.split_at(2);
        bytes.push(u8::from_str_radix(byte, 16).expect("two digits"));
        bytes.extend_from_slice(rest.as_bytes());
    }
    bytes
}

/// Returns the verdict of these events, as JSON.
pub(crate) fn verdict(events: impl IntoIterator<Item = Value>, failed: bool) -> Value {
    if failed {
        return json!({"error": true});
    }
    let mut verdict = json!({"text": "", "thinking": "", "calls": []});
    // The calls whose arguments came in pieces.
    let mut shown: Vec<(String, String, String)> = Vec::new();
    for event in events {
        let kind = event["type"].as_str().expect("a type").to_owned();
        match &*kind {
            "text" | "thinking" => {
                let so_far = verdict[&kind].as_str().expect("text");
                let content = event["content"].as_str().expect("text");
                verdict[&kind] = format!("{so_far}{content}").into();
            }
            "tool_input" => {
                let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
                let id = text("id");
                match shown.iter_mut().find(|call| call.0 == id) {
                    Some(call) => call.2.push_str(&text("delta")),
                    None => shown.push((id, text("name"), text("delta"))),
                }
            }
            "tool_calls" => {
                let calls = event["calls"].as_array().expect("calls").iter();
                for (call, (id, name, arguments)) in calls.clone().zip(shown.drain(..)) {
                    assert_eq!((&call["id"], &call["name"]), (&json!(id), &json!(name)));
                    let same = match arguments.trim() {
                        "" => call["arguments"] == json!({}),
                        text => serde_json::from_str(text)
                            .map_or(call["arguments"] == text, |read: Value| {
                                read == call["arguments"]
                            }),
                    };
                    assert!(same, "{arguments} was shown of {call}");
                }
                verdict["calls"] = calls
                    .map(|call| json!([call["name"], call["arguments"]]))
                    .collect();
            }
            "complete" => {
                verdict["finish"] = event["finishReason"].clone();
                if let Some(usage) = event.get("usage") {
                    verdict["usage"] = json!([usage["inputTokens"], usage["outputTokens"]]);
                }
            }
            "media" => {
                let media = json!([event["mediaType"], event["url"]]);
                match verdict.get_mut("media").and_then(Value::as_array_mut) {
                    Some(made) => made.push(media),
                    None => verdict["media"] = json!([media]),
                }
            }
            "turn" | "provider_state" => {}
            other => panic!("{other}"),
        }
    }
    verdict
}
