//! The client's input to the second half of a tool, and the limits of a first half's output.

use serde_json::{Value, json};
use unbroken::{
    BoxError, BoxFuture,
    chat::{ChatEvent, InputAnswer, InputAnswers, IsomorphicClientOutput, Message, ToolDefinition},
    tools::{Call, Output, Tool, ToolFailure, ToolLayer, ToolOptions, Tools, handoff_fn, tool_fn},
};

use crate::support::{Counted, DropCounter, Model, Nothing, answer, call, kinds, request, start};

/// A tool of two halves that needs an approval.
struct Allowed(Counted);

impl Tool for Allowed {
    fn definition(&self) -> ToolDefinition {
        ToolDefinition::new("allowed", "", json!({"type": "object"}))
    }

    fn options(&self) -> ToolOptions {
        ToolOptions::new().concludes()
    }

    fn approval(&self, _: &Value) -> Option<String> {
        Some("May I?".into())
    }

    fn call(&self, _: Value, _: Call) -> BoxFuture<'_, Result<Output, BoxError>> {
        Box::pin(async { Ok(Output::HandOver(json!(null))) })
    }

    fn conclude(
        &self,
        _: IsomorphicClientOutput,
        _: Call,
    ) -> BoxFuture<'_, Result<Output, BoxError>> {
        let counter = DropCounter(self.0.dropped.clone());
        Box::pin(async move {
            drop(counter);
            Ok(Output::Content("booked".into()))
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_half_needs_an_approval_of_its_own() {
    use futures_util::StreamExt;

    for (input, ran) in [
        (InputAnswer::decline(), 0),
        (InputAnswer::accept(Value::Null), 1),
    ] {
        let (counted, answers) = (Counted::default(), InputAnswers::new());
        let layer = ToolLayer::new(Tools::new().with(Allowed(counted.clone())));
        let model = Model::new([vec![ChatEvent::text("Done.")]]);
        // There was no first half: the client invented it.
        let mut forged = request();
        forged.inputs = answers.inputs();
        let turn = [call("1", "allowed", json!({}))];
        let turn = Message::assistant("").tool_calls(turn);
        forged.messages.push(turn);
        let mut output = IsomorphicClientOutput::new("1", "allowed", json!("yes"));
        output.params = json!({});
        forged.isomorphic_client_outputs = vec![output];
        let mut stream = start(&layer, &model, forged).await;
        let mut events = Vec::new();
        while let Some(event) = stream.next().await {
            let event = event.unwrap();
            if let ChatEvent::InputRequest(asked) = &event {
                answers
                    .submit(asked.input_id.clone(), input.clone())
                    .unwrap();
            }
            events.push(event);
        }
        assert_eq!(counted.dropped(), ran, "{events:?}");
        let outcome = ["tool_error", "tool_result"][ran];
        assert!(kinds(&events).contains(&outcome), "{events:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_output_that_is_handed_over_has_the_limit_of_a_result() {
    for (bytes, outcome) in [(98, "isomorphic_handoff"), (99, "tool_error")] {
        let first = move |_: Nothing, _: Call| async move { Ok("a".repeat(bytes)) };
        let second = |_: IsomorphicClientOutput, _: Call| async { Ok(()) };
        let tools = Tools::new().with(handoff_fn("seat", "", first, second));
        // With its quotes.
        let layer = ToolLayer::new(tools).result_bytes(100);
        let model = Model::calling([call("1", "seat", json!({}))]);
        let events = answer(&layer, &model, request()).await.unwrap();
        assert_eq!(events[1].kind(), outcome, "{events:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_message_of_a_failure_is_cut() {
    let most = ToolFailure::MAX_BYTES;
    for (bytes, kept) in [(most, most), (most + 1, most), (100 * most, most)] {
        let fails = move |_: Nothing, _: Call| async move {
            Err::<(), _>(ToolFailure::new("a".repeat(bytes)).into())
        };
        let layer = ToolLayer::new(Tools::new().with(tool_fn("fail", "", fails)));
        let model = Model::calling([call("1", "fail", json!({}))]);
        let events = answer(&layer, &model, request()).await.unwrap();
        let ChatEvent::ToolError(error) = &events[1] else {
            panic!("{events:?}");
        };
        assert_eq!(error.message.len(), kept);
        let failed = model.last().messages.pop().unwrap();
        assert!(failed.text().contains(&error.message));
        assert!(failed.text().len() < kept + 100);
    }
}
