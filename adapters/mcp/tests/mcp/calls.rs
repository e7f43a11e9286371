//! Tools are listed and called, over both transports and both versions of the protocol.

use libtest_mimic::Trial;
use serde_json::{Value, json};
use unbroken::tools::{Tools, client_tool};
use unbroken_mcp::{ConnectError, Mcp};

use crate::{
    chat::{Chat, error, of, result},
    scene::{Scene, Version, until},
    server::CHANGES,
    trials,
};

pub(crate) fn trials() -> impl IntoIterator<Item = Trial> {
    trials![
        tools_of_all_pages_are_called_over_both_transports,
        structured_results_are_checked_and_reach_the_model,
        errors_of_a_tool_reach_the_model,
        progress_reaches_the_client,
        a_long_text_of_a_progress_is_cut,
        a_list_that_does_not_come_stops_no_other_call,
        an_abort_is_seen_by_the_server,
        a_changed_list_is_in_the_next_answer,
        a_burst_of_changes_lists_the_tools_a_few_times,
        names_get_a_prefix_and_are_refused_if_models_can_not_take_them,
        an_approval_is_asked_for_what_may_destroy,
        a_result_over_a_limit_is_an_error_that_names_it,
        a_server_that_is_absent_is_an_error,
    ]
}

/// Returns a scene of each way to reach the server.
pub(crate) fn all_ways() -> Vec<Scene> {
    let both = [Version::New, Version::Former];
    let ways = both
        .into_iter()
        .flat_map(|version| [Scene::stdio(version), Scene::http(version)]);
    ways.collect()
}

pub(crate) fn call(name: &str, arguments: &Value) -> Value {
    json!([{"name": name, "arguments": arguments}])
}

async fn tools_of_all_pages_are_called_over_both_transports() {
    for mut scene in all_ways() {
        let tools = scene.mcp().await.connect().await.unwrap();
        let way = scene.way;
        assert_eq!(tools.tools().names().count(), 12, "{way}");
        let chat = Chat::new(&tools);
        let events = chat.whole("a", &call("echo", &json!({"text": "Hi"}))).await;
        assert_eq!(result(&events), "Hi", "{way}");
        assert_eq!(of(&events, "text")[0]["content"], "Got: Hi");
        assert_eq!(scene.times("run echo"), 1);
        let unfit = chat
            .whole("unfit", &call("echo", &json!({"text": 7})))
            .await;
        assert!(error(&unfit).contains("/text"), "{unfit:?}");
        assert_eq!(scene.times("run echo"), 1, "a schema as it is");
    }
}

async fn structured_results_are_checked_and_reach_the_model() {
    for mut scene in all_ways() {
        let tools = scene.mcp().await.connect().await.unwrap();
        let way = scene.way;
        let chat = Chat::new(&tools);
        let events = chat.whole("a", &call("weather", &json!({}))).await;
        assert_eq!(result(&events), "A cold day.\n{\"celsius\":3.5}", "{way}");
        let wrong = chat
            .whole("wrong", &call("weather", &json!({"wrong": true})))
            .await;
        assert!(error(&wrong).contains("/celsius"), "{wrong:?}");
    }
}

async fn errors_of_a_tool_reach_the_model() {
    for mut scene in all_ways() {
        let tools = scene.mcp().await.connect().await.unwrap();
        let way = scene.way;
        let chat = Chat::new(&tools);
        let events = chat.whole("a", &call("fail", &json!({}))).await;
        assert_eq!(error(&events), "the disk is full", "{way}");
        assert_eq!(
            of(&events, "text")[0]["content"],
            "Got: Error: the disk is full"
        );
    }
}

async fn progress_reaches_the_client() {
    for mut scene in all_ways() {
        let tools = scene.mcp().await.connect().await.unwrap();
        let way = scene.way;
        let chat = Chat::new(&tools);
        let mut reader = chat.start("a", &call("slow", &json!({}))).await;
        loop {
            let step = |event: &Value| event["progress"] == 3.0;
            if let Some(event) = reader.events().iter().find(|event| step(event)) {
                assert_eq!(event["type"], "tool_progress");
                assert_eq!(event["id"], "1");
                assert_eq!(event["message"], "step 3");
                assert_eq!(event["total"], 3.0);
                break;
            }
            reader.more().await;
        }
        let events = reader.events();
        let steps: Vec<_> = of(&events, "tool_progress")
            .iter()
            .filter_map(|it| it["progress"].as_f64())
            .collect();
        assert!(steps.is_sorted(), "{way}: {steps:?}");
    }
}

async fn a_long_text_of_a_progress_is_cut() {
    for mut scene in all_ways() {
        let tools = scene.mcp().await.connect().await.unwrap();
        let way = scene.way;
        scene.set("loud");
        let chat = Chat::new(&tools);
        let mut reader = chat.start("a", &call("slow", &json!({}))).await;
        let step = reader.until("tool_progress").await;
        let text = step["message"].as_str().unwrap();
        assert!(text.starts_with("xxx") && text.ends_with('…'), "{way}");
        assert!(text.len() <= 1024, "{way}: {}", text.len());
        chat.abort("a").await;
        let events = reader.whole().await;
        assert_eq!(events.last().unwrap()["type"], "aborted", "{way}");
    }
}

async fn a_list_that_does_not_come_stops_no_other_call() {
    let scene = Scene::stdio(Version::Former);
    let chat = Chat::new(&scene.program().connect().await.unwrap());
    scene.set("mute");
    chat.whole("changed", &call("grow", &json!({}))).await;
    scene.until("mute", 1).await;
    scene.unset("mute");
    // It has the one process, so that the next call starts another, which lists its tools.
    scene.set("hang");
    let reader = chat.start("a", &call("act", &json!({}))).await;
    scene.until("run act", 1).await;
    let events = chat.whole("b", &call("echo", &json!({"text": "Hi"}))).await;
    assert_eq!(result(&events), "Hi");
    chat.abort("a").await;
    reader.whole().await;
}

async fn an_abort_is_seen_by_the_server() {
    for mut scene in all_ways() {
        let tools = scene.mcp().await.connect().await.unwrap();
        let way = scene.way;
        let chat = Chat::new(&tools);
        let mut reader = chat.start("a", &call("slow", &json!({}))).await;
        reader.until("tool_progress").await;
        scene.until("run slow", 1).await;
        assert_eq!(scene.times("cancelled slow"), 0, "{way}");
        chat.abort("a").await;
        scene.until("cancelled slow", 1).await;
        let events = reader.whole().await;
        assert_eq!(events.last().unwrap()["type"], "aborted");
        // The server is there for the next call.
        let events = chat
            .whole("next", &call("echo", &json!({"text": "Hi"})))
            .await;
        assert_eq!(result(&events), "Hi", "{way}");
    }
}

async fn a_changed_list_is_in_the_next_answer() {
    for mut scene in all_ways() {
        let tools = scene.mcp().await.connect().await.unwrap();
        let way = scene.way;
        let chat = Chat::new(&tools);
        let first = chat.whole("a", &call("grow", &json!({}))).await;
        let offered = || {
            let asked = chat.asked.lock().unwrap();
            asked
                .last()
                .unwrap()
                .tools
                .iter()
                .any(|tool| tool.name == "grown")
        };
        assert!(!offered(), "{way}: an answer keeps its tools");
        until(&format!("{way}: the list is renewed"), async || {
            tools.tools().names().any(|name| name == "grown")
        })
        .await;
        let next = chat
            .whole("next", &call("echo", &json!({"text": "Hi"})))
            .await;
        assert!(offered(), "{way}");
        let declared = |events: &[Value]| {
            let tools = &events[0]["capabilities"]["tools"];
            tools.as_array().unwrap().contains(&json!("grown"))
        };
        assert!(!declared(&first) && declared(&next), "{way}: {next:?}");
    }
}

async fn a_burst_of_changes_lists_the_tools_a_few_times() {
    for mut scene in all_ways() {
        let tools = scene.mcp().await.connect().await.unwrap();
        let way = scene.way;
        let chat = Chat::new(&tools);
        let before = scene.times("list");
        scene.set("burst");
        scene.set("hold");
        chat.whole("a", &call("grow", &json!({}))).await;
        scene.until("told", 1).await;
        scene.until("list", before + 1).await;
        scene.unset("hold");
        until(&format!("{way}: the list is renewed"), async || {
            tools.tools().names().any(|name| name == "grown")
        })
        .await;
        scene.until("list", before + 2).await;
        // The client has all changes before the first result, and the server reads the second call after all
        // that the client sent at them.
        for id in ["b", "c"] {
            chat.whole(id, &call("echo", &json!({"text": "Hi"}))).await;
        }
        // One for the first change, and one for all that came meanwhile; more if some came late.
        let times = scene.times("list") - before;
        assert!(times < CHANGES / 10, "{way}: {times}");
        // And the next change is heard of.
        scene.set("more");
        chat.whole("d", &call("grow", &json!({}))).await;
        until(&format!("{way}: the list is renewed again"), async || {
            tools.tools().names().any(|name| name == "more")
        })
        .await;
    }
}

async fn names_get_a_prefix_and_are_refused_if_models_can_not_take_them() {
    let scene = Scene::stdio(Version::New);
    let server = || scene.program();
    let tools = server()
        .prefix("my_")
        .only(["echo", "pid"])
        .connect()
        .await
        .unwrap();
    let both = tools.tools();
    assert_eq!(both.names().collect::<Vec<_>>(), ["my_echo", "my_pid"]);
    let events = Chat::new(&tools)
        .whole("a", &call("my_echo", &json!({"text": "Hi"})))
        .await;
    assert_eq!(result(&events), "Hi");

    let mut mine = Tools::new().with(client_tool("my_pid", "", json!({})));
    let taken = mine.extend(&both).unwrap_err().to_string();
    assert!(taken.contains("my_pid"), "{taken}");

    let refused = server().prefix("my/").connect().await.unwrap_err();
    assert!(matches!(refused, ConnectError::Tool(_)), "{refused:?}");
    let refused = server().only(["echo", "none"]).connect().await.unwrap_err();
    assert!(
        matches!(&refused, ConnectError::Absent { name } if name == "none"),
        "{refused:?}"
    );
}

async fn an_approval_is_asked_for_what_may_destroy() {
    let scene = Scene::stdio(Version::New);
    let tools = scene
        .program()
        .approve_destructive()
        .connect()
        .await
        .unwrap();
    let chat = Chat::new(&tools);
    for (name, id) in [("act", "a"), ("look", "b")] {
        let destroys = name == "act";
        let mut reader = chat.start(id, &call(name, &json!({}))).await;
        if destroys {
            let asked = reader.until("input_request").await;
            assert_eq!(
                (&asked["kind"], &asked["toolName"]),
                (&json!("approval"), &json!("act"))
            );
            assert_eq!(scene.times("run act"), 0);
            let input = asked["inputId"].as_str().unwrap();
            assert_eq!(
                chat.answer(id, input, &json!({"action": "accept"})).await,
                202
            );
        }
        let events = reader.whole().await;
        assert_eq!(of(&events, "input_request").len(), usize::from(destroys));
        assert_eq!(result(&events), format!("{name} done"));
        assert_eq!(scene.times(&format!("run {name}")), 1);
    }
}

async fn a_result_over_a_limit_is_an_error_that_names_it() {
    for mut scene in all_ways() {
        let mcp = scene.mcp().await.message_bytes(50_000);
        let chat = Chat::new(&mcp.connect().await.unwrap());
        let events = chat
            .whole("a", &call("huge", &json!({"bytes": 60_000})))
            .await;
        let way = scene.way;
        assert!(error(&events).contains("50000 bytes"), "{way}: {events:?}");
        let next = chat
            .whole("next", &call("huge", &json!({"bytes": 9})))
            .await;
        assert_eq!(result(&next), "xxxxxxxxx", "{way}");
    }
}

async fn a_server_that_is_absent_is_an_error() {
    let absent = Mcp::stdio(tokio::process::Command::new("/no/such/program"));
    assert!(matches!(
        absent.connect().await.unwrap_err(),
        ConnectError::Start(_)
    ));
    let deaf = Mcp::http("http://127.0.0.1:1/mcp")
        .connect()
        .await
        .unwrap_err();
    assert!(matches!(deaf, ConnectError::Handshake(_)), "{deaf:?}");
    let header = Mcp::http("http://127.0.0.1:1/mcp")
        .header("a b", "c")
        .connect()
        .await;
    let header = header.unwrap_err();
    assert!(
        matches!(&header, ConnectError::Header { name } if name == "a b"),
        "{header:?}"
    );
    let mut silent = tokio::process::Command::new("sleep");
    silent.arg("1000");
    let within = std::time::Duration::from_millis(300);
    let silent = Mcp::stdio(silent)
        .connect_timeout(within)
        .connect()
        .await
        .unwrap_err();
    assert!(
        matches!(silent, ConnectError::TimedOut { .. }),
        "{silent:?}"
    );
}
