use serde_json::{Value, json};

use super::{Chats, again, says};

/// A chat of two turns.
async fn two_turns() -> Chats {
    let chats = Chats::new().await;
    chats.answered(&says("m1", "Hi"), "Hello").await;
    chats.answered(&says("m2", "And?"), "No more").await;
    chats.table.has(2).await;
    chats
}

fn answer(chats: &Chats, number: u64) -> String {
    let rows = chats.table.rows();
    let row = rows.iter().find(|row| row.number == number).unwrap();
    row.session.to_string()
}

#[tokio::test]
async fn another_answer_replaces_the_former_and_what_follows() {
    let chats = two_turns().await;
    let got = chats.answered(&again(says("m2", "And?")), "Second").await;
    assert_eq!(got, ["user: Hi", "assistant: Hello", "user: And?"]);
    chats.table.has(3).await;
    let expected = [
        "user: Hi",
        "assistant: Hello",
        "user: And?",
        "assistant: Second",
    ];
    assert_eq!(chats.page().await, expected);
    let got = chats.answered(&again(says("m1", "Hi")), "Anew").await;
    assert_eq!(got, ["user: Hi"]);
    assert_eq!(chats.page().await, ["user: Hi", "assistant: Anew"]);
}

#[tokio::test]
async fn another_answer_is_asked_for_by_the_id_of_a_message_or_for_the_last() {
    let named = |id: Option<&str>| {
        let mut body = json!({"id": "c", "trigger": "regenerate-message"});
        if let Some(id) = id {
            body["messageId"] = id.into();
        }
        body
    };
    let chats = two_turns().await;
    let whole = ["user: Hi", "assistant: Hello", "user: And?"];
    assert_eq!(chats.answered(&named(None), "3").await, whole);
    chats.table.has(3).await;
    let third = answer(&chats, 3);
    assert_eq!(chats.answered(&named(Some(&third)), "4").await, whole);
    assert_eq!(chats.answered(&named(Some("m2")), "5").await, whole);
    chats.table.has(5).await;
    let first = answer(&chats, 1);
    assert_eq!(
        chats.answered(&named(Some(&first)), "6").await,
        ["user: Hi"]
    );
    assert_eq!(chats.page().await, ["user: Hi", "assistant: 6"]);
}

#[tokio::test]
async fn an_edited_message_drops_what_follows_it() {
    let chats = two_turns().await;
    let got = chats.answered(&says("m1", "Hey"), "Hey yourself").await;
    assert_eq!(got, ["user: Hey"]);
    assert_eq!(chats.page().await, ["user: Hey", "assistant: Hey yourself"]);
    let got = chats.answered(&says("m3", "So?"), "So").await;
    assert_eq!(got, ["user: Hey", "assistant: Hey yourself", "user: So?"]);
}

#[tokio::test]
async fn a_message_that_is_edited_back_gets_an_answer_of_its_own() {
    let edited = |text: &str| -> Value {
        let mut body = says("m1", text);
        body["messageId"] = "m1".into();
        body
    };
    let chats = Chats::new().await;
    for (text, answer) in [("a", "1"), ("b", "2"), ("a", "3"), ("b", "4")] {
        assert_eq!(
            chats.answered(&edited(text), answer).await,
            [format!("user: {text}")]
        );
        let page = [format!("user: {text}"), format!("assistant: {answer}")];
        assert_eq!(chats.page().await, page);
    }
    // The control: repeated without an edit between, it is the same request.
    let repeated = chats.send(&edited("b")).await.whole().await;
    assert_eq!(repeated.status(), 200);
    assert!(
        repeated.text().contains("\"delta\":\"4\""),
        "{}",
        repeated.text()
    );
    assert!(chats.calls.none().await);
}

#[tokio::test]
async fn a_request_that_is_repeated_while_its_answer_runs_attaches() {
    let chats = two_turns().await;
    for body in [
        says("m3", "More"),
        again(says("m3", "More")),
        again(json!({"id": "c", "messageId": "m1"})),
    ] {
        let (answer, call) = chats.running(&body).await;
        let repeated = chats.send(&body).await;
        assert_eq!(
            repeated.header("x-session-id"),
            answer.header("x-session-id")
        );
        call.say("Yes");
        drop(call);
        for answer in [answer, repeated] {
            assert!(answer.whole().await.text().contains("Yes"));
        }
        assert!(chats.calls.none().await);
    }
}

#[tokio::test]
async fn a_message_that_comes_once_more_after_others_drops_nothing() {
    let chats = two_turns().await;
    let refused = chats.refused(&says("m1", "Hi")).await;
    assert_eq!(refused.status(), 409);
    let detail = refused.json()["detail"].to_string();
    assert!(detail.contains("`messageId` to edit it"), "{detail}");
    assert!(chats.calls.none().await);
    assert_eq!(chats.page().await.len(), 4);
    // The control.
    let mut edit = says("m1", "Hi");
    edit["messageId"] = "m1".into();
    assert_eq!(chats.answered(&edit, "Anew").await, ["user: Hi"]);
    assert_eq!(chats.page().await, ["user: Hi", "assistant: Anew"]);
}
