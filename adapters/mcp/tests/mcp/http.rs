//! Answers of HTTP that are no answers of the protocol, and errors with an address.

use std::error::Error;

use libtest_mimic::Trial;
use serde_json::json;
use unbroken_mcp::Mcp;

use crate::{
    calls::call,
    chat::{Chat, error, of, result},
    scene::{EXPIRED, Scene, Version},
    trials,
};

pub(crate) fn trials() -> impl IntoIterator<Item = Trial> {
    trials![
        a_message_that_http_refuses_is_not_sent_again,
        a_session_that_expired_ends_no_other_call,
        an_error_has_no_address,
    ]
}

async fn a_message_that_http_refuses_is_not_sent_again() {
    for version in [Version::New, Version::Former] {
        let mut scene = Scene::http(version);
        let way = scene.way;
        let chat = Chat::new(&scene.mcp().await.connect().await.unwrap());
        let statuses = [
            (400, "nothing was run"),
            (429, "nothing was run"),
            (503, "unknown"),
        ];
        let mut times = 0;
        for (status, said) in statuses {
            times += 1;
            scene.refuse(status);
            let events = chat
                .whole(&format!("{status}"), &call("look", &json!({})))
                .await;
            let told = error(&events);
            assert!(told.contains(&status.to_string()), "{way}: {told}");
            assert!(told.contains(said), "{way}: {told}");
            assert_eq!(scene.times("refused"), times, "{way}: {status}");
            scene.accept();
            let events = chat
                .whole(&format!("after-{status}"), &call("look", &json!({})))
                .await;
            assert_eq!(result(&events), "look done", "{way}: {status}");
            assert_eq!(scene.times("run look"), times, "{way}: {status}");
        }
    }
}

async fn a_session_that_expired_ends_no_other_call() {
    let mut scene = Scene::http(Version::Former);
    let chat = Chat::new(&scene.mcp().await.connect().await.unwrap());
    scene.set("hang");
    let reader = chat.start("other", &call("act", &json!({}))).await;
    scene.until("run act", 1).await;
    scene.set(EXPIRED);
    let events = chat.whole("a", &call("echo", &json!({"text": "Hi"}))).await;
    assert_eq!(result(&events), "Hi", "it has a new session");
    assert_eq!(scene.times("refused"), 1);
    chat.abort("other").await;
    let events = reader.whole().await;
    assert_eq!(events.last().unwrap()["type"], "aborted", "{events:?}");
    assert!(of(&events, "tool_error").is_empty(), "{events:?}");
}

async fn an_error_has_no_address() {
    let deaf = Mcp::http("http://127.0.0.1:1/a-secret?key=a-secret");
    let deaf = deaf.connect().await.unwrap_err();
    // A server of another kind, whose page of errors repeats the address.
    let page = axum::Router::new().fallback(async |uri: axum::http::Uri| {
        (axum::http::StatusCode::NOT_FOUND, format!("no {uri}"))
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, page).await.unwrap() });
    let page = Mcp::http(format!("http://{address}/a-secret?key=a-secret"));
    let page = page.connect().await.unwrap_err();
    for error in [deaf, page] {
        let mut next: Option<&dyn Error> = Some(&error);
        while let Some(error) = next {
            let said = format!("{error} {error:?}");
            assert!(!said.contains("a-secret"), "{said}");
            next = error.source();
        }
    }
}
