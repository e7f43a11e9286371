//! The texts of the items of a response.

use std::collections::VecDeque;

use serde_json::value::RawValue;

use super::{position::SaidPart, progress::ItemTextKind, turn::ResponsesTurn};
use crate::{
    chat::{ChatEvent, ProviderError},
    provider::http::json::{Kind, kind as json_kind, string_bytes},
};

impl ResponsesTurn {
    /// Says a piece of a text.
    pub(super) fn piece(
        &mut self,
        key: u64,
        kind: ItemTextKind,
        index: u64,
        piece: Option<&RawValue>,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        match piece.map(|piece| (string_bytes(piece), json_kind(piece), piece)) {
            Some((Some(bytes), _, _)) => self.say(key, kind, index, &bytes, out)?,
            // JavaScript appends it so.
            Some((None, Kind::Number, piece)) => {
                self.say(key, kind, index, piece.get().as_bytes(), out)?;
            }
            // The whole text follows.
            _ => self.odd.note("delta"),
        }
        Ok(())
    }

    /// Says what of a whole text wasn't said in pieces.
    pub(super) fn rest(
        &mut self,
        key: u64,
        kind: ItemTextKind,
        index: u64,
        whole: Option<&RawValue>,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        let Some(whole) = whole.and_then(string_bytes) else {
            return Ok(());
        };
        let said = match self.items.part(key, kind) {
            Some(last) if last.index > index => return Ok(()),
            Some(last) if last.index == index => last.units,
            _ => 0,
        };
        let rest = after_units(&whole, said);
        if rest.is_empty() {
            return Ok(());
        }
        self.say(key, kind, index, rest, out)
    }

    fn say(
        &mut self,
        key: u64,
        kind: ItemTextKind,
        index: u64,
        bytes: &[u8],
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        let thinks = kind != ItemTextKind::Text;
        let before = out.len();
        let base = self.chars;
        let last = self.items.part(key, kind);
        match last {
            Some(last) if last.index == index => last.units += units(bytes),
            Some(last) if last.index > index => {}
            _ => {
                let follows = last.is_some();
                *last = Some(SaidPart {
                    index,
                    base,
                    units: units(bytes),
                    cited: 0,
                });
                if thinks && follows {
                    self.said.bytes(b"\n\n", true, out);
                }
            }
        }
        self.check_items()?;
        self.said.bytes(bytes, thinks, out);
        for event in out.range(before..) {
            if let ChatEvent::Text(text) = event {
                self.chars += text.content.chars().count() as u64;
            }
        }
        Ok(())
    }

    /// Takes an annotation of a text of a message.
    pub(super) fn annotation(
        &mut self,
        key: u64,
        index: u64,
        annotation: &RawValue,
        out: &mut VecDeque<ChatEvent>,
    ) {
        let chars = self.chars;
        let base = match self.items.part(key, ItemTextKind::Text) {
            Some(part) if part.index == index => {
                part.cited += 1;
                part.base
            }
            _ => chars,
        };
        if !self.sources.annotation(annotation, base, out) {
            self.odd.note("annotation");
        }
    }
}

/// Returns the length of WTF-8 in units of UTF-16.
fn units(bytes: &[u8]) -> u64 {
    bytes.iter().map(|byte| units_of(*byte)).sum()
}

fn units_of(byte: u8) -> u64 {
    match byte {
        0x80..=0xbf => 0,
        0xf0.. => 2,
        _ => 1,
    }
}

/// Returns WTF-8 without its first units.
fn after_units(bytes: &[u8], mut skipped: u64) -> &[u8] {
    let mut at = 0;
    while skipped > 0 && at < bytes.len() {
        skipped = skipped.saturating_sub(units_of(bytes[at]));
        at += 1;
        while at < bytes.len() && units_of(bytes[at]) == 0 {
            at += 1;
        }
    }
    &bytes[at..]
}
