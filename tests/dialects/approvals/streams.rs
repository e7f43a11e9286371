//! What a reader of a durable stream sees of a decision.

use unbroken::dialect::DurableStreams;

use super::*;

/// Returns the elements of a stream, as a page and as server-sent events.
async fn elements(streams: &Chat, session: &str) -> [Vec<Value>; 2] {
    let get = async |query: &str| {
        let path = format!("/{session}?offset=-1{query}");
        text(send(streams, "GET", &path, &Value::Null).await).await
    };
    let page = serde_json::from_str(&get("").await).unwrap();
    let live = get("&live=sse").await;
    let arrays = live.lines().filter_map(|it| it.strip_prefix("data:["));
    let arrays = arrays.map(|it| serde_json::from_str::<Vec<Value>>(&format!("[{it}")).unwrap());
    [page, arrays.flatten().collect()]
}

#[tokio::test]
async fn a_decision_is_an_element_of_a_durable_stream_by_the_same_option() {
    for (dialect, told) in [
        (AiSdk::new(), false),
        (AiSdk::new().approval_responses(true), true),
    ] {
        let dialect = DurableStreams::ui_messages(dialect);
        let (streams, native) = chats_of(&Sessions::in_memory(), dialect);
        let started = text(send(&streams, "POST", "/", &asking()).await).await;
        let started: Value = serde_json::from_str(&started).unwrap();
        let session = started["id"].as_str().unwrap();
        let asked = async || {
            let page = format!("/{session}?offset=-1");
            let page = text(send(&streams, "GET", &page, &Value::Null).await).await;
            let page: Vec<Value> = serde_json::from_str(&page).unwrap();
            let ids = page.iter().filter_map(|it| it["approvalId"].as_str());
            ids.map(str::to_owned).collect::<Vec<_>>()
        };
        while asked().await.len() < 2 {
            tokio::task::yield_now().await;
        }
        let asked = asked().await;
        decide(&native, session, &asked[0], "accept").await;
        decide(&native, session, &asked[1], "decline").await;
        while !events(&native, session).await.contains(r#""complete""#) {
            tokio::task::yield_now().await;
        }
        for elements in elements(&streams, session).await {
            let given = elements
                .iter()
                .filter(|it| it["type"] == "tool-approval-response");
            let mut given: Vec<_> = given
                .map(|it| (&it["approvalId"], &it["approved"]))
                .collect();
            given.sort_by_key(|(id, _)| *id != &asked[0]);
            let both = [
                (&json!(asked[0]), &json!(true)),
                (&json!(asked[1]), &json!(false)),
            ];
            assert_eq!(given, if told { &both[..] } else { &[] }, "{elements:?}");
            assert_eq!(elements.last().unwrap()["type"], "finish");
        }
    }
}
