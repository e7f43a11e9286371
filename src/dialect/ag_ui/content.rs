use serde::{Deserialize, de::IgnoredAny};
use serde_json::Value;

use crate::{
    chat::{Content, Media, Part},
    dialect::{
        media::{at, of_base64, with_detail},
        part_fields::PartFields,
    },
};

/// The content of a message.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum WireContent {
    Text(String),
    Parts(Vec<Value>),
    Other(IgnoredAny),
}

#[derive(Debug)]
struct WirePart {
    r#type: String,
    text: Option<String>,
    source: Option<WireSource>,
    /// Of the model's vendor: the detail of a picture. Also the name of a file.
    metadata: Value,
    // Of `binary`, in earlier versions of the protocol.
    mime_type: Option<String>,
    url: Option<String>,
    data: Option<String>,
    filename: Option<String>,
}

#[derive(Debug)]
struct WireSource {
    r#type: String,
    value: String,
    mime_type: Option<String>,
}

impl WireContent {
    /// Returns the number of parts.
    pub(super) fn parts(&self) -> usize {
        match self {
            Self::Parts(parts) => parts.len(),
            Self::Text(_) | Self::Other(_) => 0,
        }
    }

    /// Returns the parts. An error names the part and its field.
    pub(super) fn into_content(self) -> Result<Content, String> {
        match self {
            Self::Text(text) => Ok(text.into()),
            Self::Parts(parts) => {
                let read = |(at, part): (usize, Value)| {
                    WirePart::read(part)
                        .and_then(WirePart::into_part)
                        .map_err(|why| format!("`content[{at}]`: {why}"))
                };
                parts.into_iter().enumerate().map(read).collect()
            }
            Self::Other(_) => {
                Err("the content of a message is a string or a list of parts".to_owned())
            }
        }
    }
}

impl WirePart {
    fn read(part: Value) -> Result<Self, String> {
        let mut fields = PartFields::of_part(part)?;
        Ok(Self {
            r#type: fields.required_text("type")?,
            text: fields.text("text")?,
            source: fields.object("source")?.map(WireSource::read).transpose()?,
            metadata: fields.take("metadata").unwrap_or_default(),
            mime_type: fields.text("mimeType")?,
            url: fields.text("url")?,
            data: fields.text("data")?,
            filename: fields.text("filename")?,
        })
    }

    fn into_part(self) -> Result<Part, String> {
        let kind = match &*self.r#type {
            "text" => {
                let text = self.text.ok_or("a part of the type `text` has `text`")?;
                return Ok(Part::Text { text });
            }
            kind @ ("image" | "audio" | "video") => format!("{kind}/*"),
            "document" | "binary" => "application/octet-stream".to_owned(),
            kind => {
                return Err(format!(
                    "parts of the type `{}` can't be given to the model here; send `text`, `image`, \
                     `audio`, `video` or `document`",
                    kind.escape_debug()
                ));
            }
        };
        let word = |name: &str| self.metadata[name].as_str().map(str::to_owned);
        let name = self.filename.or(word("filename")).or(word("name"));
        let media = match (self.source, self.data, self.url) {
            (Some(source), ..) => source.into_media(name, &kind)?,
            (None, Some(data), _) => {
                let of = self.mime_type.as_deref().unwrap_or(&kind);
                of_base64(&data, of, name)
            }
            (None, None, Some(url)) => at(url, self.mime_type.as_deref(), name, &kind),
            (None, None, None) => {
                return Err(
                    "send the bytes, or a link; this server has no files of clients".into(),
                );
            }
        };
        let media = with_detail(media, word("detail").as_deref())?;
        match media.check() {
            Ok(()) => Ok(media.into()),
            Err(error) => Err(error.to_string()),
        }
    }
}

impl WireSource {
    fn read(mut fields: PartFields) -> Result<Self, String> {
        Ok(Self {
            r#type: fields.required_text("type")?,
            value: fields.required_text("value")?,
            mime_type: fields.text("mimeType")?,
        })
    }

    fn into_media(self, name: Option<String>, kind: &str) -> Result<Media, String> {
        match &*self.r#type {
            "data" => {
                let of = self.mime_type.as_deref().unwrap_or(kind);
                Ok(of_base64(&self.value, of, name))
            }
            "url" => Ok(at(self.value, self.mime_type.as_deref(), name, kind)),
            other => Err(format!(
                "a source of the type `{}` names what this server doesn't have; send `data` or `url`",
                other.escape_debug()
            )),
        }
    }
}
