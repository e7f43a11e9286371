use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use serde::Deserialize;
use serde_json::{Value, json};
use unbroken::{
    chat::IsomorphicClientOutput,
    tools::{Call, ToolFailure, Tools, handoff_fn, tool_fn},
};

/// How often tools ran, by what they were called with, which they tell.
#[derive(Clone, Default)]
struct Times(Arc<Mutex<HashMap<String, usize>>>);

impl Times {
    fn one_more(&self, what: &str) -> usize {
        let mut times = self.0.lock().unwrap();
        let times = times.entry(what.to_owned()).or_default();
        *times += 1;
        *times
    }
}

#[derive(Deserialize, schemars::JsonSchema)]
struct Lookup {
    key: String,
}

#[derive(Deserialize, schemars::JsonSchema)]
struct Flight {
    flight: String,
}

/// `lookup` runs on the server; `seat` does so in two halves, with the client between.
pub(crate) fn tools() -> Tools {
    let (looks, halves) = (Times::default(), Times::default());
    let lookup = move |Lookup { key }: Lookup, _: Call| {
        let times = looks.one_more(&key);
        async move { Ok(json!({"key": key, "times": times})) }
    };
    let firsts = halves.clone();
    let offer = move |Flight { flight }: Flight, _: Call| {
        let times = firsts.one_more(&format!("first {flight}"));
        async move { Ok(json!({"flight": flight, "free": ["1A", "2C"], "times": times})) }
    };
    let book = move |given: IsomorphicClientOutput, _: Call| {
        let flight = given.params["flight"].as_str().unwrap_or_default();
        let times = halves.one_more(&format!("second {flight}"));
        async move {
            // All of this is the client's word, the seats that the first half offered too.
            let offered = given.cached_handoff.unwrap_or_default();
            let free = offered["free"].as_array().cloned().unwrap_or_default();
            match given.client_output {
                Value::String(seat) if free.contains(&json!(seat)) => {
                    Ok(json!({"booked": seat, "times": times}))
                }
                _ => Err(ToolFailure::new("there is no such seat").into()),
            }
        }
    };
    Tools::new()
        .with(tool_fn("lookup", "Looks something up.", lookup))
        .with(handoff_fn("seat", "Books a seat.", offer, book))
}
