use std::collections::VecDeque;

use crate::chat::{ToolCall, ToolInput};

/// The maximum number of characters of a piece.
const PIECE: usize = 8;

/// Returns the arguments of calls, piece by piece. The first piece of a call has the tool's name.
pub(super) fn argument_pieces(calls: &[ToolCall]) -> VecDeque<ToolInput> {
    calls.iter().flat_map(pieces).collect()
}

fn pieces(call: &ToolCall) -> impl Iterator<Item = ToolInput> + use<'_> {
    let json: Vec<_> = call.arguments.to_string().chars().collect();
    let deltas: Vec<String> = json.chunks(PIECE).map(|it| it.iter().collect()).collect();
    deltas.into_iter().enumerate().map(|(at, delta)| {
        let piece = ToolInput::new(&call.id, delta);
        if at == 0 {
            piece.name(&call.name)
        } else {
            piece
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_pieces_of_a_call_are_its_arguments() {
        let arguments = json!({"city": "Tromsø", "days": [1, 2, 3]});
        let calls = [
            ToolCall::new("a", "weather", arguments.clone()),
            ToolCall::new("b", "now", json!({})),
        ];
        let pieces = argument_pieces(&calls);
        let (first, second): (Vec<_>, Vec<_>) = pieces.iter().partition(|it| it.id == "a");
        let text: String = first.iter().map(|it| &*it.delta).collect();
        assert_eq!(text, arguments.to_string());
        let named: Vec<_> = first.iter().filter_map(|it| it.name.as_deref()).collect();
        assert_eq!(named, ["weather"]);
        assert_eq!(second, [&ToolInput::new("b", "{}").name("now")]);
    }
}
