use bytes::{BufMut, BytesMut};

use super::array::JsonArray;
#[cfg(feature = "ai-sdk")]
use crate::dialect::{AiSdk, ai_sdk::MessageChunks};
use crate::{dialect::shown::shown, log::Chunk};

/// Folds a log into the elements of a stream.
#[derive(Debug)]
pub(super) struct StreamItems {
    kind: ItemKind,
}

#[derive(Debug)]
enum ItemKind {
    /// Each record is an element, as it is stored.
    Events,
    #[cfg(feature = "ai-sdk")]
    UiMessageChunks(Box<MessageChunks>),
}

impl StreamItems {
    pub(super) fn events() -> Self {
        Self {
            kind: ItemKind::Events,
        }
    }

    /// Creates a fold into chunks as a dialect writes them. `whole_message` adds the parts that the message
    /// had before this session.
    #[cfg(feature = "ai-sdk")]
    pub(super) fn ui_message_chunks(sdk: &AiSdk, whole_message: bool) -> Self {
        let chunks = MessageChunks::new(sdk, whole_message);
        Self {
            kind: ItemKind::UiMessageChunks(Box::new(chunks)),
        }
    }

    /// Returns true if the fold must see the records that aren't written.
    pub(super) fn is_stateful(&self) -> bool {
        !matches!(self.kind, ItemKind::Events)
    }

    /// Sets the id of the session.
    #[cfg_attr(
        not(feature = "ai-sdk"),
        expect(clippy::unused_self, reason = "events don't contain the id")
    )]
    pub(super) fn name(&mut self, session: &str) {
        #[cfg(feature = "ai-sdk")]
        if let ItemKind::UiMessageChunks(chunks) = &mut self.kind {
            chunks.name(session);
        }
        #[cfg(not(feature = "ai-sdk"))]
        let _ = session;
    }

    /// Takes note of records that the client has.
    #[cfg_attr(
        not(feature = "ai-sdk"),
        expect(clippy::unused_self, reason = "events don't depend on earlier ones")
    )]
    pub(super) fn skip(&mut self, records: &Chunk) {
        #[cfg(feature = "ai-sdk")]
        if let ItemKind::UiMessageChunks(chunks) = &mut self.kind {
            chunks.skip(records);
        }
        #[cfg(not(feature = "ai-sdk"))]
        let _ = records;
    }

    /// Writes the elements of the records.
    pub(super) fn write(&mut self, records: &Chunk, array: &mut JsonArray, out: &mut BytesMut) {
        match &mut self.kind {
            ItemKind::Events => {
                out.reserve(records.bytes() + records.len());
                for record in records.records() {
                    array.element(out);
                    out.put_slice(&shown(record.bytes));
                }
            }
            #[cfg(feature = "ai-sdk")]
            ItemKind::UiMessageChunks(chunks) => chunks.write(records, array, out),
        }
    }
}
