//! Our server is lost or handed over, and another one reads on by the log alone.

use std::time::Duration;

use tower::Layer;
use unbroken::{
    access::AnyoneWithTheId,
    durable::{DurableLayer, Recovery},
    store::Memory,
};

use super::{
    outer::{ID, OuterServer, events_of, joined, provider, read, start, stored, when_stored},
    *,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_server_is_succeeded_after_any_event_and_the_model_is_called_once() {
    let each = (0..all_kinds().len()).map(|at| tokio::spawn(succeeded_after(at)));
    for done in futures_util::future::join_all(each).await {
        done.unwrap();
    }
}

async fn succeeded_after(at: usize) {
    let events = all_kinds();
    let model = GatedModel::new(events.clone());
    model.open(at);
    let server = InnerServer::start(mounted(Sessions::in_memory(), model.provider())).await;
    let store = Memory::new();
    let (first, second) = (OuterServer::new(&store), OuterServer::new(&store));
    let recovery = Recovery::new().reattach();
    first.send(provider(&server), recovery.clone(), start());
    when_stored(&store, at).await;
    // The place is there before the first event.
    while !stored(&store)
        .await
        .iter()
        .any(|event| event["of"] == "stream")
    {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    drop(first);
    // It goes on meanwhile.
    model.open(usize::MAX);
    let log = second
        .send(provider(&server), recovery, read())
        .await
        .unwrap();
    assert_eq!(joined(events_of(&log)), told(&events), "{at}: {log}");
    assert_eq!((model.calls(), server.count("POST", "")), (1, 1), "{at}");
    assert_eq!(server.reads().len(), 1, "{at}");
    // No line of the log tells clients where it is.
    assert!(!log.contains("\"session\""), "{log}");
}

#[tokio::test]
async fn a_server_that_shuts_down_hands_the_answer_over() {
    let model = GatedModel::new(all_kinds());
    model.open(7);
    let server = InnerServer::start(mounted(Sessions::in_memory(), model.provider())).await;
    let store = Memory::new();
    let recovery = Recovery::new().reattach();
    let leaving = Sessions::builder(store.clone()).build();
    let layer = |sessions: &Sessions| {
        let layer = DurableLayer::new(sessions.clone(), AnyoneWithTheId::new());
        layer.recovery(recovery.clone())
    };
    let chat = layer(&leaving).layer(provider(&server));
    let response = chat.oneshot(start()).await.unwrap();
    when_stored(&store, 7).await;
    leaving.shutdown(Duration::ZERO).await;
    drop(response);

    let staying = Sessions::builder(store.clone()).build();
    let chat = layer(&staying).layer(provider(&server));
    let response = chat.oneshot(read()).await.unwrap();
    model.open(usize::MAX);
    let log = super::outer::body(response).await;
    assert_eq!(joined(events_of(&log)), told(&all_kinds()), "{log}");
    assert_eq!((model.calls(), server.count("POST", "/abort")), (1, 0));
    assert_eq!(server.reads().len(), 1);
}

#[tokio::test]
async fn a_long_answer_leaves_places_and_is_not_read_from_its_beginning() {
    let events: Vec<_> = (0..400)
        .map(|at| ChatEvent::text(format!("{at} ")))
        .collect();
    let model = GatedModel::new(events.clone());
    model.open(300);
    let server = InnerServer::start(mounted(Sessions::in_memory(), model.provider())).await;
    let store = Memory::new();
    let recovery = Recovery::new().reattach();
    let (first, second) = (OuterServer::new(&store), OuterServer::new(&store));
    first.send(provider(&server), recovery.clone(), start());
    while !stored(&store)
        .await
        .iter()
        .any(|event| event["content"] == "299 ")
    {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    drop(first);
    model.open(usize::MAX);
    let log = second
        .send(provider(&server), recovery, read())
        .await
        .unwrap();
    let mut expected = events;
    expected.push(ChatEvent::complete());
    assert_eq!(joined(events_of(&log)), told(&expected));
    let reads = server.reads();
    assert!(reads.len() == 1 && reads[0] > 200, "{reads:?}");
}

#[tokio::test]
async fn an_answer_that_is_gone_is_declined_and_begins_anew_by_the_next_way() {
    for (again, ways) in [
        (false, Recovery::new().reattach()),
        (true, Recovery::new().reattach().restart()),
    ] {
        let model = GatedModel::new(all_kinds());
        model.open(4);
        let sessions = Sessions::in_memory();
        let server = InnerServer::start(mounted(sessions.clone(), model.provider())).await;
        let store = Memory::new();
        let (first, second) = (OuterServer::new(&store), OuterServer::new(&store));
        first.send(provider(&server), ways.clone(), start());
        when_stored(&store, 4).await;
        drop(first);
        let inner = server.seen()[0].headers["x-session-id"]
            .to_str()
            .unwrap()
            .to_owned();
        sessions.delete(&inner.parse().unwrap()).await.unwrap();
        model.open(usize::MAX);
        let log = second.send(provider(&server), ways, read()).await.unwrap();
        let events = events_of(&log);
        let last = events.last().unwrap();
        if again {
            let at = events
                .iter()
                .rposition(|it| it["type"] == "restarted")
                .unwrap();
            assert_eq!(joined(events[at + 1..].to_vec()), told(&all_kinds()));
            assert_eq!(model.calls(), 2);
        } else {
            assert_eq!(
                (&last["type"], &last["code"]),
                (&json!("error"), &json!("interrupted"))
            );
            assert!(
                last["message"]
                    .as_str()
                    .unwrap()
                    .contains("no longer has the answer"),
                "{last}"
            );
            assert_eq!(model.calls(), 1);
        }
        assert!(!log.contains(&inner) && ID.len() == 22);
    }
}

#[tokio::test]
async fn a_restart_attaches_to_the_answer_that_runs() {
    let model = GatedModel::new(all_kinds());
    model.open(4);
    let server = InnerServer::start(mounted(Sessions::in_memory(), model.provider())).await;
    let store = Memory::new();
    let (first, second) = (OuterServer::new(&store), OuterServer::new(&store));
    let ways = Recovery::new().restart();
    first.send(provider(&server), ways.clone(), start());
    when_stored(&store, 4).await;
    drop(first);
    model.open(usize::MAX);
    let log = second.send(provider(&server), ways, read()).await.unwrap();
    let events = events_of(&log);
    let at = events
        .iter()
        .rposition(|it| it["type"] == "restarted")
        .unwrap();
    assert_eq!(joined(events[at + 1..].to_vec()), told(&all_kinds()));
    assert_eq!(model.calls(), 1);
}
