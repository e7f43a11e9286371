//! What a server sends beside an answer, and in other types than it should: none of it decides.

use futures_util::StreamExt;
use tower::ServiceExt;
use unbroken::{chat::ChatRequest, provider::ResponsesUpstream};

use crate::{
    in_place::{ask, hi, ollama, openai, typed},
    stub::{Step, Stub, refusal, serve},
    traces::Traces,
};

// OpenAI's clients where no stream is asked for: the answer, but for bytes that are no UTF-8 in Python.
// `verdicts.rs` has more of them.
#[tokio::test]
async fn a_whole_answer_is_read_as_tolerantly_as_a_stream() {
    let deep = format!("{}{}", "[".repeat(400), "]".repeat(400));
    let text = |more: &str| {
        let more = more.replace("DEEP", &deep);
        [
            format!(
                r#"{{{more}"choices":[{{"message":{{{more}"content":"Hi"}},"finish_reason":"stop"}}]}}"#
            ),
            format!(
                r#"{{{more}"message":{{{more}"content":"Hi"}},"done":true,"done_reason":"stop"}}"#
            ),
        ]
    };
    for more in [
        r#""more\ud83d":"\udc00","#,
        r#""more":DEEP,"#,
        "\"more\":\n DEEP,\n",
        r#""$serde_json::private::RawValue":"{","#,
        r#""content":7,"content":null,"usage":[],"eval_count":"x","model":{},"id":[],"#,
    ] {
        for content_type in ["application/json", ""] {
            let [completion, answer] = text(more);
            let answered = ask(typed(content_type, &completion), openai).await;
            assert_eq!(answered.whole(), hi(), "{more}");
            let answered = ask(typed(content_type, &answer), ollama).await;
            assert_eq!(answered.whole(), hi(), "{more}");
            // The first line of a stream.
            let first = answer.replace("true", "false").replace('\n', " ");
            let lines = format!("{first}\n{{\"done\":true,\"done_reason\":\"stop\"}}\n");
            let answered = ask(typed(content_type, &lines), ollama).await;
            assert_eq!(answered.whole(), hi(), "{more}");
        }
        let refused = format!(
            "{{{}\"error\":{{\"code\":404}}}}",
            more.replace("DEEP", &deep)
        );
        for answered in [
            ask(typed("application/json", &refused), openai).await,
            ask(typed("application/json", &refused), ollama).await,
            // With a status that tells it too.
            ask(vec![refusal("404 Not Found", "", &refused)], openai).await,
        ] {
            assert!(
                answered.refused().contains("doesn't have this model"),
                "{more}"
            );
        }
    }
    let [completion, answer] = text("\"more\":\"BYTE\",").map(|text| {
        let length = text.len() - 3;
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        );
        let whole = (head + &text).into_bytes();
        let at = whole.windows(4).position(|it| it == b"BYTE").unwrap();
        let mut whole = [&whole[..at], &[0xff], &whole[at + 4..]].concat();
        // Twice: the message has it too.
        let at = whole.windows(4).position(|it| it == b"BYTE").unwrap();
        whole.splice(at..at + 4, *b"\xff   ");
        vec![Step::Raw(whole)]
    });
    assert_eq!(ask(completion, openai).await.whole(), hi());
    assert_eq!(ask(answer, ollama).await.whole(), hi());
}

#[tokio::test]
async fn a_field_that_is_dropped_is_traced_once() {
    let traces = Traces::collect();
    let body = r#"{"choices":[{"index":0,"message":{"content":"Hi"},"finish_reason":"stop"},{"index":1},{"index":[]},{"index":[]}],"usage":7}"#;
    let answered = ask(typed("application/json", body), openai).await;
    assert_eq!(answered.whole(), hi());
    let dropped = |field: &str| traces.with(&["is dropped", field]).len();
    assert_eq!(dropped("choices: more than one"), 1);
    assert_eq!(dropped("\"index\""), 1);
    assert_eq!(dropped("usage"), 1);
    let line = r#"{"message":{"content":"Hi","tool_calls":[7]},"done":true,"done_reason":[],"eval_count":"x","model":7}"#;
    let answered = ask(typed("", line), ollama).await;
    assert!(answered.error.is_none());
    for field in ["tool_calls", "done_reason", "\"eval_count\"", "\"model\""] {
        assert_eq!(dropped(field), 1, "{field}");
    }
    let pieces: String = [
        "response.unheard_of",
        "response.unheard_of",
        "response.new",
        "later",
        "\\ud83d",
    ]
    .map(|class| format!("data: {{\"type\":\"{class}\"}}\n\n"))
    .concat();
    let end = r#"data: {"type":"response.completed","response":{"status":"completed","output":[{"type":"message","content":[{"type":"output_text","text":"Hi"}]}]}}"#;
    let responses = |stub: &Stub| {
        let builder = ResponsesUpstream::builder().base_url(stub.url("/v1"));
        builder.model("m").build().unwrap()
    };
    let mut stub = serve(typed("text/event-stream", &format!("{pieces}{end}\n\n"))).await;
    let answer = responses(&stub).oneshot(ChatRequest::from_user("Hi")).await;
    let events: Vec<_> = answer.unwrap().collect().await;
    assert!(events.iter().all(Result::is_ok), "{events:?}");
    stub.requests.recv().await.unwrap();
    for field in ["\"unheard_of\"", "\"new\"", "\"later\"", "\"type\""] {
        assert_eq!(dropped(field), 1, "{field}");
    }
}
