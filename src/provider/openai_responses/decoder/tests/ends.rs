//! What counts as the end of a response, and what is said of it once.

use super::*;

#[test]
fn the_end_is_what_the_server_says_and_never_a_success_without_it() {
    for (last, reason) in [
        (ended("completed", json!({"status": "completed"})), "stop"),
        (ended("completed", json!({})), "stop"),
        (
            ended(
                "incomplete",
                json!({"incomplete_details": {"reason": "max_output_tokens"}}),
            ),
            "length",
        ),
        (
            ended(
                "incomplete",
                json!({"incomplete_details": {"reason": "content_filter"}}),
            ),
            "content_filter",
        ),
        (ended("incomplete", json!({})), "unknown"),
        (
            ended("completed", json!({"status": "incomplete"})),
            "unknown",
        ),
        (
            ended(
                "completed",
                json!({"status": "completed", "incomplete_details": {"reason": "max_output_tokens"}}),
            ),
            "length",
        ),
        (
            ended("completed", json!({"incomplete_details": {}})),
            "stop",
        ),
        (
            ended("completed", json!({"incomplete_details": {"reason": ""}})),
            "stop",
        ),
        (
            ended("completed", json!({"incomplete_details": {"reason": 7}})),
            "unknown",
        ),
        (ended("done", json!({"status": "completed"})), "stop"),
        (
            ended(
                "done",
                json!({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}),
            ),
            "content_filter",
        ),
        (ended("done", json!({"output": []})), "unknown"),
        (
            ended(
                "incomplete",
                json!({"incomplete_details": {"reason": "stop"}}),
            ),
            "unknown",
        ),
    ] {
        let found = events(&stream(&[delta("Hi"), last]));
        assert_eq!(found.last().unwrap()["finishReason"], reason);
    }
}

#[test]
fn a_failure_of_any_form_is_an_error_without_the_servers_words() {
    for (last, recoverable, says) in [
        (json!({"type": "response.unheard_of"}), true, "cut off"),
        (
            ended(
                "failed",
                json!({"error": {"code": "server_error", "message": "Sekret"}}),
            ),
            true,
            "has failed",
        ),
        (
            ended("failed", json!({"error": {"code": "invalid_prompt"}})),
            false,
            "refused the request",
        ),
        (ended("failed", json!({})), true, "reported an error"),
        (
            ended("failed", json!({"error": "Sekret"})),
            true,
            "reported an error",
        ),
        (
            ended(
                "incomplete",
                json!({"incomplete_details": {"reason": "server_error"}}),
            ),
            true,
            "reported an error",
        ),
        (
            ended(
                "completed",
                json!({"incomplete_details": {"reason": "failed"}}),
            ),
            true,
            "reported an error",
        ),
        (ended("cancelled", json!({})), true, "told to stop"),
        (
            ended("done", json!({"status": "failed"})),
            true,
            "reported an error",
        ),
        (
            ended("done", json!({"status": "in_progress"})),
            true,
            "cut off",
        ),
        (
            json!({"type": "response.error", "code": "rate_limit_exceeded", "message": "Sekret"}),
            true,
            "asked too much",
        ),
        (
            json!({"type": "response.error", "error": {"type": "invalid_request_error"}}),
            false,
            "refused the request",
        ),
        (
            json!({"type": "error", "error": {"type": "overloaded_error", "message": "Sekret"}}),
            true,
            "has failed",
        ),
        (
            ended("completed", json!({"status": "failed"})),
            true,
            "reported an error",
        ),
        (
            ended("completed", json!({"status": "cancelled"})),
            true,
            "told to stop",
        ),
        (
            json!({"type": "error", "code": "rate_limit_exceeded", "message": "Sekret"}),
            true,
            "asked too much",
        ),
        (
            json!({"error": {"code": "insufficient_quota"}}),
            false,
            "quota",
        ),
        (json!({"detail": "Sekret"}), true, "reported an error"),
        (
            item_done(1, json!({"type": "computer_call"})),
            false,
            "`computer_call`",
        ),
    ] {
        let error = failure(&stream(&[delta("Hi"), last.clone()]));
        assert_eq!(error.is_recoverable(), recoverable, "{last}: {error}");
        assert!(error.to_string().contains(says), "{last}: {error}");
        assert!(!format!("{error:?}").contains("Sekret"), "{error:?}");
    }
    assert!(failure("data: [DONE]\n\n").is_recoverable());
    assert!(failure("data: {\"type\":\"response.output_text.delta\n\n").is_recoverable());
}

#[test]
fn what_only_the_whole_output_has_is_said_once() {
    let text = |id: &str, text: &str| json!({"id": id, "type": "message", "content": [{"type": "output_text", "text": text, "annotations": []}]});
    let reasoning = |id: &str, text: &str| {
        json!({"id": id, "type": "reasoning", "summary": [{"type": "summary_text", "text": text}],
            "content": [{"type": "reasoning_text", "text": format!("{text}!")}]})
    };
    let picture = |id: &str| {
        json!({"id": id, "type": "image_generation_call", "status": "completed",
        "output_format": "png", "result": "AAAA"})
    };
    let output = json!([
        reasoning("rs_1", "Hm"),
        text("msg_1", "Hi"),
        picture("ig_1"),
        text("msg_2", " there")
    ]);
    let completed = |output: &Value| {
        ended(
            "completed",
            json!({"status": "completed", "output": output}),
        )
    };
    let said = |all: &[Value]| {
        let found = events(&stream(all));
        let joined = |kind: &str| -> String {
            let of_kind = found.iter().filter(|event| event["type"] == kind);
            of_kind
                .map(|event| event["content"].as_str().unwrap())
                .collect()
        };
        let media = found
            .iter()
            .filter(|event| event["type"] == "media")
            .count();
        (joined("thinking"), joined("text"), media)
    };
    let whole = ("HmHm!".to_owned(), "Hi there".to_owned(), 1);
    assert_eq!(said(&[completed(&output)]), whole, "nothing came before");
    let items: Vec<_> = (0..)
        .zip(output.as_array().unwrap())
        .map(|(index, item)| item_done(index, item.clone()))
        .collect();
    for done in 0..=items.len() {
        let all = [&items[..done], &[completed(&output)]].concat();
        assert_eq!(said(&all), whole, "{done} items came before");
        // A server that names the items of its output otherwise, or not at all.
        for id in [json!("other"), Value::Null] {
            let mut renamed = output.clone();
            for (at, item) in renamed.as_array_mut().unwrap().iter_mut().enumerate() {
                item["id"] = id
                    .as_str()
                    .map_or(Value::Null, |id| format!("{id}_{at}").into());
            }
            let all = [&items[..done], &[completed(&renamed)]].concat();
            assert_eq!(said(&all), whole, "{done} items came before, {id}");
        }
    }
}

#[test]
fn counts_are_read_in_odd_types() {
    let completed = ended(
        "completed",
        json!({"status": "completed", "usage": {"input_tokens": "3", "output_tokens": 2.0,
            "input_tokens_details": {"cached_tokens": "1"}, "output_tokens_details": []}}),
    );
    let found = events(&stream(&[delta("Hi"), completed]));
    let usage = &found.last().unwrap()["usage"];
    assert_eq!(
        json!([
            usage["inputTokens"],
            usage["outputTokens"],
            usage["cachedInputTokens"]
        ]),
        json!([3, 2, 1])
    );
}
