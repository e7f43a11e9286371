use std::{borrow::Cow, collections::BTreeSet};

use serde_json::Map;

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
