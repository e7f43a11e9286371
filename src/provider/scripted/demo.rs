//! What is said where no script says anything.

use crate::chat::ChatRequest;

// A question that is longer is not repeated whole.
const MAX_QUOTE: usize = 120;

pub(super) const THINKING: &str = "There is no model behind this server, so there is nothing to \
    look up. The honest thing is to say so, and to show what a stream looks like.";

/// An answer that mentions the question.
pub(super) fn answer(request: &ChatRequest) -> String {
    let question = request
        .last_user_message()
        .map_or("", |message| message.content.trim());
    let opening = if question.is_empty() {
        "You asked nothing in particular.".to_owned()
    } else {
        format!("You said: “{}”.", quote(question))
    };
    format!(
        "{opening} I am a scripted answer: no model is behind me, and I come one token at a time \
         so that you can see what happens to a stream that somebody interrupts.\n\n\
         Reload this page while I am still talking, or close it and come back. Open the same \
         address in a second tab. Pull the plug of your network for a moment. The server goes on \
         writing what I say into a log, and whoever comes back reads on from the last event that \
         they have: nothing is missing and nothing comes twice.\n\n\
         If you have heard enough, press stop. That is a different thing from going away: it ends \
         the answer for everyone who is listening. Otherwise this is the end of what I have to \
         say."
    )
}

fn quote(question: &str) -> String {
    let mut chars = question.chars();
    let quote: String = chars
        .by_ref()
        .take(MAX_QUOTE)
        .map(|char| if char.is_control() { ' ' } else { char })
        .collect();
    if chars.next().is_some() {
        quote + "…"
    } else {
        quote
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_mentions_the_question_but_not_all_of_a_long_one() {
        assert!(answer(&ChatRequest::from_user("Why is the sky blue?")).contains("sky blue?”"));
        let long = answer(&ChatRequest::from_user("é".repeat(500)));
        assert_eq!(long.chars().filter(|char| *char == 'é').count(), MAX_QUOTE);
    }
}
