//! What is read again over another connection goes back to the server as it needs it.

use unbroken::chat::Message;

use super::{
    background::{delta, done, hi},
    server::{Rules, Server},
    *,
};

/// A turn with reasoning, a search that belongs to it, and text.
fn searched() -> Vec<Value> {
    let mut search = done(
        json!({"id": "ws_1", "type": "web_search_call", "status": "completed",
        "action": {"type": "search", "query": "noon", "sources": [{"type": "url", "url": "https://a.b/c"}]}}),
    );
    search["output_index"] = json!(1);
    let mut text = delta("Noon.");
    text["output_index"] = json!(2);
    vec![
        done(json!({"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "gA"})),
        search,
        text,
    ]
}

#[tokio::test]
async fn reasoning_that_is_read_again_can_be_handed_back() {
    // By its content, or by the id of what the server keeps.
    for encrypted in [true, false] {
        let rules = Rules {
            cut: Some(Box::new(|number| (number == 0).then_some(250))),
            ..Rules::default()
        };
        let server = Server::start(vec![searched()], rules).await;
        let provider = builder(server.base_url()).background(true);
        let provider = provider.encrypted_reasoning(encrypted).retries(0);
        let provider = provider.build().unwrap();
        let answer: Transcript = ask(&provider, hi()).await.unwrap().iter().collect();
        assert_eq!(server.reads().len(), 1);
        let mut next = answer.messages();
        next.push(Message::user("And then?"));
        ask(&provider, ChatRequest::new(next.clone()))
            .await
            .unwrap();
        {
            let counts = server.counts.lock().unwrap();
            let input = &counts.posts[1]["input"];
            assert_eq!(input[0]["id"], "rs_1", "{input}");
            assert_eq!(input[0]["encrypted_content"].is_string(), encrypted);
            assert_eq!(input[1]["type"], "web_search_call");
        }
        // A server that doesn't know the reasoning refuses the id.
        let other = Server::start(vec![searched()], Rules::default()).await;
        let of_other = builder(other.base_url()).retries(0).build().unwrap();
        let asked = ask(&of_other, ChatRequest::new(next)).await;
        assert_eq!(asked.is_ok(), encrypted);
    }
}
