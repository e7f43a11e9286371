use std::collections::{HashSet, VecDeque};

use serde_json::{Map, Value, json};
use unbroken::chat::{ChatEvent, Citation, TextSpan};

use super::state_event;

/// The name of the details of reasoning, in deltas, in messages and in the state.
pub(crate) const REASONING_DETAILS: &str = "reasoning_details";
/// The fields of a detail that come in pieces.
const PIECES: [&str; 2] = ["text", "summary"];

/// The members of a delta of Chat Completions that genai leaves out: sources, and details of reasoning.
#[derive(Debug, Default)]
pub(super) struct ChatExtras {
    told: HashSet<(String, Option<TextSpan>)>,
    details: Vec<Map<String, Value>>,
}

impl ChatExtras {
    /// Takes a list of `annotations`. Returns false if one can't be read.
    pub(super) fn annotations(&mut self, list: &Value, out: &mut VecDeque<ChatEvent>) -> bool {
        self.sources(list, citation, out)
    }

    /// Takes the list `citations` beside the choices, which Perplexity repeats in each piece. Returns false if
    /// one can't be read.
    pub(super) fn addresses(&mut self, list: &Value, out: &mut VecDeque<ChatEvent>) -> bool {
        let read = |url: &Value| {
            let url = url.as_str().filter(|url| !url.is_empty())?;
            Some(Citation::link(url, url))
        };
        self.sources(list, read, out)
    }

    fn sources(
        &mut self,
        list: &Value,
        read: impl Fn(&Value) -> Option<Citation>,
        out: &mut VecDeque<ChatEvent>,
    ) -> bool {
        let Value::Array(list) = list else {
            return list.is_null();
        };
        let mut all = true;
        for item in list {
            let Some(source) = read(item) else {
                all = false;
                continue;
            };
            if self.told.insert((source.id.clone(), source.at)) {
                out.push_back(source.into());
            }
        }
        all
    }

    /// Takes a list of `reasoning_details`. Returns false if one can't be handed back: genai sends those alone
    /// whose type begins with `reasoning.`.
    pub(super) fn details(&mut self, list: &Value) -> bool {
        let Value::Array(list) = list else {
            return list.is_null();
        };
        let mut all = true;
        for detail in list {
            match detail {
                Value::Object(detail) if is_sent(detail) => self.push(detail),
                _ => all = false,
            }
        }
        all
    }

    /// Returns the state of the turn, if there is any.
    pub(super) fn finish(&mut self, state_name: &str) -> Option<ChatEvent> {
        let details: Vec<_> = self.details.drain(..).map(Value::Object).collect();
        (!details.is_empty()).then(|| state_event(state_name, json!({REASONING_DETAILS: details})))
    }

    /// Adds a piece to the last detail if it continues that, as OpenRouter's own client joins them.
    fn push(&mut self, piece: &Map<String, Value>) {
        let has_pieces = |detail: &Map<String, Value>| {
            PIECES.iter().any(|name| detail.contains_key(*name))
                || detail.get("type").and_then(Value::as_str) == Some("reasoning.text")
        };
        let continued = self.details.last_mut().filter(|last| {
            let same = |name: &str| last.get(name) == piece.get(name);
            same("type") && same("index") && has_pieces(last) && has_pieces(piece)
        });
        let Some(last) = continued else {
            self.details.push(piece.clone());
            return;
        };
        for (name, value) in piece {
            match (last.get_mut(name), value) {
                (_, Value::Null) => {}
                (Some(Value::String(text)), Value::String(piece))
                    if PIECES.contains(&name.as_str()) =>
                {
                    text.push_str(piece);
                }
                (_, value) => {
                    last.insert(name.clone(), value.clone());
                }
            }
        }
    }
}

fn is_sent(detail: &Map<String, Value>) -> bool {
    let kind = detail.get("type").and_then(Value::as_str);
    kind.is_some_and(|kind| kind.starts_with("reasoning."))
}

/// Reads an annotation of the type `url_citation`. The address is the name of the source, so that the same
/// page is the same source in every turn.
fn citation(annotation: &Value) -> Option<Citation> {
    if annotation["type"] != "url_citation" {
        return None;
    }
    let of = annotation.get("url_citation").unwrap_or(annotation);
    let word = |name: &str| {
        let word = of.get(name)?.as_str();
        word.filter(|word| !word.is_empty()).map(str::to_owned)
    };
    let url = word("url")?;
    let mut source = Citation::link(url.clone(), url);
    source.title = word("title");
    source.quote = word("content");
    let place = of["start_index"].as_u64().zip(of["end_index"].as_u64());
    // Some servers send zeros.
    source.at = place
        .filter(|(start, end)| start < end)
        .map(|(start, end)| TextSpan::new(start, end));
    Some(source)
}
