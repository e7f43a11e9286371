use futures_util::StreamExt as _;

use super::{
    super::mutant::{Fault, Mutant},
    edited::edited,
};

const DEPTH: &str = "arguments_of_any_depth_can_be_read_again";
const VALUES: &str = "values_of_a_client_are_nested_64_levels_at_most";
const OUTPUTS: &str = "outputs_count_for_calls_that_were_handed_over_once";

pub(in super::super) const CLAIMS: &[Mutant] = &[
    Mutant::new(
        "arguments of any depth are JSON in the event",
        Fault::Stream(|_, items| {
            let items = items.map(|item| {
                item.map(|item| {
                    item.map(|event| {
                        let data = event.data.replace("\"arguments\":\"[", "\"arguments\":[");
                        event.data = data.replace("]\"", "]");
                    })
                })
            });
            items.boxed()
        }),
        &[DEPTH],
    )
    .only(),
    Mutant::new(
        "arguments lose a level",
        Fault::Stream(|_, items| {
            let items = items.map(|item| {
                item.map(|item| {
                    item.map(|event| event.data = event.data.replace("[[", "[").replace("]]", "]"))
                })
            });
            items.boxed()
        }),
        &[DEPTH],
    )
    .only(),
    Mutant::new(
        "values of any depth are dropped from requests",
        Fault::Exchange(|upstream, request| {
            edited(upstream, request, |body| {
                if body["script"].is_array() {
                    body["script"] = serde_json::json!({"tokens": 1});
                }
            })
        }),
        &[VALUES],
    )
    .only(),
    Mutant::new(
        "outputs that nothing handed over are dropped",
        Fault::Exchange(|upstream, request| {
            edited(upstream, request, |body| {
                if let Some(fields) = body.as_object_mut() {
                    fields.remove("isomorphicClientOutputs");
                }
            })
        }),
        &[OUTPUTS],
    )
    .only(),
    Mutant::new(
        "outputs count for every call",
        Fault::Exchange(|upstream, request| {
            edited(upstream, request, |body| {
                let outputs = body["isomorphicClientOutputs"].as_array_mut();
                for output in outputs.into_iter().flatten() {
                    output["callId"] = "call_7".into();
                }
            })
        }),
        &[OUTPUTS],
    )
    .only(),
];
