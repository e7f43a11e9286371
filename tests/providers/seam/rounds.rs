//! Answers with tools, cut at each border of a round.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use serde_json::{Value, json};
use tower_layer::Layer as _;
use unbroken::{
    chat::Provider,
    durable::Recovery,
    tools::{ToolLayer, Tools, tool_fn},
};

use super::{FAMILIES, Family, asked, content, kinds, numbered, taken_over, taken_over_when};
use crate::stub::{Step, Stub, delta, ok};

/// A clock that must not be read twice, and counts.
#[derive(Clone, Default)]
struct Clock {
    runs: Arc<AtomicUsize>,
    /// True if its first run doesn't end.
    hangs: bool,
    repeatable: bool,
}

impl Clock {
    fn around(&self, family: Family, stub: &Stub, continues: bool) -> impl Provider + Sync + use<> {
        let (clock, repeatable) = (self.clone(), self.repeatable);
        let now = tool_fn("now", "", move |_: Value, _| {
            let (run, hangs) = (clock.runs.fetch_add(1, SeqCst), clock.hangs);
            async move {
                if run == 0 && hangs {
                    std::future::pending::<()>().await;
                }
                Ok("noon")
            }
        });
        let tools = if repeatable {
            Tools::new().with(now.idempotent())
        } else {
            Tools::new().with(now)
        };
        ToolLayer::new(tools).layer(family.provider(stub, continues))
    }

    fn runs(&self) -> usize {
        self.runs.load(SeqCst)
    }
}

/// Returns a turn that says this and asks for the time.
fn asking(family: Family, text: &str, id: &str) -> Vec<Step> {
    let turn = [ok(), family.said(text), family.called(id)];
    turn.into_iter().chain(family.end("tool_calls")).collect()
}

/// Returns the roles and texts of a request's messages.
fn messages(body: &Value) -> Vec<String> {
    let messages = body["messages"].as_array().unwrap().iter();
    let word = |it: &Value, name: &str| it[name].as_str().unwrap_or_default().to_owned();
    messages
        .map(|it| format!("{}: {}", word(it, "role"), word(it, "content")))
        .collect()
}

/// Cuts the second turn in its text. The successor's model says this first, in a turn with a call.
async fn cut_in_the_second_turn(
    family: Family,
    said: &'static str,
    checks: bool,
) -> (Vec<Value>, Vec<Value>, usize) {
    let clock = Clock::default();
    let mut stub = numbered(move |number, _| match number {
        0 => asking(family, "Let me look.", "a"),
        1 => family.partial(["The clock", " in Paris", " shows"]),
        2 => asking(family, said, "b"),
        _ => family.answer([" Done."]),
    })
    .await;
    let provider = clock.around(family, &stub, true);
    let recovery = Recovery::new().resume().check_seam(checks);
    let events = taken_over([provider.clone(), provider], recovery, "\" shows\"").await;
    (events, asked(&mut stub), clock.runs())
}

#[tokio::test]
async fn the_second_turn_alone_is_resumed_and_no_tool_runs_again() {
    for family in FAMILIES {
        for said in [
            " five.",
            "Paris shows five.",
            "The clock in Paris shows five.",
        ] {
            let (events, asked, runs) = cut_in_the_second_turn(family, said, true).await;
            let text = content(&events, "text");
            assert_eq!(
                text, "Let me look.The clock in Paris shows five. Done.",
                "{events:?}"
            );
            assert_eq!(runs, 2, "once for each call");
            let first = ["user: Hi", "assistant: Let me look.", "tool: noon"];
            let resumed = [&first[..], &["assistant: The clock in Paris shows"]].concat();
            assert_eq!(messages(&asked[2]), resumed);
            // What was repeated isn't in the history of the next turn either.
            let turn = ["assistant: The clock in Paris shows five.", "tool: noon"];
            assert_eq!(messages(&asked[3]), [&first[..], &turn].concat());
            assert!(asked[3].get("continue_final_message").is_none());
        }
    }
}

/// The control: the text and the history as they would be.
#[tokio::test]
async fn without_the_check_the_next_turn_has_the_repeat_too() {
    for family in FAMILIES {
        let said = "Paris shows five.";
        let (events, asked, _) = cut_in_the_second_turn(family, said, false).await;
        let doubled = "The clock in Paris showsParis shows five.";
        assert!(content(&events, "text").contains(doubled), "{events:?}");
        let turn = format!("assistant: {doubled}");
        assert!(messages(&asked[3]).contains(&turn), "{asked:?}");
    }
}

#[tokio::test]
async fn words_of_an_earlier_turn_are_no_repeat() {
    for family in FAMILIES {
        let (events, _, _) = cut_in_the_second_turn(family, "Let me look.", true).await;
        let text = "Let me look.The clock in Paris showsLet me look. Done.";
        assert_eq!(content(&events, "text"), text);
    }
}

#[tokio::test]
async fn a_second_turn_that_begins_anew_is_declined_and_a_restart_repeats_no_tool() {
    for family in FAMILIES {
        let clock = Clock::default();
        let mut stub = numbered(move |number, _| match number {
            0 | 3 => asking(family, "Let me look.", "a"),
            1 => family.partial(["The clock", " in Paris", " shows"]),
            2 => asking(family, "The clock in Rome", "b"),
            _ => family.answer(["Noon."]),
        })
        .await;
        let provider = clock.around(family, &stub, true);
        let recovery = Recovery::new().resume().restart();
        let events = taken_over([provider.clone(), provider], recovery, "\" shows\"").await;
        assert_eq!(content(&events, "text"), "Let me look.Noon.");
        assert!(!format!("{events:?}").contains("Rome"), "{events:?}");
        assert_eq!((clock.runs(), asked(&mut stub).len()), (1, 5));
    }
}

#[tokio::test]
async fn between_a_result_and_the_next_turn_every_provider_goes_on() {
    for family in FAMILIES {
        let clock = Clock::default();
        let first = numbered(move |number, _| match number {
            0 => asking(family, "Let me look.", "a"),
            _ => vec![ok(), Step::Silence],
        });
        let mut second = numbered(move |_, _| family.answer(["Noon."])).await;
        let providers = [&first.await, &second].map(|stub| clock.around(family, stub, false));
        let events = taken_over(providers, Recovery::new().resume(), "tool_result").await;
        assert_eq!(content(&events, "text"), "Let me look.Noon.", "{events:?}");
        assert_eq!(kinds(&events).last(), Some(&"complete"));
        let asked = asked(&mut second);
        let expected = ["user: Hi", "assistant: Let me look.", "tool: noon"];
        assert_eq!(messages(&asked[0]), expected);
        assert!(asked[0].get("continue_final_message").is_none());
        assert_eq!((clock.runs(), asked.len()), (1, 1));
    }
}

#[tokio::test]
async fn between_a_call_and_its_result_only_a_tool_that_may_runs_again() {
    for family in FAMILIES {
        for repeatable in [false, true] {
            let clock = Clock {
                hangs: true,
                repeatable,
                ..Clock::default()
            };
            let first = numbered(move |_, _| asking(family, "Let me look.", "a")).await;
            let mut second = numbered(move |_, _| family.answer(["Well."])).await;
            let providers = [&first, &second].map(|stub| clock.around(family, stub, false));
            let (recovery, begun) = (Recovery::new().resume(), || clock.runs() == 1);
            let events = taken_over_when(providers, recovery, "tool_calls", begun).await;
            assert_eq!(content(&events, "text"), "Let me look.Well.", "{events:?}");
            let asked = asked(&mut second);
            assert_eq!(asked.len(), 1);
            let told = messages(&asked[0]);
            assert_eq!(told[..2], ["user: Hi", "assistant: Let me look."]);
            assert_eq!(told[2] == "tool: noon", repeatable, "{told:?}");
            assert_eq!(clock.runs(), if repeatable { 2 } else { 1 });
        }
    }
}

/// Ollama sends arguments whole.
#[tokio::test]
async fn a_call_that_was_cut_in_its_arguments_begins_again_and_the_text_before_it_stays() {
    let family = Family::ChatCompletions;
    for (text, continues, goes_on) in [
        ("Let me look.", true, true),
        ("Let me look.", false, false),
        ("", false, true),
    ] {
        let clock = Clock::default();
        let mut stub = numbered(move |number, _| match number {
            0 => {
                let function = json!({"name": "now", "arguments": "{\"zo"});
                let call = json!({"index": 0, "id": "a", "type": "function", "function": function});
                let call = delta(&json!({"tool_calls": [call]}).to_string());
                vec![ok(), family.said(text), call, Step::Silence]
            }
            1 => asking(family, "", "a"),
            _ => family.answer(["Noon."]),
        })
        .await;
        let provider = clock.around(family, &stub, continues);
        let recovery = Recovery::new().resume();
        let events = taken_over([provider.clone(), provider], recovery, "{\\\"zo").await;
        let asked = asked(&mut stub);
        if !goes_on {
            assert_eq!(events.last().unwrap()["code"], "interrupted");
            assert_eq!((clock.runs(), asked.len()), (0, 1));
            continue;
        }
        assert_eq!(
            content(&events, "text"),
            format!("{text}Noon."),
            "{events:?}"
        );
        assert_eq!(clock.runs(), 1);
        let cut = events.iter().filter(|it| it["cut"] == true).count();
        assert_eq!(cut, 1, "{events:?}");
        let partial = format!("assistant: {text}");
        let expected = ["user: Hi", &partial];
        let expected = &expected[..if text.is_empty() { 1 } else { 2 }];
        assert_eq!(messages(&asked[1]), expected);
        assert!(asked[1]["messages"][1].get("tool_calls").is_none());
        let goes_on = asked[1].get("continue_final_message").is_some();
        assert_eq!(goes_on, !text.is_empty());
        assert_eq!(messages(&asked[2]).last().unwrap(), "tool: noon");
    }
}
