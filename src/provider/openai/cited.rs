use std::collections::{HashSet, VecDeque};

use serde_json::value::RawValue;

use crate::{
    chat::{ChatEvent, Citation, ProviderError, TextSpan},
    provider::http::{
        Oddities,
        json::{count, each_element, members, string},
    },
};

/// The sources that a server names: `annotations` of the message, as OpenAI and OpenRouter send them, and the
/// list `citations` beside the choices, which Perplexity repeats in each piece.
#[derive(Debug, Default)]
pub(super) struct CitedSources {
    told: HashSet<(String, Option<TextSpan>)>,
}

impl CitedSources {
    /// Takes the annotations of a message or a piece of it.
    pub(super) fn annotations(
        &mut self,
        annotations: &RawValue,
        odd: &mut Oddities,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        let listed = each_element(annotations, |annotation| {
            match citation(annotation) {
                Some(source) => self.tell(source, out),
                None => odd.note("annotations"),
            }
            Ok(())
        })?;
        if !listed {
            odd.note("annotations");
        }
        Ok(())
    }

    /// Takes a list of addresses.
    pub(super) fn addresses(
        &mut self,
        addresses: &RawValue,
        odd: &mut Oddities,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        let listed = each_element(addresses, |address| {
            match string(address).filter(|url| !url.is_empty()) {
                Some(url) => self.tell(Citation::link(url.clone(), url), out),
                None => odd.note("citations"),
            }
            Ok(())
        })?;
        if !listed {
            odd.note("citations");
        }
        Ok(())
    }

    fn tell(&mut self, source: Citation, out: &mut VecDeque<ChatEvent>) {
        if self.told.insert((source.id.clone(), source.at)) {
            out.push_back(source.into());
        }
    }
}

/// Reads an annotation of the type `url_citation`. The address is the name of the source, so that the same
/// page is the same source in every turn.
fn citation(annotation: &RawValue) -> Option<Citation> {
    let [kind, nested] = members(annotation.get(), ["type", "url_citation"]).ok()?;
    if kind.and_then(string).as_deref() != Some("url_citation") {
        return None;
    }
    let of = nested.unwrap_or(annotation);
    let names = ["url", "title", "content", "start_index", "end_index"];
    let [url, title, content, start, end] = members(of.get(), names).ok()?;
    let url = url.and_then(string).filter(|url| !url.is_empty())?;
    let mut source = Citation::link(url.clone(), url);
    source.title = title.and_then(string).filter(|title| !title.is_empty());
    source.quote = content.and_then(string).filter(|quote| !quote.is_empty());
    let place = start.and_then(count).zip(end.and_then(count));
    // Some servers send zeros.
    source.at = place
        .filter(|(start, end)| start < end)
        .map(|(start, end)| TextSpan::new(start, end));
    Some(source)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn told(
        take: impl Fn(&mut CitedSources, &mut Oddities, &mut VecDeque<ChatEvent>),
    ) -> Vec<Value> {
        let mut out = VecDeque::new();
        take(
            &mut CitedSources::default(),
            &mut Oddities::default(),
            &mut out,
        );
        out.iter()
            .map(|event| serde_json::to_value(event).unwrap())
            .collect()
    }

    fn raw(value: &Value) -> Box<RawValue> {
        serde_json::value::to_raw_value(value).unwrap()
    }

    #[test]
    fn a_page_is_a_source_once_for_each_place() {
        let cited = |start: u64, end: u64| {
            json!({"type": "url_citation", "url_citation": {
                "url": "https://a.b/c", "title": "A page", "content": "words", "start_index": start, "end_index": end}})
        };
        let flat = json!({"type": "url_citation", "url": "https://a.b/d", "title": null});
        let odd = json!([cited(0, 0), cited(1, 4), cited(1, 4), flat, {"type": "file_citation"}, 7, null,
                         {"type": "url_citation", "url_citation": {"title": "no address"}}]);
        let events = told(|sources, odd_notes, out| {
            for _ in 0..2 {
                sources.annotations(&raw(&odd), odd_notes, out).unwrap();
            }
            sources
                .annotations(&raw(&json!({})), odd_notes, out)
                .unwrap();
        });
        let page = |at: Option<Value>| {
            let mut page = json!({"type": "source", "id": "https://a.b/c", "url": "https://a.b/c",
                                  "title": "A page", "quote": "words"});
            if let Some(at) = at {
                page["at"] = at;
            }
            page
        };
        assert_eq!(
            events,
            [
                page(None),
                page(Some(json!({"start": 1, "end": 4}))),
                json!({"type": "source", "id": "https://a.b/d", "url": "https://a.b/d"}),
            ]
        );
    }

    #[test]
    fn addresses_that_are_repeated_in_each_piece_are_told_once() {
        let events = told(|sources, odd, out| {
            for list in [
                json!(["https://a.b/c"]),
                json!(["https://a.b/c", "https://a.b/d", 3, ""]),
                json!("x"),
            ] {
                sources.addresses(&raw(&list), odd, out).unwrap();
            }
        });
        let urls: Vec<_> = events
            .iter()
            .map(|it| it["url"].as_str().unwrap())
            .collect();
        assert_eq!(urls, ["https://a.b/c", "https://a.b/d"]);
    }
}
