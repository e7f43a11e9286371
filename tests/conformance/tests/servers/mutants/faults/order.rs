use std::time::Duration;

use futures_util::{
    StreamExt as _,
    future::{self, ready},
    stream,
};

use super::super::{
    items::{Event, Item, Items},
    mutant::{Fault, Mutant},
};

const LIVE: &str = "an_answer_is_a_stream_of_events_from_lsn_1";

pub(in super::super) const ORDER: &[Mutant] = &[
    Mutant::new(
        "an event is lost",
        Fault::Stream(|_, items| filter(items, |event| event.lsn != 3)),
        &[LIVE, "an_answer_cut_after_any_event_is_resumed"],
    ),
    Mutant::new(
        "an event is lost in replays only",
        Fault::Stream(|asked, items| match asked.method.as_str() {
            "GET" => filter(items, |event| event.lsn != 2),
            _ => items,
        }),
        &["all_readers_of_a_session_get_the_same"],
    ),
    Mutant::new(
        "a replay has another text far from its beginning",
        Fault::Stream(|asked, items| match asked.method.as_str() {
            "GET" => map(items, |event| {
                if event.lsn == 15_000 {
                    event.data = event.data.replace("\"text\"", "\"thinking\"");
                }
            }),
            _ => items,
        }),
        &["a_long_answer_is_the_same_again_in_a_replay"],
    )
    .only(),
    Mutant::new(
        "an LSN is skipped",
        Fault::Stream(|_, items| map(items, |event| event.lsn += u64::from(event.lsn > 2))),
        &[LIVE],
    ),
    Mutant::new(
        "LSNs begin at 0",
        Fault::Stream(|_, items| map(items, |event| event.lsn -= 1)),
        &[LIVE],
    ),
    Mutant::new(
        "an event comes twice",
        Fault::Stream(|_, items| {
            flat_map(items, |item| match item.event() {
                Some(event) if event.lsn == 3 => vec![item.clone(), item],
                _ => vec![item],
            })
        }),
        &[LIVE, "an_answer_cut_after_any_event_is_resumed"],
    ),
    Mutant::new(
        "two events change places",
        Fault::Stream(|_, items| {
            let mut held = None;
            flat_map(items, move |item| match item.event() {
                Some(event) if event.lsn == 3 && !event.is_terminal() => {
                    held = Some(item);
                    vec![]
                }
                _ => std::iter::once(item).chain(held.take()).collect(),
            })
        }),
        &[LIVE],
    ),
    Mutant::new(
        "the contents of two events change places",
        Fault::Stream(|_, items| {
            let mut held = None;
            flat_map(items, move |item| match item {
                Item::Event(event) if event.lsn == 4 && !event.is_terminal() => {
                    held = Some(event);
                    vec![]
                }
                Item::Event(mut event) if held.is_some() && !event.is_terminal() => {
                    let mut held = held.take().expect("one is held");
                    std::mem::swap(&mut held.data, &mut event.data);
                    vec![Item::Event(held), Item::Event(event)]
                }
                item => held
                    .take()
                    .map(Item::Event)
                    .into_iter()
                    .chain([item])
                    .collect(),
            })
        }),
        &[LIVE],
    ),
    Mutant::new(
        "the content of an event is another",
        Fault::Stream(|_, items| {
            map(items, |event| {
                if event.lsn == 4 && event.is("text") {
                    event.edit(|it| it["content"] = "No".into());
                }
            })
        }),
        &[LIVE],
    ),
    Mutant::new(
        "an answer ends cleanly without its terminal event",
        Fault::Stream(|_, items| filter(items, |event| !event.is_terminal())),
        &[LIVE, "abort_ends_the_session_for_every_reader"],
    ),
    Mutant::new(
        "an answer ends cleanly in its middle",
        Fault::Stream(|_, items| {
            let ended = |item: &_| matches!(item, Ok(Item::Event(event)) if event.lsn > 2);
            items.take_while(move |item| ready(!ended(item))).boxed()
        }),
        &[LIVE],
    ),
    Mutant::new(
        "an event follows the terminal one",
        Fault::Stream(|_, items| {
            after_the_end(items, |mut event| {
                event.data = r#"{"type":"text","content":"And another thing."}"#.into();
                event
            })
        }),
        &[LIVE],
    ),
    Mutant::new(
        "there are two terminal events",
        Fault::Stream(|_, items| after_the_end(items, |event| event)),
        &[LIVE],
    ),
    Mutant::new(
        "a body breaks after its terminal event",
        Fault::Stream(|_, items| {
            // hyper drops a frame that an error follows immediately.
            let broken = async {
                tokio::time::sleep(Duration::from_millis(50)).await;
                Err(axum::Error::new("it broke"))
            };
            items.chain(stream::once(broken)).boxed()
        }),
        &[LIVE],
    ),
    Mutant::new(
        "a body breaks in its middle",
        Fault::Stream(|_, items| {
            let broken = items.then(|item| async {
                if matches!(&item, Ok(Item::Event(event)) if event.lsn == 3) {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    return Err(axum::Error::new("it broke"));
                }
                item
            });
            broken.boxed()
        }),
        &[LIVE],
    ),
    Mutant::new(
        "a body that must fail ends cleanly",
        Fault::Stream(|_, items| items.take_while(|item| ready(item.is_ok())).boxed()),
        &["a_body_without_its_terminal_event_fails"],
    ),
    Mutant::new(
        "a body that must fail ends with a terminal event",
        Fault::Stream(|_, items| {
            let mut last = None;
            let ended = items.map(move |item| match item {
                Ok(Item::Event(event)) => {
                    last = Some(event.clone());
                    Ok(Item::Event(event))
                }
                Err(error) => last.take().map_or(Err(error), |mut event| {
                    event.lsn += 1;
                    event.data = r#"{"type":"aborted"}"#.into();
                    Ok(Item::Event(event))
                }),
                other => other,
            });
            ended.boxed()
        }),
        &["a_body_without_its_terminal_event_fails"],
    ),
    Mutant::new(
        "an event without LSN comes in between",
        Fault::Stream(|_, items| {
            flat_map(items, |item| {
                let notice = item.event().filter(|event| event.lsn == 2).map(|event| {
                    let data = r#"{"type":"text","content":"By the way."}"#;
                    Item::Other(match event.tag {
                        Some(_) => format!("data: {data}\n\n"),
                        None => format!("{{\"event\":{data}}}\n"),
                    })
                });
                notice.into_iter().chain([item]).collect()
            })
        }),
        &[LIVE],
    ),
    Mutant::new(
        "every answer has the notice that the store is unavailable, and goes on",
        Fault::Stream(|_, items| {
            flat_map(items, |item| {
                let notice = item.event().filter(|event| event.lsn == 2).map(|event| {
                    let data = r#"{"type":"unavailable"}"#;
                    Item::Other(match event.tag {
                        Some(_) => format!("data: {data}\n\n"),
                        None => format!("{{\"event\":{data}}}\n"),
                    })
                });
                notice.into_iter().chain([item]).collect()
            })
        }),
        &[LIVE],
    ),
    Mutant::new(
        "the end of a body waits for a while",
        Fault::Stream(|_, items| {
            let never = stream::once(future::pending());
            items
                .chain(never.take_until(tokio::time::sleep(Duration::from_secs(60))))
                .boxed()
        }),
        &[LIVE],
    )
    .only(),
];

fn filter(items: Items, keep: fn(&Event) -> bool) -> Items {
    let keep = move |item: &Result<Item, _>| match item {
        Ok(Item::Event(event)) => ready(keep(event)),
        _ => ready(true),
    };
    items.filter(keep).boxed()
}

fn map(items: Items, change: fn(&mut Event)) -> Items {
    items
        .map(move |item| item.map(|item| item.map(change)))
        .boxed()
}

fn flat_map(items: Items, change: impl FnMut(Item) -> Vec<Item> + Send + 'static) -> Items {
    let mut change = change;
    let items = items.flat_map(move |item| {
        stream::iter(match item {
            Ok(item) => change(item).into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        })
    });
    items.boxed()
}

fn after_the_end(items: Items, another: fn(Event) -> Event) -> Items {
    flat_map(items, move |item| {
        let ending = item.event().filter(|event| event.is_terminal()).cloned();
        let following = ending.map(|mut event| {
            event.lsn += 1;
            Item::Event(another(event))
        });
        std::iter::once(item).chain(following).collect()
    })
}
