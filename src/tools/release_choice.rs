use crate::chat::ToolChoice;

/// Lets the model choose where it was made to call a tool, which it has done: it would have to call
/// without end.
pub(super) fn release_choice(choice: &mut Option<ToolChoice>) {
    if let Some(ToolChoice::Required | ToolChoice::Tool(_)) = choice {
        *choice = Some(ToolChoice::Auto);
    }
}
