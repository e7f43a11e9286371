use std::collections::{HashSet, VecDeque};

use serde_json::value::RawValue;

use crate::{
    chat::{ChatEvent, Citation, TextSpan},
    provider::http::json::{count, members, string},
};

/// The sources that a response names, each once for every place.
#[derive(Debug, Default)]
pub(super) struct ItemSources {
    told: HashSet<(String, Option<TextSpan>)>,
}

impl ItemSources {
    /// Creates the sources of a response of which these were told.
    pub(super) fn told<'a>(sources: impl IntoIterator<Item = &'a Citation>) -> Self {
        let told = sources.into_iter();
        Self {
            told: told.map(|source| (source.id.clone(), source.at)).collect(),
        }
    }

    /// Takes an annotation of a text that begins after `base` characters of the turn. Returns false if it can't
    /// be read.
    pub(super) fn annotation(
        &mut self,
        annotation: &RawValue,
        base: u64,
        out: &mut VecDeque<ChatEvent>,
    ) -> bool {
        let source = source(annotation, base);
        let is_known = source.is_some();
        if let Some(source) = source {
            self.tell(source, out);
        }
        is_known
    }

    /// Takes a page that a search found.
    pub(super) fn page(&mut self, page: &RawValue, out: &mut VecDeque<ChatEvent>) {
        let url = members(page.get(), ["url"]).ok().and_then(|[url]| url);
        if let Some(url) = url.and_then(string).filter(|url| !url.is_empty()) {
            self.tell(Citation::link(url.clone(), url), out);
        }
    }

    /// Takes a file that a search found.
    pub(super) fn file(&mut self, file: &RawValue, out: &mut VecDeque<ChatEvent>) {
        if let Some(source) = document(file) {
            self.tell(source, out);
        }
    }

    fn tell(&mut self, source: Citation, out: &mut VecDeque<ChatEvent>) {
        if self.told.insert((source.id.clone(), source.at)) {
            out.push_back(source.into());
        }
    }
}

/// Reads an annotation. The address or the id of the file is the name of the source, so that the same page is
/// the same source in every turn.
fn source(annotation: &RawValue, base: u64) -> Option<Citation> {
    let names = ["type", "url", "title", "start_index", "end_index"];
    let [kind, url, title, start, end] = members(annotation.get(), names).ok()?;
    let mut source = match &*kind.and_then(string)? {
        "url_citation" => {
            let url = url.and_then(string).filter(|url| !url.is_empty())?;
            let mut source = Citation::link(url.clone(), url);
            source.title = title.and_then(string).filter(|title| !title.is_empty());
            source
        }
        "file_citation" | "container_file_citation" | "file_path" => document(annotation)?,
        _ => return None,
    };
    let place = start.and_then(count).zip(end.and_then(count));
    source.at = place
        .filter(|(start, end)| start < end)
        .map(|(start, end)| TextSpan::new(base.saturating_add(start), base.saturating_add(end)));
    Some(source)
}

fn document(file: &RawValue) -> Option<Citation> {
    let [id, name] = members(file.get(), ["file_id", "filename"]).ok()?;
    let id = id.and_then(string).filter(|id| !id.is_empty())?;
    let mut source = Citation::document(id);
    source.title = name.and_then(string).filter(|name| !name.is_empty());
    Some(source)
}
