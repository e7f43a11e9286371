//! Tools that change while the server runs.

use std::sync::{Arc, Mutex};

use serde_json::json;
use unbroken::{
    chat::{ChatEvent, ToolRuns},
    tools::{Call, ToolLayer, ToolSource, Tools, tool_fn},
};

use crate::support::{Model, Nothing, answer, call, request};

/// A source whose tools the test changes.
#[derive(Clone, Default)]
struct Changing(Arc<Mutex<Tools>>);

impl ToolSource for Changing {
    fn tools(&self) -> Tools {
        self.0.lock().unwrap().clone()
    }
}

impl Changing {
    fn set(&self, tools: Tools) {
        *self.0.lock().unwrap() = tools;
    }
}

/// Tools that give their place.
fn tools(place: &'static str, names: &[&str]) -> Tools {
    let tool = |tools: Tools, name: &&str| {
        tools.with(tool_fn(
            *name,
            place,
            move |_: Nothing, _: Call| async move { Ok(place) },
        ))
    };
    names.iter().fold(Tools::new(), tool)
}

fn offered(model: &Model) -> Vec<(String, String)> {
    let tools = model.last().tools.into_iter();
    tools.map(|tool| (tool.name, tool.description)).collect()
}

#[tokio::test(start_paused = true)]
async fn an_answer_has_the_tools_that_a_source_has_when_it_begins() {
    let (here, there) = (Changing::default(), Changing::default());
    let layer = ToolLayer::new(tools("own", &["a"]));
    let layer = layer.source(here.clone()).source(there.clone());
    here.set(tools("here", &["b"]));
    let model = Model::calling([call("1", "b", json!({}))]);
    let events = answer(&layer, &model, request()).await.unwrap();
    assert_eq!(events[1], ChatEvent::tool_result("1", "b", "here"));

    // Of tools with one name the first counts.
    here.set(tools("here", &["a", "c"]));
    there.set(tools("there", &["b", "c"]));
    let events = answer(&layer, &model, request()).await.unwrap();
    assert_eq!(events[1], ChatEvent::tool_result("1", "b", "there"));
    let pair = |name: &str, place: &str| (name.to_owned(), place.to_owned());
    assert_eq!(
        offered(&model),
        [pair("a", "own"), pair("c", "here"), pair("b", "there")]
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_keeps_its_tools_and_another_server_has_its_own() {
    let source = Changing::default();
    source.set(tools("first", &["a"]));
    let layer = ToolLayer::new(Tools::new()).source(source.clone());
    let turn = |id: &str| vec![ChatEvent::tool_calls([call(id, "a", json!({}))])];
    let model = Model::new([turn("1"), turn("2"), vec![ChatEvent::text("Done.")]]);
    let mut stream = crate::support::start(&layer, &model, request()).await;
    let mut results = Vec::new();
    while let Some(event) = futures_util::StreamExt::next(&mut stream).await {
        if let ChatEvent::ToolResult(result) = event.unwrap() {
            results.push(result.content);
            source.set(tools("second", &["a"]));
        }
    }
    assert_eq!(results, ["first", "first"]);

    let mut continued = request();
    let asked = ChatEvent::tool_calls([call("1", "a", json!({}))]);
    let runs: ToolRuns = [&asked, &ChatEvent::restarted("again")]
        .into_iter()
        .collect();
    continued.runs = runs.into();
    let events = answer(&layer, &model, continued).await.unwrap();
    let error = events.iter().find(|event| event.kind() == "tool_error");
    assert!(
        error.is_some(),
        "not idempotent, so it isn't repeated: {events:?}"
    );
}
