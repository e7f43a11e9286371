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

/// Counts the runs of each tool by its arguments. The tools report the count.
#[derive(Clone, Default)]
struct CallCounts(Arc<Mutex<HashMap<String, usize>>>);

impl CallCounts {
    fn count(&self, what: &str) -> usize {
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

/// Returns the tool `lookup`, which runs on the server, and `seat`, whose two server halves have the
/// client between them.
pub(crate) fn tools() -> Tools {
    let (lookups, halves) = (CallCounts::default(), CallCounts::default());
    let lookup = move |Lookup { key }: Lookup, _: Call| {
        let times = lookups.count(&key);
        async move { Ok(json!({"key": key, "times": times})) }
    };
    let firsts = halves.clone();
    let offer = move |Flight { flight }: Flight, _: Call| {
        let times = firsts.count(&format!("first {flight}"));
        async move { Ok(json!({"flight": flight, "free": ["1A", "2C"], "times": times})) }
    };
    let book = move |given: IsomorphicClientOutput, _: Call| {
        let flight = given.params["flight"].as_str().unwrap_or_default();
        let times = halves.count(&format!("second {flight}"));
        async move {
            // All of this comes from the client, including the seats that the first half offered.
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
