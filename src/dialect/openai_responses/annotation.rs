use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::item::OfResult;
use crate::{
    chat::{Citation, Media},
    dialect::media::with_detail,
};

/// An annotation of a text: a source, or a file for which the API has no item.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Annotation {
    UrlCitation {
        url: String,
        title: String,
        start_index: u64,
        end_index: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        quote: Option<String>,
        /// Beside the API: the link leads to a file that the model made, or that is in a result.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file: Option<MadeFile>,
    },
    FileCitation {
        file_id: String,
        filename: String,
        index: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        quote: Option<String>,
    },
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct MadeFile {
    media_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// The file is in the result of a tool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    of_result: Option<OfResult>,
}

impl Annotation {
    /// Creates the annotation of a source. `base` is the number of the turn's characters before the text
    /// that is annotated, and `end` that of the characters of this text so far.
    pub(super) fn of_source(source: &Citation, base: u64, end: u64) -> Self {
        let (start_index, end_index) = match source.at {
            Some(at) => (at.start.saturating_sub(base), at.end.saturating_sub(base)),
            None => (end, end),
        };
        let quote = source.quote.clone();
        let title = |or: &str| source.title.as_deref().unwrap_or(or).to_owned();
        match &source.url {
            Some(url) => Self::UrlCitation {
                url: url.clone(),
                title: title(url),
                start_index,
                end_index,
                quote,
                file: None,
            },
            None => Self::FileCitation {
                file_id: source.id.clone(),
                filename: title(&source.id),
                index: end_index,
                quote,
            },
        }
    }

    /// Creates the annotation of a file that is no picture.
    pub(super) fn of_file(media: &Media, of_result: Option<OfResult>, end: u64) -> Self {
        Self::UrlCitation {
            url: media.url.clone(),
            title: media.name.as_ref().unwrap_or(&media.media_type).clone(),
            start_index: end,
            end_index: end,
            quote: None,
            file: Some(MadeFile {
                media_type: media.media_type.clone(),
                name: media.name.clone(),
                detail: media.detail.map(|detail| detail.as_str().to_owned()),
                of_result,
            }),
        }
    }
}

/// Returns the file of an annotation that a client sends back, with its place if it is in a result. Sources
/// are not for the model.
///
/// # Errors
///
/// If the detail is none that is known.
pub(super) fn file(annotation: &Value) -> Option<Result<(Media, Option<OfResult>), String>> {
    if annotation.get("file").is_none_or(Value::is_null) {
        return None;
    }
    match Annotation::deserialize(annotation) {
        Ok(Annotation::UrlCitation {
            url,
            file: Some(file),
            ..
        }) => {
            let media = Media::link(file.media_type, url);
            let media = match file.name {
                Some(name) => media.name(name),
                None => media,
            };
            let media = with_detail(media, file.detail.as_deref());
            Some(media.map(|media| (media, file.of_result)))
        }
        _ => None,
    }
}
