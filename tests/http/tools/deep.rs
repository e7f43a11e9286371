use serde_json::{Value, json};

use super::counted::{Counted, answer, calling, of, text};

/// The text of an object of this nesting, as a model writes it.
fn deep(depth: usize) -> String {
    let lists = depth - 1;
    format!(
        r#"{{"of":"snow","more":{}{}}}"#,
        "[".repeat(lists),
        "]".repeat(lists)
    )
}

#[tokio::test]
async fn the_model_is_told_that_its_arguments_are_nested_too_deep() {
    let tools = Counted::default();
    let server = tools.server().await;
    let mut runs = 0;
    for depth in [63, 64, 65, 100, 124, 125, 126, 127, 128, 129, 130, 500] {
        let arguments = Value::from(deep(depth));
        let calls = json!([{"id": "1", "name": "wait", "arguments": arguments}]);
        let events = answer(&server, &calling(calls)).await;
        assert_eq!(events.last().unwrap().1["type"], "complete", "{depth}");
        if depth <= 64 {
            runs += 1;
            assert_eq!(of(&events, "tool_result")[0]["content"], "snow");
        } else {
            let told = of(&events, "tool_error")[0]["message"].as_str().unwrap();
            assert!(told.contains("nested deeper than 64 levels"), "{told}");
            assert!(text(&events).contains(told), "the model has it");
        }
        assert_eq!(tools.begun(), runs, "{depth}");
    }
}

#[tokio::test]
async fn deep_arguments_are_not_handed_to_the_client() {
    let server = Counted::default().server().await;
    for (depth, handed) in [(64, 1), (65, 0), (126, 0), (130, 0)] {
        let calls = json!([{"id": "1", "name": "place", "arguments": deep(depth)}]);
        let mut request = calling(calls);
        request["isomorphicTools"] = json!([{"name": "place", "parameters": {"type": "object"}}]);
        let events = answer(&server, &request).await;
        assert_eq!(of(&events, "isomorphic_handoff").len(), handed, "{depth}");
        assert_eq!(of(&events, "tool_error").len(), 1 - handed, "{depth}");
    }
}
