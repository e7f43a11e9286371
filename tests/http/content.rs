//! Media and options of clients: what is closed is refused by name, what is open reaches the provider.

use serde_json::{Value, json};
use unbroken::{
    chat::{ChatEvent, ChatOptions, Media, ResponseFormat},
    durable::{ClientFields, ClientMedia},
    session::Sessions,
};

use crate::{
    client::{post, send},
    server::{MOUNT, driven, driven_with},
};

fn with_media(media: &Media) -> Value {
    let mut part = serde_json::to_value(media).unwrap();
    part["type"] = "media".into();
    json!({"messages": [{"role": "user", "content": [{"type": "text", "text": "This?"}, part]}]})
}

fn with_options(options: &Value) -> Value {
    json!({"messages": [{"role": "user", "content": "Hi"}], "options": options})
}

#[tokio::test]
async fn closed_media_and_options_are_refused_by_name_before_a_session_exists() {
    let (server, calls) = driven().await;
    let picture = with_media(&Media::new("image/png", b"PNG"));
    let warm = with_options(&json!({"temperature": 1}));
    for (body, words) in [
        (picture, ["`media`", "ClientFields::media"]),
        (warm, ["`options.temperature`", "ClientFields::temperature"]),
    ] {
        let refused = send(server.addr, post(MOUNT, &body)).await.whole().await;
        assert_eq!(refused.status(), 422);
        let problem = refused.json();
        assert_eq!(problem["type"], "urn:unbroken:not-open");
        for word in words {
            let detail = problem["detail"].as_str().unwrap();
            assert!(detail.contains(word), "{detail}");
        }
    }
    assert!(calls.none().await);
    assert_eq!(server.sessions.running(), 0);
}

#[tokio::test]
async fn open_media_reach_the_provider_byte_for_byte() {
    let (server, calls) = driven_with(Sessions::in_memory(), |layer| {
        let pictures = ClientMedia::of(["image/*"]);
        layer.client_fields(ClientFields::nothing().media(pictures))
    })
    .await;
    let bytes: Vec<u8> = (0..=255).collect();
    let picture = Media::new("image/png", &bytes).name("a.png");
    let answer = send(server.addr, post(MOUNT, &with_media(&picture))).await;
    assert_eq!(answer.status(), 200);
    let call = calls.next().await;
    let content = &call.request.messages[0].content;
    let media: Vec<_> = content.all_media().collect();
    assert_eq!(media, [&picture]);
    assert_eq!(media[0].to_bytes().unwrap(), bytes);
}

#[tokio::test]
async fn the_applications_options_are_defaults_and_open_ones_of_the_client_win() {
    let defaults = ChatOptions::new().temperature(0.25).seed(7);
    let (server, calls) = driven_with(Sessions::in_memory(), |layer| {
        let fields = ClientFields::nothing().temperature(0.0..=1.0);
        layer.options(defaults.clone()).client_fields(fields)
    })
    .await;
    for (sent, temperature) in [(json!({}), 0.25), (json!({"temperature": 1}), 1.0)] {
        let answer = send(server.addr, post(MOUNT, &with_options(&sent))).await;
        assert_eq!(answer.status(), 200);
        let options = calls.next().await.request.options;
        assert_eq!(options, defaults.clone().temperature(temperature));
    }
}

#[tokio::test]
async fn an_answer_that_does_not_fit_the_format_is_complete_and_says_where() {
    let schema = json!({"type": "object", "required": ["days"]});
    let format = ResponseFormat::json_schema("answer", schema);
    let (server, calls) = driven_with(Sessions::in_memory(), |layer| {
        layer.options(ChatOptions::new().response_format(format))
    })
    .await;
    for (text, mismatch) in [("{}", true), ("{\"days\": 3}", false)] {
        let answer = send(server.addr, post(MOUNT, &with_options(&json!({})))).await;
        let call = calls.next().await;
        call.say(text);
        call.event(ChatEvent::complete());
        drop(call);
        let answer = answer.whole().await;
        let whole = answer.text();
        let last: Value = serde_json::from_str(whole.lines().last().unwrap()).unwrap();
        assert_eq!(last["event"]["type"], "complete", "{whole}");
        let told = last["event"].get("mismatch").and_then(Value::as_str);
        assert_eq!(told.is_some(), mismatch, "{whole}");
        assert!(told.unwrap_or("days").contains("days"), "{whole}");
    }
}

#[test]
#[should_panic(expected = "`options.temperature` must be 0 to 2")]
fn an_option_of_the_application_that_is_out_of_its_range_panics() {
    let sessions = Sessions::in_memory();
    let _ = crate::server::layer(&sessions).options(ChatOptions::new().temperature(9.0));
}
