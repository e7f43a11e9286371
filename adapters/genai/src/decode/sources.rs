use std::collections::{HashSet, VecDeque};

use serde_json::Value;
use unbroken::chat::{ChatEvent, Citation, TextSpan};

use super::json::count;

/// The sources that a server names, each once for every place.
#[derive(Debug, Default)]
pub(super) struct NamedSources {
    told: HashSet<(String, Option<TextSpan>)>,
}

impl NamedSources {
    /// Takes a list of `annotations`. Returns false if one can't be read.
    pub(super) fn annotations(&mut self, list: &Value, out: &mut VecDeque<ChatEvent>) -> bool {
        self.all(list, |it| citation(it, 0), out)
    }

    /// Takes the list `citations` beside the choices, which Perplexity repeats in each piece. Returns false if
    /// one can't be read.
    pub(super) fn addresses(&mut self, list: &Value, out: &mut VecDeque<ChatEvent>) -> bool {
        let read = |url: &Value| {
            let url = url.as_str().filter(|url| !url.is_empty())?;
            Some(Citation::link(url, url))
        };
        self.all(list, read, out)
    }

    fn all(
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
            self.tell(source, out);
        }
        all
    }

    /// Takes an annotation of a text that begins after `base` characters of the turn. Returns false if it can't
    /// be read.
    pub(super) fn annotation(
        &mut self,
        annotation: &Value,
        base: u64,
        out: &mut VecDeque<ChatEvent>,
    ) -> bool {
        let source = citation(annotation, base);
        let is_known = source.is_some();
        if let Some(source) = source {
            self.tell(source, out);
        }
        is_known
    }

    fn tell(&mut self, source: Citation, out: &mut VecDeque<ChatEvent>) {
        if self.told.insert((source.id.clone(), source.at)) {
            out.push_back(source.into());
        }
    }
}

/// Reads an annotation of a page or a file. Its address, or the file's id, is the name of the source, so that the
/// same page is the same source in every turn.
fn citation(annotation: &Value, base: u64) -> Option<Citation> {
    let of = annotation.get("url_citation").unwrap_or(annotation);
    let word = |name: &str| {
        let word = of.get(name)?.as_str();
        word.filter(|word| !word.is_empty()).map(str::to_owned)
    };
    let mut source = match annotation.get("type")?.as_str()? {
        "url_citation" => {
            let url = word("url")?;
            Citation::link(url.clone(), url)
        }
        "file_citation" | "container_file_citation" | "file_path" => {
            Citation::document(word("file_id")?)
        }
        _ => return None,
    };
    source.title = word("title").or_else(|| word("filename"));
    source.quote = word("content");
    let place = count(of, "start_index").zip(count(of, "end_index"));
    // Some servers send zeros.
    source.at = place
        .filter(|(start, end)| start < end)
        .map(|(start, end)| TextSpan::new(base.saturating_add(start), base.saturating_add(end)));
    Some(source)
}
