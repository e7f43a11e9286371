use super::{
    annotation::Annotation,
    event::EventBody,
    fold::{OpenItem, ResponseFold, write},
    item::{ItemStatus, OfResult, OutputItem, PictureFields},
};
use crate::{
    chat::{Citation, Media, ProviderState, ProviderStateEvent, StateOf, ToolCall},
    dialect::{frames::JsonFrames, sealed::SealedState},
};

impl ResponseFold {
    /// Writes a source, as an annotation of the open text or of a new one.
    pub(super) fn source(&mut self, source: &Citation, out: &mut JsonFrames) {
        self.begin_text(out);
        let annotation = Annotation::of_source(source, self.place.base, self.text_end());
        self.annotate(&annotation, out);
    }

    /// Writes a picture as an item of its own, and any other file as an annotation.
    pub(super) fn media(&mut self, media: &Media, out: &mut JsonFrames) {
        if media.is_of("image/*") {
            self.say();
            self.picture(media, None, out);
        } else {
            self.begin_text(out);
            let annotation = Annotation::of_file(media, None, self.text_end());
            self.annotate(&annotation, out);
        }
    }

    /// Writes a medium in the result of a call of this turn: a picture as an item, and any other file as an
    /// annotation of an empty text.
    pub(super) fn result_media(
        &mut self,
        media: &Media,
        of: OfResult,
        turn: u64,
        out: &mut JsonFrames,
    ) {
        let now = std::mem::replace(&mut self.turn, turn);
        if media.is_of("image/*") {
            self.picture(media, Some(&of), out);
        } else {
            self.begin(OpenItem::Text, out);
            let annotation = Annotation::of_file(media, Some(of), 0);
            self.annotate(&annotation, out);
            self.close(ItemStatus::Completed, out);
        }
        self.turn = now;
    }

    fn picture(&mut self, media: &Media, of_result: Option<&OfResult>, out: &mut JsonFrames) {
        self.close(ItemStatus::Completed, out);
        let id = self.item_id("ig");
        let output_format = format(media);
        let of_format = output_format.as_ref().map(|it| format!("image/{it}"));
        let is_told = !media.is_link() && of_format.as_ref() == Some(&media.media_type);
        let own = PictureFields {
            url: None,
            media_type: (!is_told).then(|| media.media_type.clone()),
            name: media.name.clone(),
            detail: media.detail.map(|detail| detail.as_str().to_owned()),
            of_result: of_result.cloned(),
        };
        let item = |status, result, url| OutputItem::ImageGenerationCall {
            id: id.clone(),
            status,
            result,
            output_format: output_format.clone(),
            own: PictureFields { url, ..own.clone() },
        };
        self.items.push(item(ItemStatus::InProgress, None, None));
        self.write_item("response.output_item.added", out);
        let output_index = self.items.len() - 1;
        let body = EventBody::Picture {
            item_id: &id,
            output_index,
        };
        let kind = "response.image_generation_call.completed";
        write(kind, body, &mut self.number, out);
        let result = media.base64().map(str::to_owned);
        let url = result.is_none().then(|| media.url.clone());
        self.items[output_index] = item(ItemStatus::Completed, result, url);
        self.write_item("response.output_item.done", out);
    }

    /// Writes what the client hands back: with the reasoning before it, or as reasoning without text.
    pub(super) fn provider_state(&mut self, event: &ProviderStateEvent, out: &mut JsonFrames) {
        let state = event.state.clone();
        match &event.of {
            // For the server only.
            StateOf::Stream => {}
            StateOf::Turn => {
                self.say();
                if self.open != OpenItem::Thinking {
                    self.begin(OpenItem::Thinking, out);
                }
                self.seal(&SealedState::of_turn(state), out);
            }
            StateOf::Call(id) => match self.written_calls.get(id) {
                None => self.call_states.push((id.clone(), state)),
                Some(&at) => self.state_after_call(at, state, out),
            },
        }
    }

    /// Writes what belongs to a call whose item is written.
    pub(super) fn state_after_call(
        &mut self,
        at: usize,
        state: ProviderState,
        out: &mut JsonFrames,
    ) {
        let of = match &self.items[at] {
            OutputItem::FunctionCall { call_id, .. } => call_id,
            item => item.id(),
        };
        let sealed = SealedState::of_call(of, state);
        self.close(ItemStatus::Completed, out);
        self.begin(OpenItem::Thinking, out);
        self.seal(&sealed, out);
    }

    /// Takes what belongs to a call that isn't written, or is being written.
    pub(super) fn take_call_state(&mut self, call: &ToolCall) -> Option<ProviderState> {
        let of = self.call_states.iter().position(|(id, _)| *id == call.id);
        let earlier = of.map(|at| self.call_states.swap_remove(at).1);
        call.provider_state.clone().or(earlier)
    }

    /// Writes what belongs to a call before its item.
    pub(super) fn state_of_call(
        &mut self,
        call: &ToolCall,
        turn: u64,
        item: impl FnOnce(&Self) -> String,
        out: &mut JsonFrames,
    ) {
        let Some(state) = self.take_call_state(call) else {
            return;
        };
        let now = std::mem::replace(&mut self.turn, turn);
        self.begin(OpenItem::Thinking, out);
        let sealed = SealedState::of_call(item(self), state);
        self.seal(&sealed, out);
        self.turn = now;
    }

    /// Ends the open reasoning with this state.
    fn seal(&mut self, sealed: &SealedState, out: &mut JsonFrames) {
        let at = self.open_at();
        if let OutputItem::Reasoning {
            encrypted_content, ..
        } = &mut self.items[at]
        {
            *encrypted_content = Some(sealed.write());
        }
        self.close(ItemStatus::Completed, out);
    }

    /// Returns the number of characters of the open text.
    pub(super) fn text_end(&mut self) -> u64 {
        let part = self.items.last().and_then(OutputItem::part);
        let text = part.map_or("", |part| part.text());
        let (bytes, chars) = self.place.counted;
        let more = text[bytes..].chars().count() as u64;
        self.place.counted = (text.len(), chars + more);
        chars + more
    }

    fn begin_text(&mut self, out: &mut JsonFrames) {
        self.say();
        if self.open != OpenItem::Text {
            self.begin(OpenItem::Text, out);
        }
    }

    fn annotate(&mut self, annotation: &Annotation, out: &mut JsonFrames) {
        let output_index = self.open_at();
        let item = &mut self.items[output_index];
        if let Some(annotation_index) = item.annotate(annotation.clone()) {
            let body = EventBody::Annotation {
                item_id: item.id(),
                output_index,
                content_index: 0,
                annotation_index,
                annotation,
            };
            let kind = "response.output_text.annotation.added";
            write(kind, body, &mut self.number, out);
        }
    }
}

/// Returns the name of a picture's format: `png`.
fn format(media: &Media) -> Option<String> {
    let (_, format) = media.media_type.split_once('/')?;
    let format = format.split(';').next()?.trim();
    (format != "*").then(|| format.to_ascii_lowercase())
}
