//! Well-formed JSON in the words of a protocol, with odd types, repeated names and nested values.

use serde_json::Value;

use super::{SECRET, SplitMix, word};
use crate::frames::ServerFrame;

/// Returns the frames of a seed, with some of their values written in another way.
pub(super) fn frames(seeds: &[&[&str]], chance: &mut SplitMix) -> Vec<ServerFrame> {
    let names = names(seeds);
    let frames = chance.one_of(seeds);
    // Where nothing is changed the answer is whole; where all is, it never is.
    let rarity = chance.one_of(&[8, 30, 100]);
    let mut out = Vec::new();
    for frame in frames {
        let data = match serde_json::from_str::<Value>(frame) {
            Ok(value) => {
                let mut text = String::new();
                let mut writer = Writer {
                    names: &names,
                    rarity,
                    chance,
                };
                writer.write(&value, &mut text);
                text
            }
            Err(_) => (*frame).to_owned(),
        };
        out.push(ServerFrame { name: None, data });
    }
    if chance.one_in(10) {
        let at = chance.below(out.len());
        out.remove(at);
    }
    out
}

/// Returns the names of all members, and all words of these frames.
fn names(seeds: &[&[&str]]) -> Vec<String> {
    fn collect(value: &Value, names: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                names.extend(members.keys().cloned());
                members.values().for_each(|it| collect(it, names));
            }
            Value::Array(items) => items.iter().for_each(|it| collect(it, names)),
            Value::String(word) => names.push(word.clone()),
            _ => {}
        }
    }
    let mut names = Vec::new();
    for frame in seeds.iter().flat_map(|frames| frames.iter()) {
        if let Ok(value) = serde_json::from_str(frame) {
            collect(&value, &mut names);
        }
    }
    names.sort();
    names.dedup();
    names
}

struct Writer<'a> {
    names: &'a [String],
    rarity: usize,
    chance: &'a mut SplitMix,
}

impl Writer<'_> {
    fn write(&mut self, value: &Value, out: &mut String) {
        if self.chance.one_in(self.rarity) {
            self.odd(3, out);
            return;
        }
        match value {
            Value::Object(members) => {
                out.push('{');
                for (name, value) in members {
                    if self.chance.one_in(self.rarity) {
                        // Of a repeated name the last value counts.
                        self.member(name, out);
                    }
                    if self.chance.one_in(self.rarity) {
                        let name = self.chance.one_of(self.names);
                        self.member(&name, out);
                    }
                    out.extend([&Value::from(name.as_str()).to_string(), ":"]);
                    self.write(value, out);
                    out.push(',');
                }
                close(out, '}');
            }
            Value::Array(items) => {
                out.push('[');
                for item in items {
                    if self.chance.one_in(self.rarity) {
                        self.odd(2, out);
                        out.push(',');
                    }
                    self.write(item, out);
                    out.push(',');
                }
                close(out, ']');
            }
            other => out.push_str(&other.to_string()),
        }
    }

    fn member(&mut self, name: &str, out: &mut String) {
        out.extend([&Value::from(name).to_string(), ":"]);
        self.odd(2, out);
        out.push(',');
    }

    fn odd(&mut self, depth: usize, out: &mut String) {
        const ODD: [&str; 18] = [
            "null",
            "true",
            "false",
            "0",
            "-1",
            "7",
            "3.0",
            "1.5e300",
            "1e999",
            "18446744073709551615",
            "\"\"",
            "\"7\"",
            "[]",
            "{}",
            "[null]",
            r#""\ud83d""#,
            r#""\ude00\ud83d.""#,
            r#"{"\ud800":"\udc00"}"#,
        ];
        match self.chance.below(if depth == 0 { 5 } else { 9 }) {
            0 | 1 => out.push_str(self.chance.one_of(&ODD)),
            2 => out.push_str(&Value::from(format!("{SECRET} {}", word(self.chance))).to_string()),
            3 => {
                let word = self.chance.one_of(self.names);
                out.push_str(&Value::from(word).to_string());
            }
            4 if self.chance.one_in(20) => {
                let levels = 90 + self.chance.below(100);
                out.extend([&*"[".repeat(levels), &*"]".repeat(levels)]);
            }
            4..=6 => {
                out.push('{');
                for _ in 0..self.chance.below(4) {
                    let name = self.chance.one_of(self.names);
                    out.extend([&Value::from(name).to_string(), ":"]);
                    self.odd(depth.saturating_sub(1), out);
                    out.push(',');
                }
                close(out, '}');
            }
            _ => {
                out.push('[');
                for _ in 0..self.chance.below(4) {
                    self.odd(depth - 1, out);
                    out.push(',');
                }
                close(out, ']');
            }
        }
    }
}

fn close(out: &mut String, end: char) {
    if out.ends_with(',') {
        out.pop();
    }
    out.push(end);
}
