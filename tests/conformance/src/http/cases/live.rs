use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;
use tokio::{task::JoinSet, time::Instant};

use crate::{
    http::{
        answer_reader::AnswerReader,
        fixture::{HttpFixture, eventually, fresh},
        request::TestRequest,
        scheduler_delay::SchedulerDelay,
    },
    report::{CaseStop, ensure, ensure_eq},
};

/// How late an event may be, from when it is said to when it is there.
const LATE: Duration = Duration::from_millis(50);
/// A busy machine is late for reasons of its own: who is never in time has other reasons.
const TRIES: usize = 6;
/// Those at which the machine was late by itself don't count, but are no more than this with the others.
const TRIES_IN_ALL: usize = 40;

const STREAMS: [&str; 2] = ["application/x-ndjson", "text/event-stream"];

pub(in crate::http) async fn events_arrive_within_50_ms(bed: HttpFixture) -> Result<(), CaseStop> {
    if !bed.target.same_clock {
        return Err(CaseStop::NotApplicable(
            "the server's clock may be another than ours".into(),
        ));
    }
    for accept in STREAMS {
        let (mut best, mut counted) = (Duration::MAX, 0);
        for _ in 0..TRIES_IN_ALL {
            let busy = SchedulerDelay::watch();
            best = best.min(lateness(&bed, accept).await?);
            counted += usize::from(busy.late() < LATE / 10);
            if best <= LATE || counted == TRIES {
                break;
            }
        }
        ensure!(
            best <= LATE,
            "in {accept} the latest event came {best:?} after it was said, at the best of several \
             tries, and at {counted} of them the machine was not late by itself"
        );
    }
    Ok(())
}

/// The latest of a few events, to the one who started the answer and to another reader.
async fn lateness(bed: &HttpFixture, accept: &str) -> Result<Duration, CaseStop> {
    let script = json!({"stamps": 4, "delayMs": 60});
    let mut first = bed
        .send(TestRequest::script(&script).accept(accept))
        .await?
        .expect(200)
        .await?;
    let call = TestRequest::get(&first.id()?).accept(accept);
    let mut second = bed.send(call).await?.expect(200).await?;
    let (one, two) = tokio::join!(latest(&mut first), latest(&mut second));
    Ok(one?.max(two?))
}

async fn latest(answer: &mut AnswerReader) -> Result<Duration, CaseStop> {
    let mut latest = Duration::ZERO;
    loop {
        let event = answer.event().await?;
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        if event.is_terminal() {
            return Ok(latest);
        }
        let stamp = event.value["content"]
            .as_str()
            .and_then(|text| text.trim().parse().ok());
        if let Some(said) = stamp.map(Duration::from_micros) {
            latest = latest.max(now.saturating_sub(said));
        }
    }
}

pub(in crate::http) async fn each_event_arrives_before_the_next_is_said(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    const PACE: Duration = Duration::from_millis(150);
    for accept in STREAMS {
        let mut best = Duration::ZERO;
        for _ in 0..3 {
            let script = json!({"tokens": 4, "delayMs": PACE.as_millis()});
            let call = TestRequest::script(&script).accept(accept);
            let mut answer = bed.send(call).await?.expect(200).await?;
            answer.event().await?;
            let mut shortest = Duration::MAX;
            let mut before = None;
            for _ in 0..4 {
                answer.event().await?;
                let now = Instant::now();
                if let Some(before) = before.replace(now) {
                    shortest = shortest.min(now - before);
                }
            }
            best = best.max(shortest);
            if best >= PACE / 2 {
                break;
            }
        }
        ensure!(
            best >= PACE / 2,
            "in {accept}, of events said {PACE:?} apart some arrive {best:?} apart: \
             something gathers them"
        );
    }
    Ok(())
}

pub(in crate::http) async fn a_disconnect_stops_nothing(bed: HttpFixture) -> Result<(), CaseStop> {
    let name = fresh();
    let script = json!({"tokens": 30, "delayMs": 10, "tally": name});
    let mut answer = bed
        .send(TestRequest::script(&script))
        .await?
        .expect(200)
        .await?;
    let id = answer.id()?;
    answer.events(3).await?;
    drop(answer);
    eventually!(
        bed.tally(&name).await?.tokens == 30,
        "the answer that nobody reads is said to its end"
    );
    let whole = bed.whole(TestRequest::get(&id)).await?;
    ensure_eq!(whole.events.len(), 32, "events of the whole answer");
    ensure_eq!(whole.ending()["type"], "complete", "the ending");
    ensure_eq!(bed.tally(&name).await?.calls, 1, "calls of the provider");
    Ok(())
}

pub(in crate::http) async fn all_readers_of_a_session_get_the_same(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    let script = json!({"tokens": 40, "delayMs": 5});
    let first = bed
        .send(TestRequest::script(&script))
        .await?
        .expect(200)
        .await?;
    let id = first.id()?;
    let mut reading = JoinSet::new();
    for n in 0..20 {
        let (bed, call) = (bed.clone(), TestRequest::get(&id).accept(STREAMS[n % 2]));
        reading.spawn(async move {
            tokio::time::sleep(Duration::from_millis(10 * n as u64)).await;
            bed.whole(call).await
        });
    }
    let first = first.whole().await?;
    while let Some(other) = reading.join_next().await {
        let other = other.map_err(|error| CaseStop::Failed(error.to_string()))??;
        ensure_eq!(other.log(), first.log(), "what two readers got");
    }
    Ok(())
}

pub(in crate::http) async fn a_slow_reader_harms_nobody(bed: HttpFixture) -> Result<(), CaseStop> {
    // Longer than what is under way to one who doesn't read: over HTTP/1.1 the server's kernel takes
    // up to 4 MiB of it.
    const TOKENS: u64 = 95_000;
    if bed.target.session_events.is_some_and(|most| most <= TOKENS) {
        return Err(CaseStop::NotApplicable(
            "a session may not be as long as a reader gets stuck".into(),
        ));
    }
    let body = json!({"tokens": TOKENS, "delayMs": 0});
    let stuck = bed
        .send(TestRequest::script(&body))
        .await?
        .expect(200)
        .await?;
    let whole = bed.whole(TestRequest::get(&stuck.id()?)).await?;
    ensure_eq!(whole.ending()["type"], "complete", "the ending");
    let late = stuck.whole().await?;
    ensure_eq!(
        late.log().len(),
        whole.log().len(),
        "events of the slow reader"
    );
    ensure!(
        late.log() == whole.log(),
        "the slow reader got other events"
    );
    Ok(())
}

pub(in crate::http) async fn a_long_answer_is_the_same_again_in_a_replay(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    let (id, live) = bed
        .finished(&json!({"tokens": 20_000, "delayMs": 0}))
        .await?;
    ensure_eq!(live.events.len(), 20_002, "events");
    let replay = bed.whole(TestRequest::get(&id)).await?;
    ensure!(
        replay.raw == live.raw,
        "the replay has other bytes than the live stream"
    );
    Ok(())
}

pub(in crate::http) async fn an_answer_cut_after_any_event_is_resumed(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    for accept in STREAMS {
        let script = json!({"tokens": 12, "delayMs": 8});
        let mut answer = bed
            .send(TestRequest::script(&script).accept(accept))
            .await?
            .expect(200)
            .await?;
        let id = answer.id()?;
        let mut events = Vec::new();
        loop {
            let event = answer.event().await?;
            let (lsn, cursor) = (event.lsn, event.cursor.clone());
            let over = event.is_terminal();
            events.push(event);
            if over {
                break;
            }
            // The connection goes; the next one has the cursor only.
            let call = TestRequest::get(&id).accept(accept);
            let call = call.with(unbroken::headers::LAST_EVENT_ID, &cursor);
            answer = bed.send(call).await?.expect(200).await?.from(lsn);
        }
        let whole = bed.whole(TestRequest::get(&id).accept(accept)).await?;
        ensure_eq!(events, whole.events, "the parts and the whole");
    }
    Ok(())
}

pub(in crate::http) async fn silence_is_broken_by_heartbeats_that_are_no_events(
    bed: HttpFixture,
) -> Result<(), CaseStop> {
    let Some(period) = bed.target.heartbeat else {
        return Err(CaseStop::NotApplicable(
            "the suite was told of no heartbeat".into(),
        ));
    };
    if period > Duration::from_secs(2) {
        return Err(CaseStop::NotApplicable(
            "a silence of several heartbeats would take too long".into(),
        ));
    }
    for accept in STREAMS {
        let silence = period * 4;
        let script = json!({"text": "at last", "delayMs": silence.as_millis()});
        let mut seen = 0;
        for _ in 0..TRIES {
            let begun = Instant::now();
            let call = TestRequest::script(&script).accept(accept);
            let mut answer = bed.send(call).await?.expect(200).await?;
            let id = answer.id()?;
            answer.events(2).await?;
            // A busy machine may make it longer, or let heartbeats out.
            let silence = begun.elapsed();
            let most = silence.as_nanos() / period.as_nanos() + 1;
            seen = answer.heartbeats();
            ensure!(
                seen as u128 <= most,
                "{seen} heartbeats of {period:?} in a silence of {silence:?}"
            );
            answer.whole().await?;
            let call = TestRequest::get(&id).accept(accept);
            let mut replay = bed.send(call).await?.expect(200).await?;
            replay.events(4).await?;
            ensure_eq!(replay.heartbeats(), 0, "heartbeats in a replay");
            if seen >= 2 {
                break;
            }
        }
        ensure!(
            seen >= 2,
            "{seen} heartbeats of {period:?} in a silence of {silence:?}, again and again"
        );
    }
    Ok(())
}
