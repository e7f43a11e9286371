use serde::{Deserialize, de::IgnoredAny};
use serde_json::Value;

use super::item::OfResult;
use crate::{
    chat::{Content, Media, Part},
    dialect::{
        media::{at, file_type, is_data, of_base64, with_detail},
        part_fields::PartFields,
    },
};

/// The content of a message, or the output of a function call.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum InputContent {
    Text(String),
    Parts(Vec<Value>),
    Other(IgnoredAny),
}

/// A part, with its place if it is in the result of a tool.
pub(super) type ReadPart = (Part, Option<OfResult>);

#[derive(Debug)]
struct ContentPart {
    r#type: String,
    text: Option<String>,
    refusal: Option<String>,
    annotations: Vec<Value>,
    detail: Option<String>,
    image_url: Option<Value>,
    file_id: Option<Value>,
    file_data: Option<String>,
    file_url: Option<String>,
    filename: Option<String>,
    input_audio: Option<PartFields>,
}

impl InputContent {
    /// Returns the parts. `field` is the field that they stand in; an error names it, the part and the
    /// part's field.
    pub(super) fn into_content(self, field: &str) -> Result<Content, String> {
        let parts = self.into_parts(field)?;
        Ok(parts.into_iter().map(|(part, _)| part).collect())
    }

    /// Returns the parts, with their places if they are in results of tools.
    pub(super) fn into_parts(self, field: &str) -> Result<Vec<ReadPart>, String> {
        let parts = match self {
            Self::Text(text) => return Ok(vec![(Part::Text { text }, None)]),
            Self::Parts(parts) => parts,
            Self::Other(_) => return Err(format!("`{field}` must be a text or a list of parts")),
        };
        let mut content = Vec::with_capacity(parts.len());
        for (at, part) in parts.into_iter().enumerate() {
            ContentPart::read(part)
                .and_then(|part| part.add_to(&mut content))
                .map_err(|why| format!("`{field}[{at}]`: {why}"))?;
        }
        Ok(content)
    }
}

impl ContentPart {
    fn read(part: Value) -> Result<Self, String> {
        let mut fields = PartFields::of_part(part)?;
        Ok(Self {
            r#type: fields.required_text("type")?,
            text: fields.text("text")?,
            refusal: fields.text("refusal")?,
            annotations: match fields.take("annotations") {
                None => Vec::new(),
                Some(Value::Array(list)) => list,
                Some(_) => return Err("`annotations` must be a list".to_owned()),
            },
            detail: fields.text("detail")?,
            image_url: fields.take("image_url"),
            file_id: fields.take("file_id"),
            file_data: fields.text("file_data")?,
            file_url: fields.text("file_url")?,
            filename: fields.text("filename")?,
            input_audio: fields.object("input_audio")?,
        })
    }

    fn add_to(self, content: &mut Vec<ReadPart>) -> Result<(), String> {
        if let Some(id) = &self.file_id {
            return Err(format!(
                "`file_id` names a file that this server doesn't have ({id}); send its content"
            ));
        }
        let media = match &*self.r#type {
            "input_image" => self.into_image()?,
            "input_file" => self.into_file()?,
            "input_audio" => self.into_audio()?,
            _ => return self.add_text(content),
        };
        content.push((checked(media)?.into(), None));
        Ok(())
    }

    /// Adds a text, and the files that the model made beside it.
    fn add_text(self, content: &mut Vec<ReadPart>) -> Result<(), String> {
        let Some(text) = self.text.or(self.refusal) else {
            return Err(match &*self.r#type {
                "input_text" | "output_text" | "text" => "`text` is missing".to_owned(),
                "refusal" => "`refusal` is missing".to_owned(),
                other => format!(
                    "parts of the type `{}` can't be given to the model here; send `input_text`, \
                     `input_image`, `input_file` or `input_audio`",
                    other.escape_debug()
                ),
            });
        };
        content.push((Part::Text { text }, None));
        for annotation in self.annotations {
            if let Some(file) = super::annotation::file(&annotation) {
                let (media, of_result) = file?;
                content.push((checked(media)?.into(), of_result));
            }
        }
        Ok(())
    }

    fn into_image(self) -> Result<Media, String> {
        // A client of the Chat Completions API sends an object.
        let url = match self.image_url {
            Some(Value::String(url)) => Some(url),
            Some(Value::Object(mut of)) => match of.remove("url") {
                Some(Value::String(url)) => Some(url),
                _ => None,
            },
            _ => None,
        };
        let url = url.ok_or("`image_url` must be a `data:` URL or a link")?;
        with_detail(at(url, None, None, "image/*"), self.detail.as_deref())
    }

    fn into_file(self) -> Result<Media, String> {
        let media = match (self.file_data, self.file_url) {
            (Some(data), None) if is_data(&data) => at(data, None, self.filename, OTHER),
            (Some(data), None) => {
                let of_name = self.filename.as_deref().and_then(file_type);
                of_base64(&data, of_name.unwrap_or(OTHER), self.filename)
            }
            (None, Some(url)) => at(url, None, self.filename, OTHER),
            _ => return Err("send either `file_data` or `file_url`".to_owned()),
        };
        with_detail(media, self.detail.as_deref())
    }

    fn into_audio(self) -> Result<Media, String> {
        let mut audio = self
            .input_audio
            .ok_or("`input_audio` must have `data` and `format`")?;
        let data = audio.required_text("data")?;
        let media_type = match &*audio.required_text("format")? {
            "mp3" => "audio/mpeg".to_owned(),
            format => format!("audio/{format}"),
        };
        Ok(of_base64(&data, &media_type, None))
    }
}

/// The type of a file of which nothing is known.
const OTHER: &str = "application/octet-stream";

pub(super) fn checked(media: Media) -> Result<Media, String> {
    match media.check() {
        Ok(()) => Ok(media),
        Err(error) => Err(error.to_string()),
    }
}
