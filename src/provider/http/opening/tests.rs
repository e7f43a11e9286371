use proptest::prelude::*;

use super::*;
use crate::provider::http::json::{members, string};

const PARTS: [&[u8]; 24] = [
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b",",
    b":",
    b"1",
    b" ",
    b"\n",
    b"\r\n",
    b"<",
    b"x",
    b"(",
    b"\"whole\":\"Hi\"",
    b"{\"line\":1}",
    b"{\"error\":{\"code\":404}}",
    b"data: x",
    b"id",
    b"\xef\xbb\xbf",
    b"\x1f",
    b"\x8b",
    b"\xb5",
    &[b'x'; 600],
];

static PROTOCOL: Protocol = Protocol {
    path: &[],
    accept: "",
    as_stream: |json| {
        let [whole] = members(json, ["whole"]).ok()?;
        Some(string(whole?)?.into_bytes())
    },
    is_line: |json| matches!(members(json, ["line"]), Ok([Some(_)])),
};

fn opening(content_type: &str, max_bytes: usize) -> Opening {
    let mut headers = HeaderMap::new();
    if !content_type.is_empty() {
        headers.insert(CONTENT_TYPE, content_type.parse().unwrap());
    }
    Opening::new(&headers, &PROTOCOL, max_bytes).unwrap()
}

// Returns what `body` is, in pieces of `size` bytes.
fn open(content_type: &str, body: &[u8], size: usize) -> String {
    let mut opening = opening(content_type, 1000);
    let mut rest = body.chunks(size);
    let mut opened = Opened::Undecided;
    while let Opened::Undecided = opened {
        let Some(piece) = rest.next() else {
            opened = opening.end();
            break;
        };
        opened = opening.push(piece);
    }
    match opened {
        Opened::Undecided => "cut off".into(),
        Opened::Stream(read) => {
            let rest: Vec<u8> = rest.flatten().copied().collect();
            assert_eq!([read, rest].concat(), body, "{content_type}");
            "a stream".into()
        }
        Opened::Whole(bytes) => format!("whole: {}", String::from_utf8(bytes).unwrap()),
        Opened::Refused(error) => error.to_string(),
    }
}

fn open_in_any_pieces(content_type: &str, body: &[u8]) -> String {
    let whole = open(content_type, body, usize::MAX);
    for size in 1..8 {
        let pieces = open(content_type, body, size);
        assert_eq!(pieces, whole, "{content_type}, pieces of {size}: {body:?}");
    }
    whole
}

#[test]
fn a_stream_of_any_type_is_one() {
    for content_type in [
        "",
        "text/event-stream",
        "Text/Event-Stream; charset=utf-8",
        "application/x-ndjson",
        "application/json",
        "text/html; charset=UTF-8",
        "text/plain; charset=utf-8",
        "application/octet-stream",
        "of-none",
    ] {
        for body in [
            "data: {}\n\n",
            "\u{feff}data: {}\n\n",
            "\n\n: ping\n\n",
            ":",
            "event: error\n",
            "id: 7\n",
            "retry: 1\n",
            "{\"line\": 1}\n{\"line\": 2}\n",
            "",
        ] {
            let (json, html) = ("application/json", "text/html; charset=UTF-8");
            let must_be_something = [json, html, "text/plain; charset=utf-8"];
            let odd = ["application/octet-stream", "of-none"];
            let nothing = must_be_something.contains(&content_type) || odd.contains(&content_type);
            let expected = if body.is_empty() && nothing {
                "sent nothing"
            } else {
                "a stream"
            };
            let opened = open_in_any_pieces(content_type, body.as_bytes());
            assert!(
                opened.contains(expected),
                "{content_type}, {body:?}: {opened}"
            );
        }
    }
}

#[test]
fn json_in_place_of_a_stream_is_read() {
    let deep = format!("{}{}", "[".repeat(400), "]".repeat(400));
    for (body, expected) in [
        (r#"{"whole":"Hi"}"#, "whole: Hi"),
        ("\u{feff} {\n \"whole\":\r\n \"Hi\"\n}\n", "whole: Hi"),
        (r#"{"whole":"Hi","error":null}"#, "whole: Hi"),
        (
            r#"{"error":{"code":"model_not_found"}}"#,
            "doesn't have this model",
        ),
        (
            r#"[{"error":{"code":429,"status":"RESOURCE_EXHAUSTED"}}]"#,
            "asked too much",
        ),
        (
            "{\n\"error\": \"model 'm' not found\"}",
            "doesn't have this model",
        ),
        (
            r#"{"object":"error","message":"M","code":404}"#,
            "doesn't have this model",
        ),
        (
            r#"{"type":"error","error":{"type":"rate_limit_error"}}"#,
            "asked too much",
        ),
        (
            r#"{"detail":"Not Found","status":404}"#,
            "doesn't have this model",
        ),
        (r#"{"errors":[{"message":"M","code":401}]}"#, "credentials"),
        (
            r#"{"error_code":"BAD_REQUEST","message":"M"}"#,
            "refused the request",
        ),
        // As tolerantly as a stream.
        (
            r#"{"whole":"Hi","a\ud83d":"\udc00","whole":"Ho"}"#,
            "whole: Ho",
        ),
        (
            r#"{"$serde_json::private::RawValue":"{}","whole":"Hi"}"#,
            "whole: Hi",
        ),
        (&format!(r#"{{"whole":"Hi","deep":{deep}}}"#), "whole: Hi"),
        (
            &format!(r#"{{"deep":{deep},"error":{{"code":429}}}}"#),
            "asked too much",
        ),
        (
            r#"{"x":"\ud83d","code":404,"message":"M"}"#,
            "doesn't have this model",
        ),
        (r#"{"hello":1}"#, "JSON"),
        ("[]", "JSON"),
        ("\"busy\"", "JSON"),
        (r#"{"whole":"#, "cut off"),
        ("{nonsense}\n{}", "JSON"),
    ] {
        for content_type in [
            "application/json; charset=utf-8",
            "application/vnd.x+json",
            "",
        ] {
            let opened = open_in_any_pieces(content_type, body.as_bytes());
            assert!(
                opened.contains(expected),
                "{content_type}, {body}: {opened}"
            );
        }
    }
    let odd = b"{\"whole\":\"a\xff\",\n\"x\xf0\x9f\":1}";
    assert_eq!(
        open_in_any_pieces("application/json", odd),
        "whole: a\u{fffd}"
    );
    let problem = open_in_any_pieces("application/problem+json", br#"{"title":"T"}"#);
    assert!(problem.contains("reported an error"), "{problem}");
    let problem = br#"{"title":"T","status":400}"#;
    let problem = open_in_any_pieces("application/problem+json", problem);
    assert!(problem.contains("refused the request"), "{problem}");
}

proptest! {
    #[test]
    fn any_bytes_mean_the_same_in_any_pieces(
        content_type in prop::sample::select(vec![
            "", "text/event-stream", "application/json", "application/problem+json", "text/html",
            "text/plain", "x",
        ]),
        body in prop::collection::vec(prop::sample::select(PARTS.to_vec()), 0..10),
    ) {
        open_in_any_pieces(content_type, &body.concat());
    }
}

#[test]
fn web_pages_and_compressed_data_are_named() {
    for content_type in ["", "text/html", "text/event-stream", "application/json"] {
        for (body, expected) in [
            (&b"<!DOCTYPE html>"[..], "web page"),
            (b"\r\n<html>", "web page"),
            (&[0x1f, 0x8b, 8, 0], "compressed"),
            (&[0x28, 0xb5, 0x2f, 0xfd], "compressed"),
        ] {
            let opened = open_in_any_pieces(content_type, body);
            assert!(opened.contains(expected), "{content_type}: {opened}");
        }
    }
    for (encoding, compressed) in [
        ("gzip", true),
        ("br", true),
        ("Identity", false),
        ("", false),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, encoding.parse().unwrap());
        assert_eq!(
            Opening::new(&headers, &PROTOCOL, 9).is_err(),
            compressed,
            "{encoding}"
        );
    }
}

#[test]
fn a_body_of_json_is_limited() {
    let mut opening = opening("application/json", 100);
    assert!(matches!(opening.push(b"{\"whole\": \""), Opened::Undecided));
    assert!(matches!(opening.push(&[b'x'; 80]), Opened::Undecided));
    let Opened::Refused(error) = opening.push(&[b'x'; 80]) else {
        panic!("no limit")
    };
    assert_eq!(error.code(), crate::log::ErrorCode::Limit);
    let mut opening = super::tests::opening("", 100);
    assert!(matches!(
        opening.push(&vec![b'\n'; MAX_SPACE + 1]),
        Opened::Stream(_)
    ));
}
