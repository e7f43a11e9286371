use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::{Map, Value};

use crate::{
    chat::{Content, Media, Part, values_in_text},
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
    /// Parts that were read from the text of a tool's result.
    #[serde(skip)]
    Read(Content),
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

/// The content of a result that is sent to the client.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum ResultContent<'a> {
    Text(&'a str),
    Parts(Vec<SentPart<'a>>),
}

/// A part of a result.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(super) enum SentPart<'a> {
    Text { text: &'a str },
    Image(SentMedia<'a>),
    Audio(SentMedia<'a>),
    Video(SentMedia<'a>),
    Document(SentMedia<'a>),
}

#[derive(Debug, Serialize)]
pub(super) struct SentMedia<'a> {
    source: SentSource<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Value>,
}

#[derive(Debug, Serialize)]
#[serde(
    tag = "type",
    rename_all = "lowercase",
    rename_all_fields = "camelCase"
)]
enum SentSource<'a> {
    Data {
        value: &'a str,
        mime_type: &'a str,
    },
    Url {
        value: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        mime_type: Option<&'a str>,
    },
}

impl<'a> ResultContent<'a> {
    /// Encodes a result: a text as it is, anything else as parts.
    pub(super) fn of(result: &'a Content) -> Self {
        match result.as_text() {
            Some(text) => Self::Text(text),
            None => Self::Parts(result.parts().iter().filter_map(SentPart::of).collect()),
        }
    }
}

impl<'a> SentPart<'a> {
    fn of(part: &'a Part) -> Option<Self> {
        let media = match part {
            Part::Text { text } => return Some(Self::Text { text }),
            Part::Media(media) => media,
            Part::Reasoning(_) => return None,
        };
        let sent = SentMedia::of(media);
        Some(if media.is_of("image/*") {
            Self::Image(sent)
        } else if media.is_of("audio/*") {
            Self::Audio(sent)
        } else if media.is_of("video/*") {
            Self::Video(sent)
        } else {
            Self::Document(sent)
        })
    }
}

impl<'a> SentMedia<'a> {
    fn of(media: &'a Media) -> Self {
        let mime_type = &*media.media_type;
        let source = match media.base64() {
            Some(value) => SentSource::Data { value, mime_type },
            None => SentSource::Url {
                value: &media.url,
                mime_type: Some(mime_type).filter(|it| !it.ends_with("/*")),
            },
        };
        let mut metadata = Map::new();
        if let Some(name) = &media.name {
            metadata.insert("filename".into(), name.as_str().into());
        }
        if let Some(detail) = media.detail {
            metadata.insert("detail".into(), detail.as_str().into());
        }
        Self {
            source,
            metadata: (!metadata.is_empty()).then(|| metadata.into()),
        }
    }
}

impl WireContent {
    /// Returns the number of parts.
    pub(super) fn parts(&self) -> usize {
        match self {
            Self::Parts(parts) => parts.len(),
            Self::Read(content) => content.parts().len(),
            Self::Text(_) | Self::Other(_) => 0,
        }
    }

    /// Returns the result of a tool with the parts that its text encodes: TanStack's client sends a list of parts
    /// as its JSON. A text that only looks like it stays one.
    pub(super) fn of_tool(self) -> Self {
        let parts = match &self {
            Self::Text(text) if may_encode_parts(text) => {
                serde_json::from_str::<Vec<Value>>(text).ok()
            }
            _ => None,
        };
        let is_media = |part: &Value| {
            let source = &part["source"];
            matches!(source["type"].as_str(), Some("data" | "url")) && source["value"].is_string()
        };
        let is_part = |part: &Value| match part["type"].as_str() {
            Some("text") => part["text"].is_string() || part["content"].is_string(),
            Some("image" | "audio" | "video" | "document") => is_media(part),
            _ => false,
        };
        let parts = parts.filter(|it| it.iter().all(is_part) && it.iter().any(is_media));
        match parts.map(|parts| Self::Parts(parts).into_content()) {
            Some(Ok(content)) => Self::Read(content),
            Some(Err(_)) | None => self,
        }
    }

    /// Returns the number of JSON values in the text of a tool's result, if it is decoded.
    pub(super) fn values(&self) -> usize {
        match self {
            Self::Text(text) if may_encode_parts(text) => values_in_text(text),
            _ => 0,
        }
    }

    /// Returns the parts. An error names the part and its field.
    pub(super) fn into_content(self) -> Result<Content, String> {
        match self {
            Self::Text(text) => Ok(text.into()),
            Self::Read(content) => Ok(content),
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

/// Returns true if the text begins as a list of parts does.
fn may_encode_parts(text: &str) -> bool {
    let of = text.strip_prefix(r#"[{"type":""#);
    let types = ["text\"", "image\"", "audio\"", "video\"", "document\""];
    of.is_some_and(|of| types.iter().any(|kind| of.starts_with(kind)))
}

impl WirePart {
    fn read(part: Value) -> Result<Self, String> {
        let mut fields = PartFields::of_part(part)?;
        let kind = fields.required_text("type")?;
        let mut text = fields.text("text")?;
        if kind == "text" && text.is_none() {
            text = fields.text("content")?; // of TanStack's client
        }
        Ok(Self {
            r#type: kind,
            text,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_that_is_sent_back_is_the_same() {
        let data = |of: &str| Media::new(of, b"bytes");
        let content = Content::new()
            .text("a")
            .media(data("image/png").name("a.png"))
            .text("b")
            .text("c")
            .media(data("audio/wav"))
            .media(data("video/mp4"))
            .media(data("application/pdf").name("a.pdf"))
            .media(Media::link("image/*", "https://a.b/c"))
            .media(Media::link("text/csv", "https://a.b/c"));
        for content in [content, Content::from("a"), Content::new()] {
            let sent = serde_json::to_value(ResultContent::of(&content)).unwrap();
            let back = WireContent::deserialize(&sent).unwrap();
            assert_eq!(back.into_content().unwrap(), content, "{sent}");
            // TanStack's client sends a list as a text.
            let text = match &sent {
                Value::String(text) => text.clone(),
                _ => serde_json::to_string(&ResultContent::of(&content)).unwrap(),
            };
            let back = WireContent::Text(text).of_tool();
            assert_eq!(back.into_content().unwrap(), content, "{sent}");
        }
    }

    #[test]
    fn only_a_text_of_parts_with_a_medium_encodes_parts() {
        let source = r#"{"type":"data","value":"AAAA","mimeType":"image/png"}"#;
        let own =
            format!(r#"[{{"type":"text","content":"a"}},{{"type":"image","source":{source}}}]"#);
        let read = WireContent::Text(own.clone()).of_tool().into_content();
        let png = Media::new("image/png", [0, 0, 0]);
        assert_eq!(read.unwrap(), Content::new().text("a").media(png));
        assert!(WireContent::Text(own.clone()).values() > 5);
        for text in [
            "a",
            "",
            r#"[{"type":"text","text":"a"}]"#,
            r#"[{"type":"image","source":{}}]"#,
            r#"[{"type":"image","url":"a"}]"#,
            r#"[{"type":"image","source":{"value":"x"}}]"#,
            r#"[{"type":"image","source":{"type":"file","value":"x"}}]"#,
            r#"[{"type":"image","source":{"type":"url","value":"x"}}]"#,
            r#"[{"type":"image","source":{"type":"data","value":"no base64"}}]"#,
            r#"[{"type":"text","text":"a"},7]"#,
            &own[..own.len() - 1],
            &format!("{own} and more"),
        ] {
            let read = WireContent::Text(text.to_owned()).of_tool();
            assert_eq!(read.into_content().unwrap(), text);
        }
    }
}
