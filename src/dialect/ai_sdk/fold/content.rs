use serde_json::json;

use super::{TextKind, UiMessageFold};
use crate::{
    chat::{Citation, Media, ProviderStateEvent, StateOf, TurnEnd},
    dialect::ai_sdk::{
        chunk::{ChunkSink, UiChunk, UiData},
        metadata,
    },
};

/// The media type of a document whose type is not known.
const ANY_DOCUMENT: &str = "application/octet-stream";

impl UiMessageFold {
    /// Adds a source. An open text goes on: sources often stand in the middle of a sentence.
    pub(super) fn source(&mut self, source: &Citation, sink: &mut impl ChunkSink) {
        self.step(sink);
        let provider_metadata = metadata::of_source(source);
        let provider_metadata = provider_metadata.as_ref();
        let (source_id, title) = (&*source.id, source.title.as_deref());
        sink.chunk(&match &source.url {
            Some(url) => UiChunk::SourceUrl {
                source_id,
                url,
                title,
                provider_metadata,
            },
            None => UiChunk::SourceDocument {
                source_id,
                media_type: source.media_type.as_deref().unwrap_or(ANY_DOCUMENT),
                title: title.unwrap_or(source_id),
                provider_metadata,
            },
        });
    }

    /// Adds a picture, sound or file.
    pub(super) fn media(&mut self, media: &Media, sink: &mut impl ChunkSink) {
        self.step(sink);
        self.close(sink);
        sink.chunk(&UiChunk::File {
            url: &media.url,
            media_type: &media.media_type,
            provider_metadata: metadata::of_media(media).as_ref(),
        });
    }

    /// Adds what the provider must be handed back.
    pub(super) fn provider_state(&mut self, event: &ProviderStateEvent, sink: &mut impl ChunkSink) {
        match &event.of {
            StateOf::Turn => {
                let is_open = |kind| self.open.as_ref().is_some_and(|open| open.kind == kind);
                if !is_open(TextKind::Thinking) {
                    // As the SDK's own providers do for reasoning that they don't show.
                    self.open_part(TextKind::Thinking, sink);
                }
                self.close_with(Some(&metadata::of_state(&event.state)), sink);
            }
            StateOf::Call(id) if self.calls.contains(id) => {
                // A second chunk with the call would make the client run it twice.
                let data = json!(event.state);
                let data = UiData::new("provider-state", &data).id(Some(id));
                sink.chunk(&UiChunk::Data(data));
            }
            StateOf::Call(id) => {
                self.states.insert(id.clone(), event.state.clone());
            }
            StateOf::Stream => {}
        }
    }

    /// Ends a turn of the model.
    pub(super) fn turn(&mut self, turn: &TurnEnd, sink: &mut impl ChunkSink) {
        self.close(sink);
        self.give_up_announced(sink);
        self.step_is_over = true;
        if let Some(usage) = &turn.usage {
            match &mut self.usage {
                Some(all) => *all += usage.clone(),
                all => *all = Some(usage.clone()),
            }
        }
        if let Some(model) = &turn.model {
            self.model = Some(model.clone());
        }
        let is_told = turn.usage.is_some() || turn.model.is_some();
        let metadata = metadata::of_answer(self.usage.as_ref(), self.model.as_deref(), None);
        if let Some(message_metadata) = metadata.as_ref().filter(|_| is_told) {
            sink.chunk(&UiChunk::MessageMetadata { message_metadata });
        }
    }
}
