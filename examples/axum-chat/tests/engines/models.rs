use std::{thread::sleep, time::Duration};

use serde_json::json;

use crate::{
    client::{Answer, End, Event, assert_in_order, text},
    engine::Engine,
    example::Example,
    vendor::{Protocol, Vendor, WORDS},
};

/// One program, with a model by its name only: a picture and thoughts, a tool round whose second request
/// has to bring the signature of the first, a cut, a resume, a stop, and a server that is killed.
pub(crate) fn one_program(protocol: Protocol, engine: &impl Engine) {
    let vendor = Vendor::start(protocol);
    let start = || Example::of_vendor(&engine.url(), &vendor);
    let (first, second) = (start(), start());

    vendor.hold(true);
    let mut answer = ask(&first);
    assert_eq!(answer.status, 200);
    let id = answer.header("x-session-id").to_owned();
    let mut seen = until_held(&mut answer);
    drop(answer); // the connection is cut
    let types: Vec<_> = seen.iter().map(Event::kind).collect();
    for kind in ["thinking", "tool_calls", "tool_result", "text"] {
        assert!(types.contains(&kind), "{kind} in {types:?}");
    }
    let call = &of_type(&seen, "tool_calls")[0].data["calls"][0];
    assert_eq!(call["arguments"], json!({"city": "Oslo"}));
    assert_eq!(vendor.rounds(), [1, 1]);

    // Resumed on the other server, while the first one writes.
    let cursor = seen.last().and_then(|it| it.id.clone());
    let mut resumed = second.read(&id, cursor.as_deref());
    drop(first); // killed
    let anew = loop {
        let event = resumed.next().expect("the other server takes over");
        let is_anew = event.kind() == "restarted";
        seen.push(event);
        if is_anew {
            break seen.len();
        }
    };
    seen.extend(until_held(&mut resumed));
    assert_eq!(vendor.rounds(), [2, 2], "asked again, each round once");
    vendor.hold(false);
    let (rest, end) = resumed.rest();
    assert_eq!(end, End::Clean);
    seen.extend(rest);
    seen.retain(|event| event.id.is_some());
    assert_in_order(&seen);
    assert_eq!(text(&seen[anew..]), WORDS.concat());
    assert_eq!(of_type(&seen[anew..], "tool_result").len(), 1);
    let turns = of_type(&seen[anew..], "turn");
    assert_eq!(turns.len(), 2, "{turns:?}");
    let model = vendor.environment()[0].1.clone();
    assert_eq!(turns[1].data["model"], model.as_str());
    let end = &seen.last().expect("an end").data;
    assert_eq!(
        *end,
        json!({"type": "complete", "finishReason": "stop", "usage": {"inputTokens": 14, "outputTokens": 18}})
    );

    // A stop reaches the model's server.
    let closed = vendor.closed();
    vendor.hold(true);
    let mut answer = ask(&second);
    let id = answer.header("x-session-id").to_owned();
    until_held(&mut answer);
    let stop = format!("POST /api/chat/{id}/abort HTTP/1.1");
    let stopped = Answer::to(&second.address, &stop, "");
    assert!([200, 202].contains(&stopped.status), "{}", stopped.status);
    let (rest, _) = answer.rest();
    assert_eq!(rest.last().map(Event::kind), Some("aborted"));
    while vendor.closed() == closed {
        sleep(Duration::from_millis(5));
    }

    assert_eq!(vendor.refusals(), Vec::<String>::new());
    assert_eq!(vendor.pictures().len(), 6, "in each request");
    assert!(vendor.pictures().iter().all(|it| it == PICTURE));
    assert!(vendor.keys().iter().all(|it| it == "a-key"));
}

/// A PNG of one pixel.
const PICTURE: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

fn ask(example: &Example) -> Answer {
    let picture = json!({"type": "media", "mediaType": "image/png", "name": "dot.png",
                         "url": format!("data:image/png;base64,{PICTURE}")});
    let question = json!({"type": "text", "text": "How is the weather there?"});
    let message = json!({"role": "user", "content": [picture, question]});
    let body = json!({"messages": [message], "enabledTools": true}).to_string();
    Answer::to(&example.address, "POST /api/chat HTTP/1.1", &body)
}

/// Reads to the word before the one that is held.
fn until_held(answer: &mut Answer) -> Vec<Event> {
    let mut seen: Vec<Event> = Vec::new();
    while !text(&seen).ends_with(WORDS[2]) {
        seen.push(answer.next().expect("another event"));
    }
    seen
}

fn of_type<'a>(events: &'a [Event], kind: &str) -> Vec<&'a Event> {
    events.iter().filter(|event| event.kind() == kind).collect()
}
