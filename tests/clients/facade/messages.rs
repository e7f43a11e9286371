use std::fmt::Write;

use axum::{
    body::{Body, Bytes, to_bytes},
    response::Response,
};
use futures_util::{Stream, StreamExt};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use unbroken::chat::ChatEvent;

/// The kind of the messages of a stream.
pub(super) struct Kind {
    content_type: HeaderValue,
    form: Form,
}

#[derive(Clone, Copy, PartialEq)]
enum Form {
    Json,
    Text,
    Bytes,
}

const ENCODING: HeaderName = HeaderName::from_static("stream-sse-data-encoding");

impl Kind {
    pub(super) fn of(content_type: Option<HeaderValue>) -> Self {
        let octets = HeaderValue::from_static("application/octet-stream");
        let content_type = content_type.unwrap_or(octets);
        let form = match mime(&content_type) {
            mime if mime == "application/json" => Form::Json,
            mime if mime.starts_with("text/") => Form::Text,
            _ => Form::Bytes,
        };
        Self { content_type, form }
    }

    pub(super) fn content_type(&self) -> HeaderValue {
        self.content_type.clone()
    }

    pub(super) fn same(&self, other: &Self) -> bool {
        mime(&self.content_type) == mime(&other.content_type)
    }

    /// Returns the events of a body. Each element of a JSON array is a message.
    pub(super) fn messages(&self, body: &[u8]) -> Option<Vec<Bytes>> {
        let values = match self.form {
            Form::Json => match serde_json::from_slice(body).ok()? {
                Value::Array(values) => values,
                value => vec![value],
            },
            Form::Text | Form::Bytes => vec![hex(body).into()],
        };
        let event = |value| ChatEvent::custom("message", value).to_json().freeze();
        Some(values.into_iter().map(event).collect())
    }

    /// Returns a response of the dialect with its messages unwrapped.
    pub(super) async fn unwrap_messages(&self, response: Response) -> Response {
        let (mut head, body) = response.into_parts();
        let streams = head.headers.get(header::CONTENT_TYPE);
        let streams = streams.is_some_and(|it| it.as_bytes() == b"text/event-stream");
        if head.status != StatusCode::OK {
            return Response::from_parts(head, body);
        }
        if streams {
            if self.form == Form::Bytes {
                head.headers
                    .insert(ENCODING, HeaderValue::from_static("base64"));
            }
            let body = Body::from_stream(self.events(body));
            return Response::from_parts(head, body);
        }
        let body = to_bytes(body, usize::MAX).await.expect("it is a document");
        head.headers
            .insert(header::CONTENT_TYPE, self.content_type());
        head.headers.remove(header::CONTENT_LENGTH);
        if body.is_empty() {
            return Response::from_parts(head, Body::empty()); // to a HEAD
        }
        let values = values(&body);
        let body = match self.form {
            Form::Json => Value::from(values).to_string().into_bytes(),
            Form::Text | Form::Bytes => values.iter().flat_map(unhex).collect(),
        };
        Response::from_parts(head, body.into())
    }

    /// Returns a stream of events with its messages unwrapped.
    fn events(&self, body: Body) -> impl Stream<Item = Result<Bytes, axum::Error>> + use<> {
        let form = self.form;
        let mut left = String::new();
        body.into_data_stream().map(move |bytes| {
            left.push_str(std::str::from_utf8(&bytes?).expect("JSON and ASCII, whole"));
            let mut out = String::new();
            while let Some(end) = left.find("\n\n") {
                let event: String = left.drain(..end + 2).collect();
                match event.strip_prefix("event: data\ndata:") {
                    Some(array) => data(form, &values(array.as_bytes()), &mut out),
                    None => out.push_str(&event),
                }
            }
            Ok(Bytes::from(out))
        })
    }
}

fn data(form: Form, values: &[Value], out: &mut String) {
    if values.is_empty() {
        return;
    }
    out.push_str("event: data\n");
    match form {
        Form::Json => {
            let _ = writeln!(out, "data:{}", json!(values));
        }
        Form::Text => {
            let text: Vec<u8> = values.iter().flat_map(unhex).collect();
            let text = String::from_utf8_lossy(&text);
            let text = text.replace("\r\n", "\n").replace('\r', "\n");
            for line in text.split('\n') {
                let _ = writeln!(out, "data:{line}");
            }
        }
        Form::Bytes => {
            let bytes: Vec<u8> = values.iter().flat_map(unhex).collect();
            let _ = writeln!(out, "data:{}", base64(&bytes));
        }
    }
    out.push('\n');
}

/// Returns the messages in an array of events.
fn values(array: &[u8]) -> Vec<Value> {
    let events: Vec<Value> = serde_json::from_slice(array).expect("an array of events");
    let messages = events
        .into_iter()
        .filter(|event| event["name"] == "message");
    messages.map(|mut event| event["data"].take()).collect()
}

fn mime(content_type: &HeaderValue) -> String {
    let text = content_type.to_str().unwrap_or_default();
    let mime = text.split(';').next().unwrap_or_default();
    mime.trim().to_ascii_lowercase()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn unhex(value: &Value) -> Vec<u8> {
    let hex = value.as_str().unwrap_or_default().as_bytes();
    let digit = |digit: u8| (digit as char).to_digit(16).expect("a digit");
    let byte = |pair: &[u8]| u8::try_from(digit(pair[0]) * 16 + digit(pair[1])).expect("a byte");
    hex.chunks(2).map(byte).collect()
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let all = three
            .iter()
            .fold(0_u32, |all, byte| all << 8 | u32::from(*byte));
        let all = all << (8 * (3 - three.len()));
        for place in 0..4 {
            text.push(if place <= three.len() {
                DIGITS[(all >> (18 - 6 * place) & 63) as usize] as char
            } else {
                '='
            });
        }
    }
    text
}
