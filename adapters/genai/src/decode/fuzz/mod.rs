//! Fuzzes decoders with changed frames of servers, and with JSON in odd types, for 2 s, or for as many seconds as `UNBROKEN_FUZZ_SECONDS` says.
//! `UNBROKEN_FUZZ_SEED` repeats a run that failed.

mod odd;
mod seeds;

use std::{
    collections::VecDeque,
    env,
    hash::{BuildHasher, RandomState},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use unbroken::chat::{ChatEvent, FinishReason, Message, ProviderError};

use self::seeds::{CHAT, CLAUDE, GEMINI, RESPONSES};
use super::Decoder;
use crate::{frames::ServerFrame, turn::TurnSoFar, wire_format::WireFormat};

// It has a capital letter, which the codes that an error keeps don't have.
const SECRET: &str = "Sekret";

#[test]
fn any_bytes_give_an_answer_or_an_error_of_claude() {
    fuzz(WireFormat::Anthropic, &CLAUDE, changed, false);
}

#[test]
fn any_bytes_give_an_answer_or_an_error_of_gemini() {
    fuzz(WireFormat::Gemini, &GEMINI, changed, false);
}

#[test]
fn any_bytes_give_an_answer_or_an_error_of_chat_completions() {
    fuzz(WireFormat::Chat, &CHAT, changed, false);
}

#[test]
fn any_bytes_give_an_answer_or_an_error_of_responses() {
    fuzz(WireFormat::Responses, &RESPONSES, changed, false);
}

#[test]
fn any_bytes_give_an_answer_or_an_error_of_claude_in_odd_types() {
    fuzz(WireFormat::Anthropic, &CLAUDE, odd::frames, true);
}

#[test]
fn any_bytes_give_an_answer_or_an_error_of_gemini_in_odd_types() {
    fuzz(WireFormat::Gemini, &GEMINI, odd::frames, true);
}

#[test]
fn any_bytes_give_an_answer_or_an_error_of_chat_completions_in_odd_types() {
    fuzz(WireFormat::Chat, &CHAT, odd::frames, true);
}

#[test]
fn any_bytes_give_an_answer_or_an_error_of_responses_in_odd_types() {
    fuzz(WireFormat::Responses, &RESPONSES, odd::frames, true);
}

type Frames = fn(&[&[&str]], &mut SplitMix) -> Vec<ServerFrame>;

fn fuzz(wire: WireFormat, seeds: &[&[&str]], frames_of: Frames, is_json: bool) {
    let seconds = number("UNBROKEN_FUZZ_SECONDS").unwrap_or(2);
    let seed = number("UNBROKEN_FUZZ_SEED").unwrap_or_else(|| RandomState::new().hash_one(0));
    let mut chance = SplitMix(seed);
    let began = Instant::now();
    let (mut inputs, mut whole, mut failed) = (0_u64, 0_u64, 0_u64);
    while began.elapsed() < Duration::from_secs(seconds) {
        let frames = frames_of(seeds, &mut chance);
        let max = if chance.one_in(4) {
            chance.below(300)
        } else {
            1 << 20
        };
        let place = || format!("seed {seed}, input {inputs}: {frames:?}");
        let (events, outcome) = run(wire, &frames, max);
        let terminal = events.iter().filter(|event| event.is_terminal()).count();
        let has_calls = (events.iter()).any(|event| matches!(event, ChatEvent::ToolCalls(_)));
        match outcome {
            Ok(()) => {
                whole += 1;
                assert_eq!(terminal, 1, "{}", place());
                let Some(ChatEvent::Complete(end)) = events.back() else {
                    panic!("{}", place());
                };
                let calls = end.finish_reason == FinishReason::ToolCalls;
                assert!(calls || !has_calls, "{}", place());
            }
            Err(error) => {
                failed += 1;
                assert_eq!(terminal, 0, "{}", place());
                assert!(!has_calls, "{}", place());
                let error = format!("{error} {error:?}");
                assert!(!error.contains(SECRET), "{error}: {}", place());
                let is_refused = is_json && error.contains("a frame that isn't JSON");
                assert!(!is_refused, "{error}: {}", place());
            }
        }
        inputs += 1;
    }
    println!("{inputs} inputs, {whole} whole, {failed} failed; seed {seed}");
    assert!(
        whole > inputs / 100 && failed > inputs / 100,
        "{whole} {failed}"
    );
}

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|value| value.parse().unwrap())
}

fn run(
    wire: WireFormat,
    frames: &[ServerFrame],
    max: usize,
) -> (VecDeque<ChatEvent>, Result<(), ProviderError>) {
    let none: [Message; 0] = [];
    let mut decoder = Decoder::new(wire, "openai", TurnSoFar::new(&none, max), None);
    let mut out = VecDeque::new();
    for frame in frames {
        let read = decoder.frame(frame, &mut out);
        if read.is_err() {
            return (out, read);
        }
        if decoder.is_done() {
            break;
        }
    }
    if !decoder.is_done() && !decoder.is_finished() {
        return (out, Err(ProviderError::cut()));
    }
    let end = decoder.end(&mut out);
    (out, end)
}

fn changed(seeds: &[&[&str]], chance: &mut SplitMix) -> Vec<ServerFrame> {
    let mut frames: Vec<String> = chance.one_of(seeds).iter().map(|it| (*it).into()).collect();
    for _ in 0..chance.below(5) {
        let at = chance.below(frames.len());
        match chance.below(6) {
            0 => drop(frames.remove(at)),
            1 => frames.insert(at, frames[at].clone()),
            2 => {
                let other = chance.one_of(seeds);
                frames.insert(at, chance.one_of(other).to_owned());
            }
            3 => change_bytes(&mut frames[at], chance),
            _ => {
                if let Ok(mut value) = serde_json::from_str::<Value>(&frames[at]) {
                    change_member(&mut value, chance);
                    frames[at] = value.to_string();
                }
            }
        }
        if frames.is_empty() {
            frames.push("{}".into());
        }
    }
    let named = chance.one_in(50).then(|| chance.below(frames.len()));
    let frame = |(at, data)| ServerFrame {
        name: (named == Some(at)).then(|| "error".to_owned()),
        data,
    };
    frames.into_iter().enumerate().map(frame).collect()
}

fn change_bytes(frame: &mut String, chance: &mut SplitMix) {
    let mut bytes = std::mem::take(frame).into_bytes();
    let from = chance.below(bytes.len() + 1);
    let to = (from + chance.below(40)).min(bytes.len());
    match chance.below(3) {
        0 => drop(bytes.drain(from..to)),
        1 => bytes.truncate(from),
        _ => drop(bytes.splice(from..from, SECRET.bytes())),
    }
    *frame = String::from_utf8_lossy(&bytes).into_owned();
}

fn change_member(value: &mut Value, chance: &mut SplitMix) {
    let deeper = !chance.one_in(4);
    match value {
        Value::Object(members) if deeper && !members.is_empty() => {
            let keys: Vec<_> = members.keys().cloned().collect();
            let key = chance.one_of(&keys);
            match chance.below(8) {
                0 => drop(members.remove(&key)),
                1 => {
                    let moved = members[&key].clone();
                    members.insert(word(chance).to_owned(), moved);
                }
                _ => change_member(&mut members[&key], chance),
            }
        }
        Value::Array(items) if deeper && !items.is_empty() => {
            let at = chance.below(items.len());
            match chance.below(4) {
                0 => drop(items.remove(at)),
                1 => items.push(items[at].clone()),
                _ => change_member(&mut items[at], chance),
            }
        }
        _ => *value = other_value(chance),
    }
}

fn other_value(chance: &mut SplitMix) -> Value {
    match chance.below(9) {
        0 => Value::Null,
        1 => json!(true),
        2 => json!(chance.next()),
        3 => json!(-1),
        4 => json!(1.5e300),
        5 => json!([]),
        6 => json!({}),
        7 => json!(format!("{SECRET} {}", word(chance))),
        _ => json!(word(chance)),
    }
}

// Words that have a meaning for one of the decoders.
fn word(chance: &mut SplitMix) -> &'static str {
    const WORDS: [&str; 24] = [
        "",
        "error",
        "errors",
        "detail",
        "message",
        "code",
        "type",
        "text",
        "content",
        "thinking",
        "tool_calls",
        "function_call",
        "images",
        "audio",
        "index",
        "id",
        "name",
        "arguments",
        "stop",
        "choices",
        "delta",
        "finish_reason",
        "fileData",
        SECRET,
    ];
    chance.one_of(&WORDS)
}

// Random numbers from a seed.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound.max(1)).unwrap();
        usize::try_from(self.next() % bound).unwrap()
    }

    fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn one_of<T: Clone>(&mut self, values: &[T]) -> T {
        values[self.below(values.len())].clone()
    }
}
