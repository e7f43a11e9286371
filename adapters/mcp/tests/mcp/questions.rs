//! Questions of a server, and approvals of its tools: answered by another reader, after a takeover.

use libtest_mimic::Trial;
use serde_json::{Value, json};
use unbroken::store::Memory;

use crate::{
    calls::{all_ways, call},
    chat::{Chat, error, of, result},
    scene::{Scene, Version},
    trials,
};

pub(crate) fn trials() -> impl IntoIterator<Item = Trial> {
    trials![
        a_question_is_answered_by_another_reader_after_the_first_one_left,
        a_refusal_and_a_dismissal_reach_the_server,
        a_question_that_is_too_long_is_not_asked,
        a_call_asks_20_questions_at_most,
        a_call_that_is_wanted_again_without_end_is_sent_20_times,
        questions_of_two_sessions_are_not_mixed_up,
        a_question_is_answered_after_a_takeover,
        a_tool_that_must_not_run_twice_is_not_called_again_after_a_takeover,
        an_approval_is_given_after_a_takeover,
    ]
}

fn accept(account: &str) -> Value {
    json!({"action": "accept", "content": {"account": account}})
}

fn input(asked: &Value) -> String {
    asked["inputId"].as_str().unwrap().to_owned()
}

async fn a_question_is_answered_by_another_reader_after_the_first_one_left() {
    for mut scene in all_ways() {
        let way = scene.way;
        let chat = Chat::new(&scene.mcp().await.connect().await.unwrap());
        let mut first = chat.start("a", &call("pay", &json!({"sum": 7}))).await;
        let asked = first.until("input_request").await;
        assert_eq!(asked["kind"], "question", "{way}");
        assert_eq!(
            (&asked["callId"], &asked["toolName"]),
            (&json!("1"), &json!("pay"))
        );
        assert_eq!(asked["message"], "Which account?");
        assert_eq!(
            asked["schema"]["properties"]["account"]["enum"],
            json!(["A", "B"])
        );
        drop(first);

        let mut second = chat.read("a").await;
        assert_eq!(second.until("input_request").await, asked);
        assert_eq!(
            chat.answer("a", &input(&asked), &accept("C")).await,
            422,
            "{way}"
        );
        assert_eq!(
            chat.answer("a", &input(&asked), &accept("B")).await,
            202,
            "{way}"
        );
        let events = second.whole().await;
        assert_eq!(result(&events), "done with B", "{way}");
        assert_eq!(of(&events, "input_resolved")[0]["action"], "accept");
        assert_eq!(
            (scene.times("run pay"), scene.times("pay with B")),
            (1, 1),
            "{way}"
        );
    }
}

async fn a_refusal_and_a_dismissal_reach_the_server() {
    for mut scene in all_ways() {
        let way = scene.way;
        let chat = Chat::new(&scene.mcp().await.connect().await.unwrap());
        for (action, seen) in [("decline", "Decline"), ("cancel", "Cancel")] {
            let mut reader = chat.start(action, &call("pay", &json!({}))).await;
            let asked = reader.until("input_request").await;
            let answer = json!({"action": action});
            assert_eq!(chat.answer(action, &input(&asked), &answer).await, 202);
            let events = reader.whole().await;
            assert_eq!(result(&events), format!("no account: {seen}"), "{way}");
        }
        assert_eq!(scene.times("run pay"), 2);
    }
}

async fn a_question_that_is_too_long_is_not_asked() {
    for mut scene in all_ways() {
        let way = scene.way;
        let chat = Chat::new(&scene.mcp().await.connect().await.unwrap());
        scene.set("long");
        let events = chat.whole("a", &call("pay", &json!({}))).await;
        assert!(error(&events).contains("8 KiB"), "{way}: {events:?}");
        assert!(of(&events, "input_request").is_empty(), "{way}");
    }
}

/// The server asks one after the other, or all at once where the protocol can.
async fn a_call_asks_20_questions_at_most() {
    for mut scene in all_ways() {
        let way = scene.way;
        let chat = Chat::new(&scene.mcp().await.connect().await.unwrap());
        let kinds: &[_] = if way.contains("new") {
            &["often", "many"]
        } else {
            &["often"]
        };
        for kind in kinds {
            scene.set(kind);
            let mut reader = chat.start(kind, &call("pay", &json!({}))).await;
            let mut answered = 0;
            loop {
                let events = reader.events();
                for asked in of(&events, "input_request").iter().skip(answered) {
                    answered += 1;
                    let status = chat.answer(kind, &input(asked), &accept("A")).await;
                    assert_eq!(status, 202, "{way}, {kind}");
                }
                if !reader.more().await {
                    break;
                }
            }
            let events = reader.events();
            assert_eq!(answered, 20, "{way}, {kind}");
            let told = error(&events);
            assert!(told.contains("often"), "{way}, {kind}: {told}");
            assert_eq!(scene.times("pay with A"), 0, "{way}, {kind}");
            scene.unset(kind);
        }
    }
}

async fn a_call_that_is_wanted_again_without_end_is_sent_20_times() {
    for mut scene in [Scene::stdio(Version::New), Scene::http(Version::New)] {
        let way = scene.way;
        let chat = Chat::new(&scene.mcp().await.connect().await.unwrap());
        scene.set("again");
        let events = chat.whole("a", &call("pay", &json!({}))).await;
        let told = error(&events);
        assert!(told.contains("more often than is allowed"), "{way}: {told}");
        assert_eq!(scene.times("again"), 20, "{way}");
    }
}

async fn questions_of_two_sessions_are_not_mixed_up() {
    for mut scene in all_ways() {
        let way = scene.way;
        let chat = Chat::new(&scene.mcp().await.connect().await.unwrap());
        let mut readers = Vec::new();
        for account in ["A", "B"] {
            let mut reader = chat.start(account, &call("pay", &json!({}))).await;
            let asked = reader.until("input_request").await;
            readers.push((account, reader, input(&asked)));
        }
        for (account, _, input) in readers.iter().rev() {
            assert_eq!(
                chat.answer(account, input, &accept(account)).await,
                202,
                "{way}"
            );
        }
        for (account, reader, _) in readers {
            let events = reader.whole().await;
            assert_eq!(result(&events), format!("done with {account}"), "{way}");
        }
        assert_eq!(scene.times("run pay"), 2);
    }
}

/// Starts a session on one server, and kills the server once it asks. Returns the question, and another
/// server of the same chat.
async fn killed_while_it_asks(
    scene: &mut Scene,
    approved: bool,
    name: &'static str,
) -> (Value, Chat) {
    let store = Memory::new();
    let tools = mcp(scene, approved).await.connect().await.unwrap();
    let second = Chat::on(&store, &tools, |layer| layer);
    let mcp = mcp(scene, approved).await;
    let first = tokio::task::spawn_blocking(move || {
        // With one thread, none of its tasks runs on while the others end.
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build().unwrap();
        runtime.block_on(async {
            let tools = mcp.connect().await.unwrap();
            let chat = Chat::on(&store, &tools, |layer| layer);
            let mut reader = chat.start("a", &call(name, &json!({}))).await;
            reader.until("input_request").await
        })
    });
    (first.await.unwrap(), second)
}

async fn mcp(scene: &mut Scene, approved: bool) -> unbroken_mcp::Mcp {
    let mcp = scene.mcp().await;
    if approved {
        mcp.approve_destructive()
    } else {
        mcp
    }
}

async fn a_question_is_answered_after_a_takeover() {
    for mut scene in all_ways() {
        let way = scene.way;
        let (asked, chat) = killed_while_it_asks(&mut scene, false, "book").await;
        scene.until("run book", 2).await;
        let answered = chat.answer("a", &input(&asked), &accept("A")).await;
        assert_eq!(answered, 202, "{way}");
        let events = chat.read("a").await.whole().await;
        assert_eq!(of(&events, "input_request").len(), 1, "{way}: asked once");
        assert_eq!(result(&events), "done with A", "{way}");
        assert_eq!(
            (scene.times("run book"), scene.times("book with A")),
            (2, 1),
            "{way}"
        );
    }
}

async fn a_tool_that_must_not_run_twice_is_not_called_again_after_a_takeover() {
    for mut scene in all_ways() {
        let way = scene.way;
        let (asked, chat) = killed_while_it_asks(&mut scene, false, "pay").await;
        let events = chat.read("a").await.whole().await;
        assert!(error(&events).contains("unknown"), "{way}: {events:?}");
        assert_eq!(of(&events, "text").len(), 1, "{way}: the model is told");
        let late = chat.answer("a", &input(&asked), &accept("A")).await;
        assert_eq!(late, 409, "{way}");
        assert_eq!(
            (scene.times("run pay"), scene.times("pay with A")),
            (1, 0),
            "{way}"
        );
    }
}

async fn an_approval_is_given_after_a_takeover() {
    for mut scene in all_ways() {
        let way = scene.way;
        let (asked, chat) = killed_while_it_asks(&mut scene, true, "act").await;
        assert_eq!(asked["kind"], "approval", "{way}");
        let accept = json!({"action": "accept"});
        assert_eq!(
            chat.answer("a", &input(&asked), &accept).await,
            202,
            "{way}"
        );
        let events = chat.read("a").await.whole().await;
        assert_eq!(result(&events), "act done", "{way}");
        assert_eq!(scene.times("run act"), 1, "{way}");
    }
}
