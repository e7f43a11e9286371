use std::ops::Range;

use super::{Input, Transcript};
use crate::chat::{
    Citation, Content, Custom, IsomorphicHandoff, Media, ProviderStateEvent, StateOf, ToolCall,
    ToolError, ToolResult, TurnEnd,
};

/// A piece of an answer, as [`Transcript::pieces`] returns them: in the order in which they were
/// streamed.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Piece<'a> {
    /// Text without another piece in it.
    Text(&'a str),
    /// Thinking without another piece in it.
    Thinking(&'a str),
    /// A picture, sound or file.
    Media(&'a Media),
    /// A source of the text.
    Source(&'a Citation),
    /// Data that the provider must be handed back.
    ProviderState(&'a ProviderStateEvent),
    /// A call that the model asks for.
    ToolCall(&'a ToolCall),
    /// The result of a tool.
    ToolResult(&'a ToolResult),
    /// The failure of a tool.
    ToolError(&'a ToolError),
    /// A call that was handed to the client.
    Handoff(&'a IsomorphicHandoff),
    /// A question, with its outcome if it has one.
    Input(&'a Input),
    /// The place at which a question got its outcome. The first outcome of a question counts.
    InputResolved(&'a Input),
    /// An event of the application.
    Custom(&'a Custom),
    /// The end of a turn of the model.
    TurnEnd(&'a TurnEnd),
}

/// The place of a piece in the transcript.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum PieceAt {
    Text(Range<usize>),
    Thinking(Range<usize>),
    Media(usize),
    Source(usize),
    State(usize),
    Call(usize),
    Result(usize),
    Error(usize),
    Handoff(usize),
    Input(usize),
    Resolved(usize),
    Custom(usize),
    TurnEnd(usize),
}

impl Transcript {
    /// Returns the pieces of the answer, in the order in which they were streamed.
    ///
    /// ```
    /// use unbroken::chat::{ChatEvent, Piece, Transcript};
    ///
    /// let events = [ChatEvent::thinking("Hm."), ChatEvent::text("Hel"), ChatEvent::text("lo")];
    /// let transcript: Transcript = events.iter().collect();
    /// let pieces: Vec<_> = transcript.pieces().collect();
    /// assert_eq!(pieces, [Piece::Thinking("Hm."), Piece::Text("Hello")]);
    /// ```
    pub fn pieces(&self) -> impl Iterator<Item = Piece<'_>> {
        self.order.iter().map(|at| self.piece(at))
    }

    pub(super) fn piece(&self, at: &PieceAt) -> Piece<'_> {
        match at {
            PieceAt::Text(range) => Piece::Text(&self.text[range.clone()]),
            PieceAt::Thinking(range) => Piece::Thinking(&self.thinking[range.clone()]),
            PieceAt::Media(at) => Piece::Media(&self.media[*at]),
            PieceAt::Source(at) => Piece::Source(&self.sources[*at]),
            PieceAt::State(at) => Piece::ProviderState(&self.states[*at]),
            PieceAt::Call(at) => Piece::ToolCall(&self.tool_calls[*at]),
            PieceAt::Result(at) => Piece::ToolResult(&self.tool_results[*at]),
            PieceAt::Error(at) => Piece::ToolError(&self.tool_errors[*at]),
            PieceAt::Handoff(at) => Piece::Handoff(&self.handoffs[*at]),
            PieceAt::Input(at) => Piece::Input(&self.inputs[*at]),
            PieceAt::Resolved(at) => Piece::InputResolved(&self.inputs[*at]),
            PieceAt::Custom(at) => Piece::Custom(&self.custom[*at]),
            PieceAt::TurnEnd(at) => Piece::TurnEnd(&self.turn_ends[*at]),
        }
    }

    /// Returns what the model said in these pieces, as the content of a message.
    pub(super) fn content(&self, order: Range<usize>) -> Content {
        let mut content = Content::new();
        for at in &self.order[order] {
            content.push_piece(self.piece(at));
        }
        content
    }
}

impl Content {
    /// Adds a piece of an answer, if it is one of the model's words: text, thinking with its provider
    /// state, media.
    pub(crate) fn push_piece(&mut self, piece: Piece<'_>) {
        match piece {
            Piece::Text(text) => self.push_text(text),
            Piece::Thinking(text) => self.push_reasoning(text),
            Piece::Media(media) => self.push(media.clone()),
            Piece::ProviderState(event) if event.of == StateOf::Turn => {
                self.push_provider_state(event.state.clone());
            }
            _ => {}
        }
    }
}
