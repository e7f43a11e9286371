use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;
use tokio::{task::JoinSet, time::Instant};

use crate::{
    http::{
        answer_reader::AnswerReader,
        fixture::{HttpFixture, eventually, new_id},
        request::TestRequest,
        scheduler_delay::SchedulerDelay,
    },
    report::{CaseResult, CaseStop, ensure, ensure_eq},
};

/// The most time from the production of an event to its arrival.
const MAX_DELAY: Duration = Duration::from_millis(50);
/// The number of tries that count. A busy machine delays events by itself, but not in every try.
const TRIES: usize = 6;
/// The number of all tries, with those in which the scheduler was late, which don't count.
const MAX_TRIES: usize = 40;

const STREAMS: [&str; 2] = ["application/x-ndjson", "text/event-stream"];

pub(crate) async fn events_arrive_within_50_ms(server: HttpFixture) -> CaseResult {
    if !server.target.same_clock {
        return Err(CaseStop::NotApplicable(
            "the server's clock may be another than ours".into(),
        ));
    }
    for accept in STREAMS {
        let (mut best, mut counted) = (Duration::MAX, 0);
        for _ in 0..MAX_TRIES {
            let scheduler = SchedulerDelay::watch();
            best = best.min(worst_delay(&server, accept).await?);
            counted += usize::from(scheduler.max() < MAX_DELAY / 10);
            if best <= MAX_DELAY || counted == TRIES {
                break;
            }
        }
        ensure!(
            best <= MAX_DELAY,
            "in {accept} the most delayed event arrived {best:?} after its production, in the best of \
             several tries; in {counted} of them the scheduler was not late"
        );
    }
    Ok(())
}

/// Returns the longest delay of a few events, for the starting client and for another reader.
async fn worst_delay(server: &HttpFixture, accept: &str) -> Result<Duration, CaseStop> {
    let script = json!({"stamps": 4, "delayMs": 60});
    let mut first = server
        .expect(TestRequest::script(&script).accept(accept), 200)
        .await?;
    let request = TestRequest::get(&first.id()?).accept(accept);
    let mut second = server.expect(request, 200).await?;
    let (one, two) = tokio::join!(worst_delay_of(&mut first), worst_delay_of(&mut second));
    Ok(one?.max(two?))
}

async fn worst_delay_of(answer: &mut AnswerReader) -> Result<Duration, CaseStop> {
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

pub(crate) async fn each_event_arrives_before_the_next_is_produced(
    server: HttpFixture,
) -> CaseResult {
    const PACE: Duration = Duration::from_millis(150);
    for accept in STREAMS {
        let mut best = Duration::ZERO;
        for _ in 0..3 {
            let script = json!({"tokens": 4, "delayMs": PACE.as_millis()});
            let request = TestRequest::script(&script).accept(accept);
            let mut answer = server.expect(request, 200).await?;
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
            "in {accept}, of events produced {PACE:?} apart some arrive {best:?} apart: \
             something on the way collects them"
        );
    }
    Ok(())
}

pub(crate) async fn a_disconnect_stops_nothing(server: HttpFixture) -> CaseResult {
    let name = new_id();
    let script = json!({"tokens": 30, "delayMs": 10, "tally": name});
    let mut answer = server.expect(TestRequest::script(&script), 200).await?;
    let id = answer.id()?;
    answer.events(3).await?;
    drop(answer);
    eventually!(
        server.provider_counts(&name).await?.tokens == 30,
        "an answer without readers is produced to its end"
    );
    let full = server.read_to_end(TestRequest::get(&id)).await?;
    ensure_eq!(full.events.len(), 32, "events of the whole answer");
    ensure_eq!(full.ending()["type"], "complete", "the ending");
    ensure_eq!(
        server.provider_counts(&name).await?.calls,
        1,
        "calls of the provider"
    );
    Ok(())
}

pub(crate) async fn all_readers_of_a_session_get_the_same(server: HttpFixture) -> CaseResult {
    let script = json!({"tokens": 40, "delayMs": 5});
    let first = server.expect(TestRequest::script(&script), 200).await?;
    let id = first.id()?;
    let mut reading = JoinSet::new();
    for n in 0..20 {
        let (server, request) = (server.clone(), TestRequest::get(&id).accept(STREAMS[n % 2]));
        reading.spawn(async move {
            tokio::time::sleep(Duration::from_millis(10 * n as u64)).await;
            server.read_to_end(request).await
        });
    }
    let first = first.read_to_end().await?;
    while let Some(other) = reading.join_next().await {
        let other = other.map_err(|error| CaseStop::Failed(error.to_string()))??;
        ensure_eq!(other.log(), first.log(), "what two readers got");
    }
    Ok(())
}

pub(crate) async fn a_slow_reader_slows_no_other_reader(server: HttpFixture) -> CaseResult {
    // More than the buffers between server and client hold, of which the server's kernel has up to
    // 4 MiB over HTTP/1.1.
    const TOKENS: u64 = 95_000;
    if server
        .target
        .session_events
        .is_some_and(|most| most <= TOKENS)
    {
        return Err(CaseStop::NotApplicable(
            "a session may not be as long as a reader gets stuck".into(),
        ));
    }
    let body = json!({"tokens": TOKENS, "delayMs": 0});
    let stuck = server.expect(TestRequest::script(&body), 200).await?;
    let full = server.read_to_end(TestRequest::get(&stuck.id()?)).await?;
    ensure_eq!(full.ending()["type"], "complete", "the ending");
    let late = stuck.read_to_end().await?;
    ensure_eq!(
        late.log().len(),
        full.log().len(),
        "events of the slow reader"
    );
    ensure!(late.log() == full.log(), "the slow reader got other events");
    Ok(())
}

pub(crate) async fn a_long_answer_is_the_same_again_in_a_replay(server: HttpFixture) -> CaseResult {
    let (id, live) = server
        .run_to_end(&json!({"tokens": 20_000, "delayMs": 0}))
        .await?;
    ensure_eq!(live.events.len(), 20_002, "events");
    let replay = server.read_to_end(TestRequest::get(&id)).await?;
    ensure!(
        replay.raw == live.raw,
        "the replay has other bytes than the live stream"
    );
    Ok(())
}

pub(crate) async fn an_answer_cut_after_any_event_is_resumed(server: HttpFixture) -> CaseResult {
    for accept in STREAMS {
        let script = json!({"tokens": 12, "delayMs": 8});
        let mut answer = server
            .expect(TestRequest::script(&script).accept(accept), 200)
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
            // The old connection closes; the next one has the cursor only.
            let request = TestRequest::get(&id).accept(accept);
            let request = request.header(unbroken::headers::LAST_EVENT_ID, &cursor);
            answer = server.expect(request, 200).await?.continuing_after(lsn);
        }
        let full = server
            .read_to_end(TestRequest::get(&id).accept(accept))
            .await?;
        ensure_eq!(events, full.events, "the parts and the whole");
    }
    Ok(())
}

pub(crate) async fn heartbeats_come_in_silence_and_are_no_events(
    server: HttpFixture,
) -> CaseResult {
    let Some(period) = server.target.heartbeat else {
        return Err(CaseStop::NotApplicable(
            "the target describes no heartbeat".into(),
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
            let request = TestRequest::script(&script).accept(accept);
            let mut answer = server.expect(request, 200).await?;
            let id = answer.id()?;
            answer.events(2).await?;
            // A busy machine may prolong the silence or skip heartbeats.
            let silence = begun.elapsed();
            let most = silence.as_nanos() / period.as_nanos() + 1;
            seen = answer.heartbeats();
            ensure!(
                seen as u128 <= most,
                "{seen} heartbeats of {period:?} in a silence of {silence:?}"
            );
            answer.read_to_end().await?;
            let request = TestRequest::get(&id).accept(accept);
            let mut replay = server.expect(request, 200).await?;
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
