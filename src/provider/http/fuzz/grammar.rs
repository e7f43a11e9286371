//! Answers in the words of a protocol: each line is JSON, and any value in it may be another one.

use std::fmt::Write;

use super::{SECRET, SeededRandom};

/// The words of a protocol.
pub(crate) struct Grammar {
    /// What stands before and after the JSON of each message.
    pub(crate) frame: (&'static str, &'static str),
    /// What may stand between messages, and at the end.
    pub(crate) between: &'static [&'static str],
    /// The messages, with the rule of each.
    pub(crate) messages: &'static [&'static str],
    /// A message with which an answer is whole.
    pub(crate) ends: &'static [&'static str],
    /// What a name stands for, as a member or as a message.
    pub(crate) rules: &'static [(&'static str, Rule)],
}

/// The value that belongs to a name.
#[derive(Clone, Copy)]
pub(crate) enum Rule {
    /// One of these texts.
    Text(&'static [&'static str]),
    /// JSON as it is.
    Json(&'static [&'static str]),
    Count,
    /// An object with some of these members; `name=rule` is a member with another rule than its name's.
    Object(&'static [&'static str]),
    /// A list of what this name stands for.
    List(&'static str),
}

// Twice as deep as `serde_json` decodes.
const DEEP: usize = 256;
const ODD: [&str; 18] = [
    "null",
    "true",
    "false",
    "0",
    "-1",
    "7.9",
    "1.5e300",
    "18446744073709551616",
    r#""""#,
    r#"" 3 ""#,
    r#""\ud83d""#,
    r#""\ude00a\ud83d""#,
    r#""\u0000\r\n""#,
    r#""Sekret words""#,
    "[]",
    "{}",
    r#"[null,[{}],"Sekret"]"#,
    r#"{"$serde_json::private::RawValue":"{","Sekret":1}"#,
];

impl Grammar {
    pub(super) fn answer(&self, chance: &mut SeededRandom) -> Vec<u8> {
        assert!(ODD[13].contains(SECRET));
        let mut answer = String::new();
        for _ in 0..chance.below(6) {
            if chance.one_in(8) {
                answer.push_str(pick(self.between, chance));
            }
            self.message(pick(self.messages, chance), chance, &mut answer);
        }
        if !chance.one_in(4) {
            let (begin, end) = self.frame;
            let _ = write!(answer, "{begin}{}{end}", pick(self.ends, chance));
        }
        if chance.one_in(2) {
            answer.push_str(pick(self.between, chance));
        }
        let mut bytes = answer.into_bytes();
        if chance.one_in(8) {
            // In the middle of a text, perhaps.
            let at = chance.below(bytes.len() + 1);
            bytes.splice(at..at, *b"\xf0\x9f");
        }
        bytes
    }

    fn message(&self, rule: &str, chance: &mut SeededRandom, out: &mut String) {
        out.push_str(self.frame.0);
        self.value(rule, 0, chance, out);
        out.push_str(self.frame.1);
    }

    fn value(&self, name: &str, depth: usize, chance: &mut SeededRandom, out: &mut String) {
        let rule = self.rules.iter().find(|(known, _)| *known == name);
        if depth > 0 && chance.one_in(12) {
            return self.odd(depth, chance, out);
        }
        match rule.map(|(_, rule)| *rule) {
            None => self.odd(depth, chance, out),
            Some(Rule::Text(texts)) => {
                let _ = write!(out, "\"{}\"", pick(texts, chance));
            }
            Some(Rule::Json(values)) => out.push_str(pick(values, chance)),
            Some(Rule::Count) => {
                let _ = write!(out, "{}", chance.below(4));
            }
            Some(Rule::List(of)) => {
                out.push('[');
                for at in 0..chance.below(4) {
                    out.push_str(if at > 0 { "," } else { "" });
                    self.value(of, depth + 1, chance, out);
                }
                out.push(']');
            }
            Some(Rule::Object(members)) => {
                out.push('{');
                let mut count = 0;
                for member in members {
                    let (member, rule) = member.split_once('=').unwrap_or((member, member));
                    let times = match chance.below(12) {
                        0 => 2, // a repeated key
                        1..7 => 1,
                        _ => 0,
                    };
                    for _ in 0..times {
                        out.push_str(if count > 0 { ", " } else { "" });
                        let _ = write!(out, "\"{member}\": ");
                        self.value(rule, depth + 1, chance, out);
                        count += 1;
                    }
                }
                out.push('}');
            }
        }
    }

    fn odd(&self, depth: usize, chance: &mut SeededRandom, out: &mut String) {
        match chance.below(24) {
            0 => {
                let deep = 1 + chance.below(DEEP);
                out.extend(["[".repeat(deep), "]".repeat(deep)]);
            }
            1..5 if depth < 8 => {
                let (name, _) = self.rules[chance.below(self.rules.len())];
                self.value(name, depth + 1, chance, out);
            }
            _ => out.push_str(pick(&ODD, chance)),
        }
    }
}

fn pick<'a>(from: &[&'a str], chance: &mut SeededRandom) -> &'a str {
    from[chance.below(from.len())]
}
