use serde_json::json;
use tokio::task::JoinSet;

use crate::{
    http::{fixture::HttpFixture, request::TestRequest},
    report::{CaseStop, ensure_eq},
};

fn shared_connection(bed: &HttpFixture) -> Result<(), CaseStop> {
    if bed.target.http2 {
        Ok(())
    } else {
        Err(CaseStop::NotApplicable(
            "HTTP/1.1 has a connection for each stream".into(),
        ))
    }
}

pub(in crate::http) async fn one_stuck_stream_holds_up_no_other_of_its_connection(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    shared_connection(&bed)?;
    // More than a stream's window, less than the connection's.
    let long = json!({"tokens": 60_000, "delayMs": 0});
    let stuck = bed
        .send(TestRequest::script(&long))
        .await?
        .expect(200)
        .await?;
    let mut others = JoinSet::new();
    for _ in 0..20 {
        let bed = bed.clone();
        others.spawn(async move {
            let script = json!({"tokens": 20, "delayMs": 3});
            bed.whole(TestRequest::script(&script)).await
        });
    }
    while let Some(other) = others.join_next().await {
        let other = other.map_err(|error| CaseStop::Failed(error.to_string()))??;
        ensure_eq!(other.events.len(), 22, "events beside a stuck stream");
    }
    ensure_eq!(
        stuck.whole().await?.events.len(),
        60_002,
        "events of the stuck stream"
    );
    Ok(())
}

pub(in crate::http) async fn a_cancelled_stream_leaves_its_connection_alone(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    shared_connection(&bed)?;
    let script = json!({"tokens": 30, "delayMs": 5});
    let mut kept = bed
        .send(TestRequest::script(&script))
        .await?
        .expect(200)
        .await?;
    for _ in 0..20 {
        let mut cancelled = bed
            .send(TestRequest::script(&script))
            .await?
            .expect(200)
            .await?;
        cancelled.events(2).await?;
        drop(cancelled);
    }
    kept.events(3).await?;
    let whole = kept.whole().await?;
    ensure_eq!(whole.ending()["type"], "complete", "the ending");
    Ok(())
}
