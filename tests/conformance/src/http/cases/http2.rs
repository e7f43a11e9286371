use serde_json::json;
use tokio::task::JoinSet;

use crate::{
    http::{fixture::HttpFixture, request::TestRequest},
    report::{CaseResult, CaseStop, ensure_eq},
};

fn require_http2(server: &HttpFixture) -> CaseResult {
    if server.target.http2 {
        Ok(())
    } else {
        Err(CaseStop::NotApplicable(
            "HTTP/1.1 has a connection for each stream".into(),
        ))
    }
}

pub(crate) async fn a_stuck_stream_blocks_no_other_of_its_connection(
    server: HttpFixture,
) -> CaseResult {
    require_http2(&server)?;
    // More bytes than the window of a stream, fewer than the connection's.
    let long = json!({"tokens": 60_000, "delayMs": 0});
    let stuck = server.expect(TestRequest::script(&long), 200).await?;
    let mut others = JoinSet::new();
    for _ in 0..20 {
        let server = server.clone();
        others.spawn(async move {
            let script = json!({"tokens": 20, "delayMs": 3});
            server.read_to_end(TestRequest::script(&script)).await
        });
    }
    while let Some(other) = others.join_next().await {
        let other = other.map_err(|error| CaseStop::Failed(error.to_string()))??;
        ensure_eq!(other.events.len(), 22, "events beside a stuck stream");
    }
    ensure_eq!(
        stuck.read_to_end().await?.events.len(),
        60_002,
        "events of the stuck stream"
    );
    Ok(())
}

pub(crate) async fn a_cancelled_stream_ends_no_other_of_its_connection(
    server: HttpFixture,
) -> CaseResult {
    require_http2(&server)?;
    let script = json!({"tokens": 30, "delayMs": 5});
    let mut remaining = server.expect(TestRequest::script(&script), 200).await?;
    for _ in 0..20 {
        let mut cancelled = server.expect(TestRequest::script(&script), 200).await?;
        cancelled.events(2).await?;
        drop(cancelled);
    }
    remaining.events(3).await?;
    let full = remaining.read_to_end().await?;
    ensure_eq!(full.ending()["type"], "complete", "the ending");
    Ok(())
}
