//! Turns a transcript back into events.

use std::collections::HashSet;

use crate::chat::{ChatEvent, Complete, InputResolved, Piece, StateOf, Transcript, TranscriptEnd};

/// Returns the events of a transcript, with its text in as few of them as its pieces allow.
pub(super) fn events(transcript: &Transcript) -> impl Iterator<Item = ChatEvent> {
    let states_after = states_after_their_calls(transcript);
    let pieces = transcript.pieces();
    let events = pieces.filter_map(move |piece| event(piece, &states_after));
    events.chain(transcript.ending().map(ending))
}

/// Returns the calls whose provider state came in an event after them. The transcript has it in the call
/// too, where it did not stand.
fn states_after_their_calls(transcript: &Transcript) -> HashSet<&str> {
    let (mut calls, mut after) = (HashSet::new(), HashSet::new());
    for piece in transcript.pieces() {
        match piece {
            Piece::ToolCall(call) => {
                calls.insert(&*call.id);
            }
            Piece::ProviderState(event) => match &event.of {
                StateOf::Call(id) if calls.contains(&**id) => {
                    after.insert(&**id);
                }
                _ => {}
            },
            _ => {}
        }
    }
    after
}

fn event(piece: Piece<'_>, states_after: &HashSet<&str>) -> Option<ChatEvent> {
    Some(match piece {
        Piece::Text(text) => ChatEvent::text(text),
        Piece::Thinking(text) => ChatEvent::thinking(text),
        Piece::Media(media) => media.clone().into(),
        Piece::Source(source) => source.clone().into(),
        Piece::ProviderState(state) => state.clone().into(),
        Piece::ToolCall(call) => {
            let mut call = call.clone();
            if states_after.contains(&*call.id) {
                call.provider_state = None;
            }
            ChatEvent::tool_calls([call])
        }
        Piece::ToolResult(result) => result.clone().into(),
        Piece::ToolError(error) => error.clone().into(),
        Piece::Handoff(handoff) => handoff.clone().into(),
        Piece::Input(input) => input.request.clone().into(),
        Piece::InputResolved(input) => {
            let outcome = input.outcome.clone()?;
            InputResolved::new(input.request.input_id.clone(), outcome).into()
        }
        Piece::Custom(custom) => custom.clone().into(),
        Piece::TurnEnd(end) => end.clone().into(),
    })
}

fn ending(end: &TranscriptEnd) -> ChatEvent {
    match end {
        // The text stands in the pieces.
        TranscriptEnd::Complete(end) => Complete {
            text: None,
            ..end.clone()
        }
        .into(),
        TranscriptEnd::Aborted(end) => end.clone().into(),
        TranscriptEnd::Error(end) => end.clone().into(),
    }
}
