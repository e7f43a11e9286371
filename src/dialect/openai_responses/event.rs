use serde::Serialize;

use super::{
    annotation::Annotation,
    item::{OutputItem, OutputPart},
    response::ResponseObject,
};

/// An event of a response's stream.
#[derive(Debug, Serialize)]
pub(super) struct ResponseEvent<'a> {
    pub(super) r#type: &'static str,
    pub(super) sequence_number: u64,
    #[serde(flatten)]
    pub(super) body: EventBody<'a>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum EventBody<'a> {
    Response {
        response: Box<ResponseObject<'a>>,
    },
    Item {
        output_index: usize,
        item: &'a OutputItem,
    },
    Part {
        item_id: &'a str,
        output_index: usize,
        content_index: usize,
        part: &'a OutputPart,
    },
    TextDone {
        item_id: &'a str,
        output_index: usize,
        content_index: usize,
        text: &'a str,
        // Thinking has no such field; the SDKs ignore it.
        logprobs: [(); 0],
    },
    Annotation {
        item_id: &'a str,
        output_index: usize,
        content_index: usize,
        annotation_index: usize,
        annotation: &'a Annotation,
    },
    Picture {
        item_id: &'a str,
        output_index: usize,
    },
    Arguments {
        item_id: &'a str,
        output_index: usize,
        delta: &'a str,
    },
    ArgumentsDone {
        item_id: &'a str,
        output_index: usize,
        name: &'a str,
        arguments: &'a str,
    },
}
