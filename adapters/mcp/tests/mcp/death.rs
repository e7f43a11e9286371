//! A server that dies, and comes back.

use libtest_mimic::Trial;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::{
    calls::call,
    chat::{Chat, error, of, result},
    scene::{Scene, Version, until},
    trials,
};

pub(crate) fn trials() -> impl IntoIterator<Item = Trial> {
    trials![
        a_call_that_a_dying_server_had_has_an_unknown_outcome,
        a_call_that_may_run_twice_is_sent_to_the_server_that_comes_back,
        a_server_that_died_between_calls_is_started_again,
        a_question_of_a_server_that_dies_is_asked_once,
        a_call_that_may_have_run_is_said_to_be_unknown_if_no_server_comes_back,
        a_call_that_asked_does_not_begin_again,
        a_program_ends_with_those_that_it_started,
        a_program_whose_call_was_aborted_ends,
    ]
}

fn programs() -> [Scene; 2] {
    [Version::New, Version::Former].map(Scene::stdio)
}

/// Returns a chat, and the id of the process that its next call goes to.
async fn begin(scene: &Scene) -> (Chat, i32) {
    let chat = Chat::new(&scene.program().connect().await.unwrap());
    let pid = pid(&chat, "pid").await;
    (chat, pid)
}

async fn pid(chat: &Chat, id: &str) -> i32 {
    let events = chat.whole(id, &call("pid", &json!({}))).await;
    result(&events).parse().unwrap()
}

fn kill(pid: i32) {
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
}

async fn a_call_that_a_dying_server_had_has_an_unknown_outcome() {
    for scene in programs() {
        let way = scene.way;
        let (chat, first) = begin(&scene).await;
        scene.set("hang");
        let reader = chat.start("a", &call("act", &json!({}))).await;
        scene.until("run act", 1).await;
        kill(first);
        let events = reader.whole().await;
        assert!(error(&events).contains("unknown"), "{way}: {events:?}");
        assert_eq!(scene.times("run act"), 1, "{way}");
        // The model asks again: that is another call.
        scene.unset("hang");
        let events = chat.whole("next", &call("act", &json!({}))).await;
        assert_eq!(result(&events), "act done", "{way}");
        assert_eq!(scene.times("run act"), 2, "{way}");
        assert_ne!(pid(&chat, "other").await, first);
    }
}

async fn a_call_that_may_run_twice_is_sent_to_the_server_that_comes_back() {
    for scene in programs() {
        let way = scene.way;
        let (chat, first) = begin(&scene).await;
        scene.set("hang");
        let reader = chat.start("a", &call("look", &json!({}))).await;
        scene.until("run look", 1).await;
        scene.unset("hang");
        kill(first);
        let events = reader.whole().await;
        assert_eq!(result(&events), "look done", "{way}");
        assert_eq!(scene.times("run look"), 2, "{way}");
    }
}

async fn a_server_that_died_between_calls_is_started_again() {
    for scene in programs() {
        let way = scene.way;
        let (chat, first) = begin(&scene).await;
        kill(first);
        // Whether or not the end of the connection has been seen yet.
        let events = chat.whole("a", &call("act", &json!({}))).await;
        let ran = of(&events, "tool_result").len();
        assert_eq!(scene.times("run act"), ran, "{way}: {events:?}");
        let events = chat.whole("b", &call("act", &json!({}))).await;
        assert_eq!(result(&events), "act done", "{way}");
        assert_eq!(scene.times("run act"), ran + 1, "{way}");
    }
}

async fn a_question_of_a_server_that_dies_is_asked_once() {
    for scene in programs() {
        let way = scene.way;
        let (chat, first) = begin(&scene).await;
        let mut reader = chat.start("a", &call("book", &json!({}))).await;
        let asked = reader.until("input_request").await;
        if scene.way.contains("former") {
            // The new version has no call open while it waits.
            kill(first);
            scene.until("run book", 2).await;
        }
        let input = asked["inputId"].as_str().unwrap();
        let answer: Value = json!({"action": "accept", "content": {"account": "A"}});
        assert_eq!(chat.answer("a", input, &answer).await, 202, "{way}");
        let events = reader.whole().await;
        assert_eq!(result(&events), "done with A", "{way}");
        assert_eq!(of(&events, "input_request").len(), 1, "{way}");
        assert_eq!(scene.times("book with A"), 1, "{way}");
    }
}

async fn a_call_that_may_have_run_is_said_to_be_unknown_if_no_server_comes_back() {
    for scene in programs() {
        let way = scene.way;
        let (chat, first) = begin(&scene).await;
        scene.set("hang");
        let reader = chat.start("a", &call("look", &json!({}))).await;
        scene.until("run look", 1).await;
        scene.set("dead");
        kill(first);
        let events = reader.whole().await;
        let told = error(&events);
        assert!(told.contains("unknown"), "{way}: {told}");
        assert!(!told.contains("nothing was run"), "{way}: {told}");
    }
}

async fn a_call_that_asked_does_not_begin_again() {
    let scene = Scene::stdio(Version::New);
    let (chat, first) = begin(&scene).await;
    let mut reader = chat.start("a", &call("pay", &json!({}))).await;
    let asked = reader.until("input_request").await;
    kill(first);
    let input = asked["inputId"].as_str().unwrap();
    let answer = json!({"action": "accept", "content": {"account": "A"}});
    assert_eq!(chat.answer("a", input, &answer).await, 202);
    let events = reader.whole().await;
    assert_eq!(of(&events, "input_request").len(), 1, "{events:?}");
    assert_eq!(scene.times("run pay"), 1, "{events:?}");
}

async fn a_program_ends_with_those_that_it_started() {
    let scene = Scene::stdio(Version::New);
    let tools = scene.program_with_another().connect().await.unwrap();
    let other = scene.read("other").trim().to_owned();
    assert!(runs(&other));
    drop(tools);
    until("the other program has ended", async || !runs(&other)).await;
}

async fn a_program_whose_call_was_aborted_ends() {
    let scene = Scene::stdio(Version::Former);
    let (chat, first) = begin(&scene).await;
    let mut reader = chat.start("a", &call("slow", &json!({}))).await;
    reader.until("tool_progress").await;
    chat.abort("a").await;
    let first = first.to_string();
    until("the program has ended", async || !runs(&first)).await;
}

/// Returns true if a process is there that has not ended.
fn runs(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}
