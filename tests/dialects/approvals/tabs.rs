//! What a tab hears of the decision that another one has made.

use super::*;

fn kinds(stream: &str) -> Vec<String> {
    let chunks = chunks(stream).into_iter();
    chunks
        .map(|it| it["type"].as_str().unwrap().to_owned())
        .collect()
}

fn responses(stream: &str) -> Vec<(Value, Value)> {
    let chunks = chunks(stream).into_iter();
    let responses = chunks.filter(|it| it["type"] == "tool-approval-response");
    responses
        .map(|it| (it["approvalId"].clone(), it["approved"].clone()))
        .collect()
}

#[tokio::test]
async fn a_decision_is_a_chunk_of_its_own_by_option() {
    for (dialect, told) in [
        (AiSdk::new(), false),
        (AiSdk::new().approval_responses(true), true),
    ] {
        let (sdk, native) = chats_of(&Sessions::in_memory(), dialect);
        let (session, approvals) = start(&sdk).await;
        decide(&native, &session, &approvals[0], "accept").await;
        while !events(&native, &session).await.contains("tool_result") {
            tokio::task::yield_now().await;
        }
        let tab = text(send(&sdk, "GET", "/chat/stream", &Value::Null).await).await;
        let yes = vec![(json!(approvals[0]), json!(true))];
        assert_eq!(responses(&tab), if told { yes } else { vec![] }, "{tab}");
        assert!(tab.contains("tool-output-available"), "{tab}");
        decide(&native, &session, &approvals[1], "decline").await;
        while !events(&native, &session).await.contains(r#""complete""#) {
            tokio::task::yield_now().await;
        }
        // From the start, as a run: both decisions, each before the outcome of its call.
        let run = format!("/{session}~0/stream");
        let tab = text(send(&sdk, "GET", &run, &Value::Null).await).await;
        let both = vec![
            (json!(approvals[0]), json!(true)),
            (json!(approvals[1]), json!(false)),
        ];
        assert_eq!(responses(&tab), if told { both } else { vec![] }, "{tab}");
        let kinds = kinds(&tab);
        let at = |kind: &str| kinds.iter().position(|it| it == kind);
        assert!(at("tool-approval-response") < at("tool-output-available"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_question_that_nobody_answers_is_not_told_as_a_response() {
    let (sdk, _) = chats_of(
        &Sessions::in_memory(),
        AiSdk::new().approval_responses(true),
    );
    let (session, _) = start(&sdk).await;
    tokio::time::sleep(INPUT_TIMEOUT + Duration::from_secs(10)).await;
    let run = format!("/{session}~0/stream");
    let tab = text(send(&sdk, "GET", &run, &Value::Null).await).await;
    assert!(tab.contains("Done."), "{tab}");
    assert_eq!(responses(&tab), []);
}

/// A client whose approved call never got an outcome would send its response again at each end of a stream.
#[tokio::test]
async fn an_approved_call_that_was_stopped_has_an_error() {
    let pay = tool_fn("pay", "Pays.", |_: Value, _: Call| async move {
        std::future::pending::<()>().await;
        Ok("paid")
    });
    let model = provider_fn(|_: ChatRequest| {
        let pay = |id| ToolCall::new(id, "pay", json!({}));
        let asked = ChatEvent::tool_calls([pay("a"), pay("b")]);
        stream::iter([Ok::<_, ProviderError>(asked)])
    });
    let tools = Tools::new().with(pay.approved_if(|_| Some("Pay?".to_owned())));
    let provider = ToolLayer::new(tools).layer(model);
    let ann = OnlyTheOwner::new(|_: &mut Parts| Some(Owner::new("ann")));
    let layer = DurableLayer::new(Sessions::in_memory(), ann)
        .client_fields(ClientFields::nothing().history(64 * 1024))
        .dialect(AiSdk::new());
    let sdk = BoxCloneSyncService::new(layer.layer(provider));
    let (session, approvals) = start(&sdk).await;
    let reply = send(&sdk, "POST", "/", &approved(&session, &approvals)).await;
    assert_eq!(reply.status(), StatusCode::OK);
    send(&sdk, "POST", "/chat/stop", &Value::Null).await;
    let whole = text(reply).await;
    let chunks = chunks(&whole);
    let failed = |id: &str| {
        let of_call = |it: &&Value| it["type"] == "tool-output-error" && it["toolCallId"] == id;
        chunks.iter().filter(of_call).count()
    };
    assert_eq!((failed("a"), failed("b")), (1, 1), "{whole}");
    assert!(whole.contains(r#""type":"abort""#), "{whole}");
}
