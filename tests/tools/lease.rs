//! A server that can't reach its store any more while tools run.

use std::time::Duration;

use serde_json::json;
use tower::layer::Layer;
use unbroken::{
    chat::{Capabilities, ChatEvent},
    durable::ProviderSource,
    log::{Digest, Position, ServiceName, SessionId},
    session::{SessionSpec, Sessions},
    store::{Memory, Store, Token},
    tools::ToolLayer,
};
use unbroken_conformance::FaultStore;

use crate::support::{Counted, Model, call, request};

const LEASE: Duration = Duration::from_secs(10);

#[tokio::test(start_paused = true)]
async fn past_its_lease_a_server_calls_no_model_and_starts_no_tool() {
    for taken_over in [false, true] {
        let store = FaultStore::new(Memory::new());
        let faults = store.faults().clone();
        let sessions = Sessions::builder(store.clone()).lease(LEASE).build();
        let counted = Counted::default();
        // Two at once; the second ends in the middle of the outage, and the third could begin.
        let calls = [60, 30, 1].map(|seconds| json!({"seconds": seconds}));
        let ids = ["1", "2", "3"];
        let calls = ids.into_iter().zip(calls);
        let model = Model::calling(calls.map(|(id, seconds)| call(id, "wait", seconds)));
        let layer = ToolLayer::new(counted.tools())
            .parallel(2)
            .timeout(Duration::from_secs(600));
        let source = ProviderSource::new(layer.layer(model.provider()), request());
        let first = ChatEvent::session_info(Capabilities::new()).to_json();
        let id = SessionId::random();
        let start = SessionSpec::new(
            id.clone(),
            ServiceName::new("test"),
            Digest([0; 32]),
            first.freeze(),
        );
        let permit = sessions.permit(None).unwrap();
        let started = sessions.start(permit, start, source).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(counted.started(), 2);

        faults.outage(true);
        tokio::time::sleep(Duration::from_secs(200)).await;
        assert_eq!((model.times(), counted.started()), (1, 2), "past its lease");
        if taken_over {
            let page = store.inner().read(&id, Position::START, 1).await.unwrap();
            let seen = page.state.epoch;
            let claim = store.inner().claim(&id, seen, Token::random(), 100 * LEASE);
            claim.await.unwrap();
        }
        faults.outage(false);
        tokio::time::sleep(Duration::from_secs(200)).await;
        if taken_over {
            assert_eq!((model.times(), counted.started()), (1, 2), "another has it");
            continue;
        }
        assert_eq!((model.times(), counted.started()), (2, 3), "it goes on");
        let mut reader = started.session.reader(Position::START).await.unwrap();
        let mut records = 0;
        while let Some(batch) = reader.next().await {
            records += batch.unwrap().chunk().records().count();
        }
        // The first, the calls, the end of the turn, three results, the text, the end.
        assert_eq!(records, 8);
    }
}
