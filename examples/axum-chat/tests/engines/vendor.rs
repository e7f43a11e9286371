#![allow(
    clippy::needless_pass_by_value,
    reason = "values are written where they are used"
)]

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use serde_json::{Value, json};

/// The protocol of a vendor's server.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Protocol {
    /// OpenAI's Responses.
    Responses,
    /// Anthropic's Messages.
    Messages,
    /// Gemini's `streamGenerateContent`.
    Gemini,
}

/// A server that thinks, calls the tool `weather`, and tells of its result. It refuses a result without the
/// thoughts that led to the call, with their signature.
#[derive(Clone)]
pub(crate) struct Vendor {
    protocol: Protocol,
    port: u16,
    state: Arc<VendorState>,
}

#[derive(Default)]
struct VendorState {
    first: AtomicUsize,
    second: AtomicUsize,
    held: AtomicBool,
    closed: AtomicUsize,
    refusals: Mutex<Vec<String>>,
    pictures: Mutex<Vec<String>>,
    keys: Mutex<Vec<String>>,
}

/// The words of the answer after the tool. It can be held before the fourth.
pub(crate) const WORDS: [&str; 6] = ["It ", "snows ", "in ", "Oslo ", "all ", "day."];
const HELD_BEFORE: usize = 3;
const SIGNATURE: &str = "c2lnbmF0dXJl";

impl Vendor {
    pub(crate) fn start(protocol: Protocol) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let it = Self {
            protocol,
            port: listener.local_addr().expect("its address").port(),
            state: Arc::default(),
        };
        let vendor = it.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let vendor = vendor.clone();
                // Clients may close the connection early.
                thread::spawn(move || drop(vendor.answer(client)));
            }
        });
        it
    }

    /// Returns the environment by which the example finds the model here.
    pub(crate) fn environment(&self) -> [(&'static str, String); 3] {
        let (model, key) = match self.protocol {
            Protocol::Responses => ("gpt-5-mini", "OPENAI_API_KEY"),
            Protocol::Messages => ("claude-sonnet-4-5", "ANTHROPIC_API_KEY"),
            Protocol::Gemini => ("gemini-2.5-flash", "GEMINI_API_KEY"),
        };
        [
            ("MODEL", model.into()),
            (
                "MODEL_BASE_URL",
                format!("http://127.0.0.1:{}/v1/", self.port),
            ),
            (key, "a-key".into()),
        ]
    }

    /// Holds the words after the tool in their middle, or goes on.
    pub(crate) fn hold(&self, held: bool) {
        self.state.held.store(held, SeqCst);
    }

    /// Returns the numbers of requests that asked for the call, and for the words after it.
    pub(crate) fn rounds(&self) -> [usize; 2] {
        [&self.state.first, &self.state.second].map(|count| count.load(SeqCst))
    }

    /// Returns the number of answers that a client left before their end.
    pub(crate) fn closed(&self) -> usize {
        self.state.closed.load(SeqCst)
    }

    /// Returns why requests were refused.
    pub(crate) fn refusals(&self) -> Vec<String> {
        self.state.refusals.lock().unwrap().clone()
    }

    /// Returns the pictures of all requests, in base64.
    pub(crate) fn pictures(&self) -> Vec<String> {
        self.state.pictures.lock().unwrap().clone()
    }

    /// Returns the keys of all requests.
    pub(crate) fn keys(&self) -> Vec<String> {
        self.state.keys.lock().unwrap().clone()
    }

    fn answer(&self, client: TcpStream) -> io::Result<()> {
        let (key, body) = read(client.try_clone()?)?;
        self.state.keys.lock().unwrap().push(key);
        let picture = self.protocol.picture(&body);
        self.state.pictures.lock().unwrap().extend(picture);
        if !self.protocol.has_result(&body) {
            self.state.first.fetch_add(1, SeqCst);
            return self.stream(client, &self.protocol.call(), usize::MAX);
        }
        if !self.protocol.has_thoughts(&body) {
            let why = format!("no thoughts before the result: {body}");
            self.state.refusals.lock().unwrap().push(why);
            let error = json!({"type": "error", "error": {"type": "invalid_request_error", "message": "thoughts"}}).to_string();
            return write!(
                &client,
                "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-type: application/json\r\n\
                 content-length: {}\r\n\r\n{error}",
                error.len()
            );
        }
        self.state.second.fetch_add(1, SeqCst);
        let frames = self.protocol.words();
        let held_before = frames
            .iter()
            .position(|it| it.to_string().contains(WORDS[HELD_BEFORE]));
        self.stream(client, &frames, held_before.expect("all words are there"))
    }

    fn stream(
        &self,
        mut client: TcpStream,
        frames: &[Value],
        held_before: usize,
    ) -> io::Result<()> {
        client.write_all(
            b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: text/event-stream\r\n\r\n",
        )?;
        for (at, frame) in frames.iter().enumerate() {
            if at == held_before && !self.wait(&client)? {
                self.state.closed.fetch_add(1, SeqCst);
                return Ok(());
            }
            if let Some(name) = frame["type"].as_str() {
                writeln!(client, "event: {name}")?;
            }
            write!(client, "data: {frame}\n\n")?;
        }
        Ok(())
    }

    // Returns false if the client closed the connection meanwhile.
    fn wait(&self, client: &TcpStream) -> io::Result<bool> {
        client.set_read_timeout(Some(Duration::from_millis(5)))?;
        while self.state.held.load(SeqCst) {
            let mut byte = [0];
            match (&*client).read(&mut byte) {
                Ok(1..) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(0) | Err(_) => return Ok(false),
            }
        }
        Ok(true)
    }
}

/// Returns the key and the body of a request.
fn read(client: TcpStream) -> io::Result<(String, Value)> {
    let mut started = BufReader::new(client);
    let (mut length, mut key) = (0, String::new());
    loop {
        let mut line = String::new();
        if started.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match line.trim_end().split_once(": ") {
            Some((name, value)) => match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse().unwrap_or(0),
                "authorization" | "x-api-key" | "x-goog-api-key" => {
                    value.trim_start_matches("Bearer ").clone_into(&mut key);
                }
                _ => {}
            },
            None if line.trim_end().is_empty() => break,
            None => {}
        }
    }
    let mut body = Vec::new();
    started.take(length).read_to_end(&mut body)?;
    Ok((key, serde_json::from_slice(&body)?))
}

impl Protocol {
    fn picture(self, body: &Value) -> Option<String> {
        let found = match self {
            Self::Responses => find(body, &|it| it["type"] == "input_image")?["image_url"]
                .as_str()?
                .strip_prefix("data:image/png;base64,"),
            Self::Messages => find(body, &|it| it["media_type"] == "image/png")?["data"].as_str(),
            Self::Gemini => find(body, &|it| it["mime_type"] == "image/png")?["data"].as_str(),
        };
        found.map(str::to_owned)
    }

    fn has_result(self, body: &Value) -> bool {
        let is_result = |it: &Value| match self {
            Self::Responses => it["type"] == "function_call_output" && it["call_id"] == "call_1",
            Self::Messages => it["type"] == "tool_result" && it["tool_use_id"] == "toolu_1",
            Self::Gemini => it["functionResponse"]["name"] == "weather",
        };
        find(body, &is_result).is_some()
    }

    fn has_thoughts(self, body: &Value) -> bool {
        let is_thought = |it: &Value| match self {
            Self::Responses => it["type"] == "reasoning" && it["encrypted_content"] == SIGNATURE,
            Self::Messages => {
                it["type"] == "thinking" && it["thinking"] == "Hm." && it["signature"] == SIGNATURE
            }
            Self::Gemini => {
                it["functionCall"]["name"] == "weather" && it["thoughtSignature"] == SIGNATURE
            }
        };
        find(body, &is_thought).is_some()
    }

    /// Returns an answer that thinks and calls the tool.
    fn call(self) -> Vec<Value> {
        match self {
            Self::Responses => {
                let reasoning = json!({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": SIGNATURE});
                let call = |arguments: &str| {
                    json!({"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "weather",
                           "arguments": arguments, "status": "completed"})
                };
                let arguments = r#"{"city":"Oslo"}"#;
                vec![
                    json!({"type": "response.created", "response": response("in_progress", json!([]))}),
                    json!({"type": "response.output_item.added", "output_index": 0, "item": reasoning}),
                    json!({"type": "response.reasoning_summary_text.delta", "output_index": 0,
                           "summary_index": 0, "item_id": "rs_1", "delta": "Hm."}),
                    json!({"type": "response.output_item.done", "output_index": 0, "item": reasoning}),
                    json!({"type": "response.output_item.added", "output_index": 1, "item": call("")}),
                    json!({"type": "response.function_call_arguments.delta", "output_index": 1,
                           "item_id": "fc_1", "delta": arguments}),
                    json!({"type": "response.output_item.done", "output_index": 1, "item": call(arguments)}),
                    json!({"type": "response.completed",
                           "response": response("completed", json!([reasoning, call(arguments)]))}),
                ]
            }
            Self::Messages => {
                let thinking = json!({"type": "thinking", "thinking": "", "signature": ""});
                let call =
                    json!({"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}});
                let mut frames = vec![message_start(), block_start(0, thinking)];
                frames.extend([
                    block_delta(0, json!({"type": "thinking_delta", "thinking": "Hm."})),
                    block_delta(
                        0,
                        json!({"type": "signature_delta", "signature": SIGNATURE}),
                    ),
                    json!({"type": "content_block_stop", "index": 0}),
                    block_start(1, call),
                    block_delta(
                        1,
                        json!({"type": "input_json_delta", "partial_json": r#"{"city":"#}),
                    ),
                    block_delta(
                        1,
                        json!({"type": "input_json_delta", "partial_json": r#""Oslo"}"#}),
                    ),
                    json!({"type": "content_block_stop", "index": 1}),
                ]);
                frames.extend(message_end("tool_use"));
                frames
            }
            Self::Gemini => {
                let call = json!({"functionCall": {"name": "weather", "args": {"city": "Oslo"}},
                                  "thoughtSignature": SIGNATURE});
                vec![
                    candidate(json!({"text": "Hm.", "thought": true}), None),
                    candidate(call, Some("STOP")),
                ]
            }
        }
    }

    /// Returns the answer after the tool.
    fn words(self) -> Vec<Value> {
        match self {
            Self::Responses => {
                let message = json!({"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
                    "content": [{"type": "output_text", "text": WORDS.concat(), "annotations": []}]});
                let mut frames = vec![
                    json!({"type": "response.created", "response": response("in_progress", json!([]))}),
                ];
                frames.extend(WORDS.map(|word| {
                    json!({"type": "response.output_text.delta", "output_index": 0, "content_index": 0,
                           "item_id": "msg_1", "delta": word})
                }));
                frames.push(json!({"type": "response.completed",
                                   "response": response("completed", json!([message]))}));
                frames
            }
            Self::Messages => {
                let text = json!({"type": "text", "text": ""});
                let mut frames = vec![message_start(), block_start(0, text)];
                frames.extend(
                    WORDS.map(|word| block_delta(0, json!({"type": "text_delta", "text": word}))),
                );
                frames.push(json!({"type": "content_block_stop", "index": 0}));
                frames.extend(message_end("end_turn"));
                frames
            }
            Self::Gemini => {
                let mut frames: Vec<_> = WORDS
                    .map(|word| candidate(json!({"text": word}), None))
                    .into();
                frames.push(candidate(json!({"text": ""}), Some("STOP")));
                frames
            }
        }
    }
}

fn response(status: &str, output: Value) -> Value {
    json!({"id": "resp_1", "object": "response", "model": "gpt-5-mini", "status": status, "output": output,
           "usage": {"input_tokens": 7, "output_tokens": 9, "total_tokens": 16}})
}

fn message_start() -> Value {
    json!({"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant",
        "content": [], "model": "claude-sonnet-4-5", "stop_reason": null, "stop_sequence": null,
        "usage": {"input_tokens": 7, "output_tokens": 1}}})
}

fn block_start(index: u32, block: Value) -> Value {
    json!({"type": "content_block_start", "index": index, "content_block": block})
}

fn block_delta(index: u32, delta: Value) -> Value {
    json!({"type": "content_block_delta", "index": index, "delta": delta})
}

fn message_end(reason: &str) -> [Value; 2] {
    [
        json!({"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": null},
               "usage": {"output_tokens": 9}}),
        json!({"type": "message_stop"}),
    ]
}

fn candidate(part: Value, reason: Option<&str>) -> Value {
    let mut candidate = json!({"content": {"parts": [part], "role": "model"}, "index": 0});
    if let Some(reason) = reason {
        candidate["finishReason"] = reason.into();
    }
    json!({"candidates": [candidate], "modelVersion": "gemini-2.5-flash",
           "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 9, "totalTokenCount": 16}})
}

/// Returns the first object anywhere that the function accepts.
fn find<'a>(value: &'a Value, accepts: &dyn Fn(&Value) -> bool) -> Option<&'a Value> {
    match value {
        Value::Object(_) if accepts(value) => Some(value),
        Value::Object(members) => members.values().find_map(|it| find(it, accepts)),
        Value::Array(items) => items.iter().find_map(|it| find(it, accepts)),
        _ => None,
    }
}
