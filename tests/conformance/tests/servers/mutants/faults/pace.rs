use std::{
    collections::HashMap,
    sync::{
        Arc, LazyLock, Mutex, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::response::Response;
use futures_util::{FutureExt as _, StreamExt as _, future::ready, stream};
use unbroken::headers::SESSION_ID;

use super::super::{
    items::{Item, Items, join_items, split_items},
    mutant::{Fault, Mutant},
};

const LATE: &str = "events_arrive_within_50_ms";
const GATHERED: &str = "each_event_arrives_before_the_next_is_produced";
const HEAD: &str = "the_head_and_session_info_come_while_the_provider_is_silent";
const BEATS: &str = "heartbeats_come_in_silence_and_are_no_events";

pub(in super::super) const PACE: &[Mutant] = &[
    Mutant::new(
        "the head waits for the provider's first event",
        Fault::Exchange(|upstream, request| {
            async move {
                let (head, body) = upstream.call(request).await.into_parts();
                let content_type = head.headers.get("content-type");
                let content_type = content_type.map_or(&b""[..], |it| it.as_bytes());
                if !content_type.ends_with(b"x-ndjson") && !content_type.ends_with(b"event-stream")
                {
                    return Response::from_parts(head, body);
                }
                let mut items = split_items(body, content_type.ends_with(b"event-stream"));
                let mut begun = Vec::new();
                while let Some(item) = items.next().await {
                    let spoke = matches!(&item, Ok(Item::Event(event)) if event.lsn != 1);
                    begun.push(item);
                    if spoke {
                        break;
                    }
                }
                Response::from_parts(head, join_items(stream::iter(begun).chain(items).boxed()))
            }
            .boxed()
        }),
        &[HEAD],
    )
    .only(),
    Mutant::new(
        "the first event is 200 ms late, and with it those behind it",
        Fault::Stream(|_, items| {
            let late = items.then(|item| async {
                if matches!(&item, Ok(Item::Event(event)) if event.lsn == 1) {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                item
            });
            late.boxed()
        }),
        &[LATE],
    )
    .only(),
    Mutant::new(
        "every event is late by 100 ms",
        Fault::Stream(|_, items| {
            let late = items.then(|item| async {
                tokio::time::sleep(Duration::from_millis(100)).await;
                item
            });
            late.boxed()
        }),
        &[LATE],
    )
    .only(),
    Mutant::new(
        "events are late for readers that come later",
        Fault::Stream(|asked, items| {
            if asked.method == "POST" {
                return items;
            }
            let late = items.then(|item| async {
                tokio::time::sleep(Duration::from_millis(100)).await;
                item
            });
            late.boxed()
        }),
        &[LATE],
    )
    .only(),
    Mutant::new(
        "events come two at a time",
        Fault::Stream(|_, items| gathered(items, 2)),
        &[LATE, GATHERED],
    )
    .only(),
    Mutant::new(
        "server-sent events come two at a time",
        Fault::Stream(|asked, items| {
            if asked
                .headers
                .get("accept")
                .is_some_and(|it| it == "text/event-stream")
            {
                gathered(items, 2)
            } else {
                items
            }
        }),
        &[LATE, GATHERED],
    )
    .only(),
    Mutant::new(
        "events come when the answer is complete",
        Fault::Stream(|_, items| {
            let whole = stream::once(items.collect::<Vec<_>>());
            whole.flat_map(stream::iter).boxed()
        }),
        &[LATE, GATHERED, HEAD],
    )
    .only(),
    Mutant::new(
        "there are no heartbeats",
        Fault::Stream(|_, items| {
            let beat =
                |item: &_| matches!(item, Ok(Item::Other(text)) if !text.starts_with("retry"));
            items.filter(move |item| ready(!beat(item))).boxed()
        }),
        &[BEATS],
    )
    .only(),
    Mutant::new(
        "heartbeats are too many",
        Fault::Stream(|_, items| {
            let items = items.flat_map(|item| {
                let beats = match &item {
                    Ok(Item::Other(text)) if !text.starts_with("retry") => 2,
                    _ => 0,
                };
                let beats = vec![item.as_ref().ok().cloned(); beats];
                stream::iter(
                    beats
                        .into_iter()
                        .flatten()
                        .map(Ok)
                        .chain([item])
                        .collect::<Vec<_>>(),
                )
            });
            items.boxed()
        }),
        &[BEATS],
    )
    .only(),
    Mutant::new(
        "heartbeats are events",
        Fault::Stream(|asked, items| {
            let server_sent = asked
                .headers
                .get("accept")
                .is_some_and(|it| it == "text/event-stream");
            let beat = if server_sent {
                "data: {\"type\":\"custom\"}\n\n"
            } else {
                "{\"event\":{\"type\":\"custom\"}}\n"
            };
            let items = items.map(move |item| match item {
                Ok(Item::Other(text)) if !text.starts_with("retry") => {
                    Ok(Item::Other(beat.to_owned()))
                }
                item => item,
            });
            items.boxed()
        }),
        &[BEATS],
    )
    .only(),
    Mutant::new(
        "heartbeats come before every event",
        Fault::Stream(|_, items| {
            let items = items.flat_map(|item| {
                let beat = item.as_ref().ok().and_then(Item::event).map(|event| {
                    let beat = if event.tag.is_some() { ": \n\n" } else { "\n" };
                    Ok(Item::Other(beat.to_owned()))
                });
                stream::iter(beat.into_iter().chain([item]).collect::<Vec<_>>())
            });
            items.boxed()
        }),
        &[BEATS],
    )
    .only(),
    Mutant::new(
        "a slow reader slows other readers of its session",
        Fault::Exchange(|upstream, request| {
            async move {
                let (head, body) = upstream.call(request).await.into_parts();
                let stream = head
                    .headers
                    .get("content-type")
                    .is_some_and(|it| it == "application/x-ndjson");
                let id = head.headers.get(SESSION_ID).and_then(|id| id.to_str().ok());
                let body = match id {
                    Some(id) if stream => join_items(in_step(id, split_items(body, false))),
                    _ => body,
                };
                Response::from_parts(head, body)
            }
            .boxed()
        }),
        &["a_slow_reader_slows_no_other_reader"],
    )
    .only(),
];

fn gathered(items: Items, count: usize) -> Items {
    // What begins server-sent events is nothing to wait for.
    items.chunks(count).flat_map(stream::iter).boxed()
}

/// The positions of the readers of each session.
static READERS: LazyLock<Mutex<HashMap<String, Vec<Weak<AtomicU64>>>>> =
    LazyLock::new(Mutex::default);

/// The most events between two readers.
const STEP: u64 = 2000;

fn in_step(id: &str, items: Items) -> Items {
    let (id, me) = (id.to_owned(), Arc::new(AtomicU64::new(0)));
    let readers = || READERS.lock().expect("no panic");
    readers()
        .entry(id.clone())
        .or_default()
        .push(Arc::downgrade(&me));
    let items = items.then(move |item| {
        let (id, me) = (id.clone(), me.clone());
        async move {
            let at = me.fetch_add(1, Ordering::Relaxed);
            let behind = || {
                let readers = readers();
                let live = readers[&id].iter().filter_map(Weak::upgrade);
                live.map(|it| it.load(Ordering::Relaxed))
                    .min()
                    .unwrap_or(at)
            };
            while at > behind() + STEP {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            item
        }
    });
    items.boxed()
}
