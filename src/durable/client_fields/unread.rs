use std::{borrow::Cow, collections::BTreeSet};

use serde_json::{Map, Value};

use super::refusal::{Refusals, not_open};
use crate::{
    chat::ChatRequest,
    dialect::{
        Refusal,
        unread::{Meaning, asks_nothing, meaning, place, snake_case},
    },
};

/// Begins the names of fields that AG-UI's dialect found unread in the props.
const OF_PROPS: &str = "forwardedProps.";

/// The names that the application has opened.
pub(super) struct OpenNames<'a> {
    /// For itself.
    pub(super) fields: &'a BTreeSet<Cow<'static, str>>,
    /// For the model's server.
    pub(super) provider_fields: &'a BTreeSet<Cow<'static, str>>,
}

/// Members of messages, in snake case, by which other protocols send what belongs into the content here.
const OF_MESSAGES: &[&str] = &[
    "attachments",
    "audio",
    "experimental_attachments",
    "files",
    "function_call",
    "image",
    "images",
    "parts",
    "tool_invocations",
];

/// Members of tools, in snake case, by which other protocols send the schema of the parameters.
const OF_TOOLS: &[&str] = &["function", "input_schema", "schema"];

/// Refuses members of messages and of tools that other protocols have for what this one has by another name.
pub(super) fn check_members(request: &ChatRequest, refusals: Refusals<'_>) -> Result<(), Refusal> {
    let unread = |extra: &Map<String, Value>, names: &[&str]| {
        let asks = |(name, value): &(&String, &Value)| {
            let snake = snake_case(name);
            names.contains(&&*snake) && !asks_nothing(&snake, value)
        };
        extra.iter().find(asks).map(|(name, _)| place(name))
    };
    for (at, message) in request.messages.iter().enumerate() {
        if let Some(name) = unread(&message.extra, OF_MESSAGES) {
            return Err(not_open(format!(
                "`messages[{at}].{name}` isn't read here; send it in `messages[{at}].content`, or leave it out"
            )));
        }
    }
    for (at, tool) in request.isomorphic_tools.iter().enumerate() {
        if let Some(name) = unread(&tool.extra, OF_TOOLS) {
            let tools = refusals.name("isomorphicTools");
            return Err(not_open(format!(
                "`{tools}[{at}].{name}` isn't read here; send `{tools}[{at}].parameters`, or leave it out"
            )));
        }
    }
    Ok(())
}

/// Moves fields that are open for the model's server into the options, and refuses others that ask something of
/// the model, because nothing reads them.
pub(super) fn settle(
    request: &mut ChatRequest,
    opened: &OpenNames<'_>,
    refusals: Refusals<'_>,
) -> Result<(), Refusal> {
    let mut moved = Map::new();
    for (field, value) in &request.extra {
        let of_props = || {
            field
                .rsplit_once('.')
                .filter(|_| field.starts_with(OF_PROPS))
        };
        let (of, name) = of_props().unwrap_or(("", field));
        let snake = snake_case(name);
        let is_open = opened.fields.contains(&**field) || opened.fields.contains(of);
        if is_open || asks_nothing(&snake, value) {
            continue;
        }
        let names = [name, &snake];
        let of_server = names
            .iter()
            .find(|it| opened.provider_fields.contains(**it));
        if let Some(name) = of_server {
            moved.insert((*name).to_owned(), value.clone());
            continue;
        }
        let told = place(field);
        let known = meaning(&snake).or_else(|| (!of.is_empty()).then_some(Meaning::OfServer));
        return Err(not_open(match known {
            None => continue,
            Some(Meaning::Field(known)) => match refusals.name(known) {
                word if word == field || word == name => {
                    format!("`{told}` has no effect on this server's model; leave it out")
                }
                word => format!("`{told}` isn't read here; send `{word}`, or leave it out"),
            },
            Some(Meaning::OfServer) => format!(
                "`{told}` is not open to clients; leave it out (the application opens it with \
                 `ClientFields::provider_field(\"{}\")`)",
                place(&snake)
            ),
            Some(Meaning::OfApplication) => format!(
                "`{told}` isn't read here; leave it out (an application that reads it opens it with \
                 `ClientFields::field(\"{told}\")`)"
            ),
        }));
    }
    for (name, value) in moved {
        request.options.provider_fields.entry(name).or_insert(value);
    }
    Ok(())
}
