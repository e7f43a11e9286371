use futures_util::{StreamExt as _, stream};

use super::super::{
    items::{Event, Item, Items},
    mutant::{Fault, Mutant},
};

const IDS: &str = "ids_of_server_sent_events_are_lsn_and_tag";
const LIVE: &str = "an_answer_is_a_stream_of_events_from_lsn_1";

pub(in super::super) const ENCODING: &[Mutant] = &[
    Mutant::new(
        "server-sent events begin without retry",
        Fault::Stream(|_, items| {
            rewrite(items, |item| match item {
                Item::Other(text) if text.starts_with("retry") => None,
                item => Some(item),
            })
        }),
        &[IDS],
    ),
    Mutant::new(
        "server-sent events have a name",
        Fault::Stream(|_, items| {
            server_sent(items, |Event { lsn, data, .. }, tag| {
                format!("id: {lsn}.{tag}\nevent: message\ndata: {data}\n\n")
            })
        }),
        &[IDS],
    ),
    Mutant::new(
        "ids of server-sent events have no tag",
        Fault::Stream(|_, items| {
            server_sent(items, |Event { lsn, data, .. }, _| {
                format!("id: {lsn}\ndata: {data}\n\n")
            })
        }),
        &[IDS],
    ),
    Mutant::new(
        "ids of server-sent events have a long tag",
        Fault::Stream(|_, items| {
            server_sent(items, |Event { lsn, data, .. }, tag| {
                format!("id: {lsn}.{tag:0<40}\ndata: {data}\n\n")
            })
        }),
        &[IDS],
    ),
    Mutant::new(
        "all sessions have the same tag",
        Fault::Stream(|_, items| {
            server_sent(items, |Event { lsn, data, .. }, _| {
                format!("id: {lsn}.k3f\ndata: {data}\n\n")
            })
        }),
        &["a_cursor_of_another_epoch_is_a_rewound_log"],
    ),
    Mutant::new(
        "server-sent events have no id",
        Fault::Stream(|_, items| {
            server_sent(items, |Event { data, .. }, _| format!("data: {data}\n\n"))
        }),
        &[IDS],
    )
    .only(),
    Mutant::new(
        "server-sent events repeat their LSN in the data",
        Fault::Stream(|_, items| {
            server_sent(items, |Event { lsn, data, .. }, tag| {
                format!("id: {lsn}.{tag}\ndata: {{\"lsn\":{lsn},\"event\":{data}}}\n\n")
            })
        }),
        &[IDS, "every_encoding_has_the_same_events"],
    ),
    Mutant::new(
        "server-sent events have other texts than NDJSON",
        Fault::Stream(|_, items| {
            server_sent(items, |Event { lsn, data, .. }, tag| {
                let data = data.replace("see", "look");
                format!("id: {lsn}.{tag}\ndata: {data}\n\n")
            })
        }),
        &["every_encoding_has_the_same_events"],
    ),
    Mutant::new(
        "breaks in a line become blanks",
        Fault::Stream(|_, items| data(items, |data| *data = data.replace("\\n", " "))),
        &["any_text_comes_back_unchanged"],
    ),
    Mutant::new(
        "what is not ASCII becomes a question mark",
        Fault::Stream(|_, items| {
            data(items, |data| {
                *data = data.replace(|it: char| !it.is_ascii(), "?");
            })
        }),
        &["any_text_comes_back_unchanged"],
    ),
    Mutant::new(
        "lines have an unknown member",
        Fault::Stream(|_, items| {
            rewrite(items, |item| match item {
                Item::Event(Event {
                    lsn,
                    tag: None,
                    data,
                }) => Some(Item::Other(format!(
                    "{{\"lsn\":{lsn},\"event\":{data},\"at\":0}}\n"
                ))),
                item => Some(item),
            })
        }),
        &[LIVE],
    ),
    Mutant::new(
        "the last line isn't ended",
        Fault::Stream(|_, items| {
            rewrite(items, |item| match item {
                Item::Event(event) if event.is_terminal() => {
                    let text = Item::Event(event).to_string();
                    Some(Item::Other(text.trim_end().to_owned()))
                }
                item => Some(item),
            })
        }),
        &[LIVE],
    ),
    Mutant::new(
        "session_info has no persona",
        Fault::Stream(|_, items| without(items, "session_info", "persona")),
        &["session_info_lists_the_capabilities"],
    ),
    Mutant::new(
        "session_info has no capabilities",
        Fault::Stream(|_, items| without(items, "session_info", "capabilities")),
        &["session_info_lists_the_capabilities"],
    ),
    Mutant::new(
        "errors have no code",
        Fault::Stream(|_, items| without(items, "error", "code")),
        &["a_provider_error_is_the_terminal_event"],
    ),
    Mutant::new(
        "errors have no message",
        Fault::Stream(|_, items| without(items, "error", "message")),
        &["a_provider_error_is_the_terminal_event"],
    ),
    Mutant::new(
        "errors don't say whether a repetition could help",
        Fault::Stream(|_, items| without(items, "error", "recoverable")),
        &["a_provider_error_is_the_terminal_event"],
    ),
    Mutant::new(
        "an answer that is cut is complete",
        Fault::Stream(|_, items| {
            data(items, |data| {
                if data.starts_with(r#"{"type":"error""#) {
                    *data = r#"{"type":"complete","finishReason":"stop"}"#.into();
                }
            })
        }),
        &[
            "a_provider_stream_that_is_cut_is_an_error",
            "a_provider_that_panics_is_a_terminal_event",
        ],
    ),
    Mutant::new(
        "the ending has no finish reason",
        Fault::Stream(|_, items| without(items, "complete", "finishReason")),
        &[
            "a_complete_answer_has_a_finish_reason",
            "tool_calls_are_events_and_a_finish_reason",
        ],
    ),
    Mutant::new(
        "the ending has another text than the answer",
        Fault::Stream(|_, items| {
            edit(items, "complete", |it| {
                it["text"] = "Something else.".into();
            })
        }),
        &["a_complete_answer_has_a_finish_reason"],
    ),
    Mutant::new(
        "arguments of tool calls are a string",
        Fault::Stream(|_, items| {
            edit(items, "tool_calls", |it| {
                let arguments = it["calls"][0]["arguments"].to_string();
                it["calls"][0]["arguments"] = arguments.into();
            })
        }),
        &["tool_calls_are_events_and_a_finish_reason"],
    ),
    Mutant::new(
        "an abort ends with an error",
        Fault::Stream(|_, items| edit(items, "aborted", |it| it["type"] = "error".into())),
        &[
            "abort_ends_the_session_for_every_reader",
            "a_deleted_session_is_stopped_and_gone",
        ],
    ),
];

fn rewrite(items: Items, change: fn(Item) -> Option<Item>) -> Items {
    let items = items.flat_map(move |item| {
        stream::iter(match item {
            Ok(item) => change(item).map(Ok),
            Err(error) => Some(Err(error)),
        })
    });
    items.boxed()
}

fn server_sent(items: Items, write: fn(&Event, &str) -> String) -> Items {
    let items = items.map(move |item| {
        item.map(|item| match &item {
            Item::Event(event @ Event { tag: Some(tag), .. }) => Item::Other(write(event, tag)),
            _ => item,
        })
    });
    items.boxed()
}

fn data(items: Items, change: fn(&mut String)) -> Items {
    let items = items.map(move |item| item.map(|item| item.map(|event| change(&mut event.data))));
    items.boxed()
}

fn edit(items: Items, kind: &'static str, change: fn(&mut serde_json::Value)) -> Items {
    let items = items.map(move |item| {
        item.map(|item| {
            item.map(|event| {
                if event.is(kind) {
                    event.edit(change);
                }
            })
        })
    });
    items.boxed()
}

fn without(items: Items, kind: &'static str, member: &'static str) -> Items {
    let items = items.map(move |item| {
        item.map(|item| {
            item.map(|event| {
                if event.is(kind) {
                    event.edit(|value| {
                        value
                            .as_object_mut()
                            .expect("events are objects")
                            .remove(member);
                    });
                }
            })
        })
    });
    items.boxed()
}
