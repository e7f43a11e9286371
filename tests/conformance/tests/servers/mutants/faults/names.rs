use axum::http::StatusCode;
use futures_util::FutureExt as _;
use serde_json::Value;
use unbroken::headers::SESSION_ID;

use super::{
    super::mutant::{Fault, Mutant},
    edited::{edited, read, with_edit},
    query,
};

const BODY: &str = "a_name_in_a_body_has_128_bytes_at_most";
const CHAT: &str = "a_chat_id_has_1_to_128_bytes";
const PATH: &str = "an_id_in_a_path_has_128_bytes_at_most";
const INPUT: &str = "an_input_id_has_128_bytes_at_most";
const OUTPUT: &str = "names_of_an_output_have_128_bytes_at_most";

pub(in super::super) const NAMES: &[Mutant] = &[
    Mutant::new(
        "a chat id is cut to its limit",
        Fault::Exchange(|upstream, request| {
            edited(upstream, request, |body| cut(body, "/chatId", 128))
        }),
        &[BODY],
    )
    .only(),
    Mutant::new(
        "a chat id has characters instead of bytes",
        Fault::Exchange(|upstream, request| {
            edited(upstream, request, |body| {
                if let Some(chat) = body.get("chatId").and_then(Value::as_str)
                    && chat.chars().count() <= 128
                {
                    body["chatId"] = chat.replace('é', "e").into();
                }
            })
        }),
        &[CHAT],
    )
    .only(),
    Mutant::new(
        "an empty chat id is dropped",
        Fault::Exchange(|upstream, request| {
            edited(upstream, request, |body| {
                if let Some(chat) = body.get_mut("chatId")
                    && chat == ""
                {
                    chat.take();
                }
            })
        }),
        &[CHAT],
    )
    .only(),
    Mutant::new(
        "the chat of a list is cut to its limit",
        Fault::Request(|head| {
            query::query(head, |name, value| {
                let most = if name == "chat" { 128 } else { usize::MAX };
                Some(value.chars().take(most).collect())
            });
        }),
        &[CHAT],
    )
    .only(),
    Mutant::new(
        "a session to continue is cut to its limit",
        Fault::Exchange(|upstream, request| {
            edited(upstream, request, |body| cut(body, "/continues", 128))
        }),
        &[BODY],
    )
    .only(),
    Mutant::new(
        "names of tools to enable are cut to their limit",
        Fault::Exchange(|upstream, request| {
            edited(upstream, request, |body| {
                cut(body, "/enabledTools/0", 128);
            })
        }),
        &[BODY],
    )
    .only(),
    Mutant::new(
        "names of tools of the client are cut to their limit",
        Fault::Exchange(|upstream, request| {
            edited(upstream, request, |body| {
                cut(body, "/isomorphicTools/0/name", 128);
            })
        }),
        &[BODY],
    )
    .only(),
    Mutant::new(
        "names of tools of the client have fewer bytes",
        Fault::Exchange(|upstream, request| {
            edited(upstream, request, |body| {
                refuse_from(body, "/isomorphicTools/0/name", 128);
            })
        }),
        &[BODY, OUTPUT],
    )
    .only(),
    Mutant::new(
        "names in earlier calls are cut to their limit",
        Fault::Exchange(|upstream, request| {
            edited(upstream, request, |body| {
                cut(body, "/messages/1/tool_calls/0/name", 128);
            })
        }),
        &[BODY],
    )
    .only(),
    Mutant::new(
        "ids of earlier calls are cut to their limit",
        Fault::Exchange(|upstream, request| {
            edited(upstream, request, |body| {
                cut(body, "/messages/1/tool_calls/0/id", 160);
            })
        }),
        &[BODY],
    )
    .only(),
    Mutant::new(
        "ids of calls of earlier results have the limit of names",
        Fault::Exchange(|upstream, request| {
            edited(upstream, request, |body| {
                refuse_from(body, "/messages/2/tool_call_id", 129);
            })
        }),
        &[BODY],
    )
    .only(),
    Mutant::new(
        "a start that is refused for a name leaves its session",
        Fault::Exchange(|upstream, request| {
            async move {
                let (head, body) = read(request).await;
                let request = with_edit(&head, &body, |_| {});
                let refused = upstream.call(request).await;
                if refused.status() == StatusCode::UNPROCESSABLE_ENTITY
                    && head.headers.contains_key(SESSION_ID)
                {
                    let begun = with_edit(&head, &body, |body| {
                        cut(body, "/chatId", 128);
                        cut(body, "/isomorphicClientOutputs/0/toolName", 128);
                    });
                    drop(upstream.call(begun).await);
                }
                refused
            }
            .boxed()
        }),
        &[BODY, OUTPUT],
    )
    .only(),
    Mutant::new(
        "a long id in a path is absent",
        Fault::Head(|asked, head| {
            if asked.uri.path().len() > 128 && head.status == StatusCode::BAD_REQUEST {
                head.status = StatusCode::NOT_FOUND;
            }
        }),
        &[PATH],
    )
    .only(),
    Mutant::new(
        "an id in a header is cut to its limit",
        Fault::Request(|head| {
            query::header(head, &SESSION_ID, |id| id.chars().take(128).collect());
        }),
        &[PATH],
    )
    .only(),
    Mutant::new(
        "an id in a query is cut to its limit",
        Fault::Request(|head| {
            query::query(head, |_, value| Some(value.chars().take(128).collect()));
        }),
        &[PATH, CHAT],
    )
    .only(),
    Mutant::new(
        "an input id is cut to its limit",
        Fault::Request(|head| {
            let Some((session, input)) = head.uri.path().split_once("/inputs/") else {
                return;
            };
            let input: String = input.chars().take(128).collect();
            let path = format!("{session}/inputs/{input}");
            head.uri = path.parse().expect("a path");
        }),
        &[INPUT],
    )
    .only(),
    Mutant::new(
        "names of outputs are cut to their limit",
        Fault::Exchange(|upstream, request| {
            edited(upstream, request, |body| {
                cut(body, "/isomorphicClientOutputs/0/toolName", 128);
            })
        }),
        &[OUTPUT],
    )
    .only(),
    Mutant::new(
        "ids of calls of outputs are cut to their limit",
        Fault::Exchange(|upstream, request| {
            edited(upstream, request, |body| {
                cut(body, "/isomorphicClientOutputs/0/callId", 160);
            })
        }),
        &[OUTPUT],
    )
    .only(),
];

/// Cuts the name at a place after this number of characters.
fn cut(body: &mut Value, place: &str, most: usize) {
    if let Some(Value::String(name)) = body.pointer_mut(place) {
        *name = name.chars().take(most).collect();
    }
}

/// Makes a name of so many bytes longer than any limit.
fn refuse_from(body: &mut Value, place: &str, bytes: usize) {
    if let Some(Value::String(name)) = body.pointer_mut(place)
        && name.len() >= bytes
    {
        name.push_str(&"n".repeat(bytes));
    }
}
