//! Fuzzes decoders with changed recordings of servers.
//!
//! The recordings are changed at random, byte by byte and value by value, or answers are made up by a
//! grammar, for 2 s, or for as many seconds as `UNBROKEN_FUZZ_SECONDS` says. `UNBROKEN_FUZZ_SEED` repeats a run that failed.

use std::{
    collections::VecDeque,
    env,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

#[path = "../../../tests/providers/shapes.rs"]
#[allow(
    dead_code,
    reason = "a test of the crate `tests/providers` reads more of it"
)]
pub(crate) mod shapes;

mod grammar;

pub(crate) use self::grammar::{Grammar, Rule};
use super::Decode;
use crate::chat::{ChatEvent, ProviderError};

// It has a capital letter, which the codes that an error keeps don't have.
const SECRET: &str = "Sekret";
const MAX_INPUT: usize = 16 * 1024;

type DecodeOutcome = (Vec<ChatEvent>, Result<(), String>);

/// Feeds changed `seeds` to decoders. `decoder` makes one with a maximum length of its lines.
pub(crate) fn fuzz(seeds: &[&[u8]], decoder: impl Fn(usize) -> Box<dyn Decode>) {
    feed(|chance| input(seeds, chance), decoder, |_| true);
}

/// Feeds answers of a protocol to decoders: JSON that is well-formed, with odd content.
pub(crate) fn fuzz_grammar(grammar: &Grammar, decoder: impl Fn(usize) -> Box<dyn Decode>) {
    feed(|chance| grammar.answer(chance), decoder, is_of_a_vendor);
}

/// Returns true if an answer ends with a reason that is no failure, and has calls only if it is whole.
fn is_of_a_vendor(answer: &[ChatEvent]) -> bool {
    let Some(ChatEvent::Complete(end)) = answer.last() else {
        return false;
    };
    let is_call = |event: &ChatEvent| matches!(event, ChatEvent::ToolCalls(_));
    let reason = &end.finish_reason;
    !reason.is_failure() && (reason.is_whole() || !answer.iter().any(is_call))
}

fn feed(
    mut input: impl FnMut(&mut SeededRandom) -> Vec<u8>,
    decoder: impl Fn(usize) -> Box<dyn Decode>,
    is_right: fn(&[ChatEvent]) -> bool,
) {
    let seconds = number("UNBROKEN_FUZZ_SECONDS").unwrap_or(2);
    let seed = number("UNBROKEN_FUZZ_SEED").unwrap_or_else(|| getrandom::u64().unwrap());
    let mut chance = SeededRandom(seed);
    let began = Instant::now();
    let (mut inputs, mut whole, mut failed) = (0_u64, 0_u64, 0_u64);
    while began.elapsed() < Duration::from_secs(seconds) {
        let input = input(&mut chance);
        let max = if chance.one_in(4) {
            chance.below(300)
        } else {
            1024 * 1024
        };
        let at_once = run(decoder(max), [&input[..]].into_iter());
        let cut = pieces(&input, &mut chance);
        let in_pieces = run(decoder(max), cut.into_iter());
        let place = || format!("seed {seed}, input {inputs}: {}", input.escape_ascii());
        assert_eq!(
            at_once,
            in_pieces,
            "the result depends on where bytes are split: {}",
            place()
        );
        let terminal = at_once.0.iter().filter(|event| event.is_terminal()).count();
        match at_once.1 {
            Ok(()) => {
                whole += 1;
                assert_eq!(terminal, 1, "{}", place());
                assert!(at_once.0.last().unwrap().is_terminal(), "{}", place());
                assert!(is_right(&at_once.0), "{}", place());
            }
            Err(error) => {
                failed += 1;
                assert_eq!(terminal, 0, "{}", place());
                assert!(!error.contains(SECRET), "{error}: {}", place());
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

fn run<'a>(mut decoder: Box<dyn Decode>, pieces: impl Iterator<Item = &'a [u8]>) -> DecodeOutcome {
    let shown = |error: ProviderError| format!("{error} {error:?}");
    let mut out = VecDeque::new();
    for piece in pieces {
        if let Err(error) = decoder.push(piece, &mut out) {
            return (out.into(), Err(shown(error)));
        }
        if decoder.is_done() {
            break;
        }
    }
    let end = decoder.end(&mut out).map_err(shown);
    (out.into(), end)
}

fn pieces<'a>(mut input: &'a [u8], chance: &mut SeededRandom) -> Vec<&'a [u8]> {
    let longest = [1, 3, 64, 1024][chance.below(4)];
    let mut pieces = Vec::new();
    while !input.is_empty() {
        let (piece, rest) = input.split_at((1 + chance.below(longest)).min(input.len()));
        pieces.push(piece);
        input = rest;
    }
    pieces
}

fn input(seeds: &[&[u8]], chance: &mut SeededRandom) -> Vec<u8> {
    let mut input = seeds[chance.below(seeds.len())].to_vec();
    for _ in 0..chance.below(6) {
        if chance.one_in(2) {
            change_value(&mut input, chance);
        } else {
            change_bytes(&mut input, seeds, chance);
        }
        input.truncate(MAX_INPUT);
    }
    input
}

// Changes a member somewhere in the JSON of one line.
fn change_value(input: &mut Vec<u8>, chance: &mut SeededRandom) {
    let mut lines: Vec<_> = input
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::to_vec)
        .collect();
    let at = chance.below(lines.len());
    let line = &mut lines[at];
    let start = line
        .iter()
        .position(|byte| *byte == b'{')
        .unwrap_or(line.len());
    if let Ok(mut value) = serde_json::from_slice::<Value>(&line[start..]) {
        change_member(&mut value, chance);
        line.truncate(start);
        line.extend(value.to_string().into_bytes());
    }
    *input = lines.join(&b'\n');
}

fn change_member(value: &mut Value, chance: &mut SeededRandom) {
    let deeper = !chance.one_in(4);
    match value {
        Value::Object(members) if deeper && !members.is_empty() => {
            let key = members
                .keys()
                .nth(chance.below(members.len()))
                .unwrap()
                .clone();
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

fn other_value(chance: &mut SeededRandom) -> Value {
    match chance.below(10) {
        0 => Value::Null,
        1 => json!(true),
        2 => json!(chance.next()),
        3 => json!(-1),
        4 => json!(1.5e300),
        5 => json!(""),
        6 => json!([]),
        7 => json!({}),
        8 => json!(format!("{SECRET} {}", word(chance))),
        _ => json!(word(chance)),
    }
}

// Words that have a meaning for one of the decoders.
fn word(chance: &mut SeededRandom) -> &'static str {
    const WORDS: [&str; 32] = [
        "error",
        "message",
        "content",
        "thinking",
        "reasoning",
        "tool_calls",
        "function",
        "index",
        "id",
        "name",
        "arguments",
        "{\"a\":",
        "1}",
        "{}",
        "stop",
        "length",
        "done",
        "done_reason",
        "choices",
        "delta",
        "finish_reason",
        "usage",
        "code",
        "errors",
        "detail",
        "type",
        "text",
        "<think>",
        "</think>",
        "function_call",
        "tool_use",
        SECRET,
    ];
    WORDS[chance.below(WORDS.len())]
}

fn change_bytes(input: &mut Vec<u8>, seeds: &[&[u8]], chance: &mut SeededRandom) {
    const PIECES: [&[u8]; 21] = [
        b"\n",
        b"\r",
        b"\r\n",
        b"\n\n",
        b"data:",
        b"data: [DONE]\n\n",
        b": \n\n",
        b"\xef\xbb\xbf",
        b"\xff",
        b"\xf0\x9f",
        b"\"",
        b"\\",
        b"{",
        b"}",
        b"Sekret",
        b"{\"done\":true}\n",
        b"\\ud83d",
        b"\\ude00",
        b"event: error\n",
        b"<think>",
        b"</think>",
    ];
    let from = chance.below(input.len() + 1);
    let to = (from + chance.below(40)).min(input.len());
    match chance.below(6) {
        0 if !input.is_empty() => {
            let at = from.min(input.len() - 1);
            input[at] ^= 1 << chance.below(8);
        }
        1 => drop(input.drain(from..to)),
        2 => {
            let again = input[from..to].to_vec();
            input.splice(from..from, again);
        }
        3 => {
            let other = seeds[chance.below(seeds.len())];
            input.truncate(from);
            input.extend_from_slice(&other[chance.below(other.len())..]);
        }
        4 => input.truncate(from),
        _ => {
            let piece = PIECES[chance.below(PIECES.len())];
            input.splice(from..from, piece.iter().copied());
        }
    }
}

/// Random numbers from a seed: `SplitMix64`.
struct SeededRandom(u64);

impl SeededRandom {
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
}
