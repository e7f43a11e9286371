use unbroken::chat::{ChatEvent, ChatRequest, Part, Role};

/// The space at the end of a partial answer, which Anthropic's server refuses there: it isn't sent, and the model
/// says it again. What it says of it again is left out.
#[derive(Debug, Default)]
pub(crate) struct PrefillSpace {
    left: String,
}

impl PrefillSpace {
    /// Removes the space from the end of a request that goes on from a partial answer.
    pub(crate) fn take(chat: &mut ChatRequest) -> Self {
        let mut space = Self::default();
        if !chat.continues_turn() {
            return space;
        }
        let Some(last) = chat.messages.last_mut() else {
            return space;
        };
        if last.role != Role::Assistant {
            return space;
        }
        let parts = last.content.parts_mut();
        while let Some(Part::Text { text }) = parts.last_mut() {
            let said = text.trim_end().len();
            space.left.insert_str(0, &text[said..]);
            text.truncate(said);
            if said > 0 {
                break;
            }
            // A part without text is refused too.
            parts.pop();
        }
        space
    }

    /// Removes the space from the first text. Returns false if nothing is left of it.
    pub(crate) fn cut(&mut self, event: &mut ChatEvent) -> bool {
        if self.left.is_empty() {
            return true;
        }
        let ChatEvent::Text(text) = event else {
            return true;
        };
        let pairs = self.left.chars().zip(text.content.chars());
        let again: usize = pairs
            .take_while(|(left, said)| left == said)
            .map(|(left, _)| left.len_utf8())
            .sum();
        text.content.drain(..again);
        if text.content.is_empty() {
            self.left.drain(..again);
        } else {
            self.left.clear();
        }
        again == 0 || !text.content.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use unbroken::chat::Message;

    use super::*;

    /// Returns the text that is sent, and the text that a client has after these pieces.
    fn joined(partial: &str, pieces: &[&str]) -> (String, String) {
        let mut chat = ChatRequest::from_user("Hi");
        chat.messages.push(Message::assistant(partial));
        chat.so_far = Some(Arc::new([ChatEvent::text(partial)].iter().collect()));
        let mut space = PrefillSpace::take(&mut chat);
        let mut all = partial.to_owned();
        for piece in pieces {
            let mut event = ChatEvent::text(*piece);
            if space.cut(&mut event)
                && let ChatEvent::Text(text) = event
            {
                all.push_str(&text.content);
            }
        }
        let sent = chat.messages.last().unwrap().text().into_owned();
        (sent, all)
    }

    #[test]
    fn space_is_not_sent_and_stands_once() {
        for (partial, sent, pieces, all) in [
            ("Hello", "Hello", &[" world"][..], "Hello world"),
            ("Hello ", "Hello", &[" world"], "Hello world"),
            ("Hello ", "Hello", &["world"], "Hello world"),
            ("Hello ", "Hello", &[" ", " world"], "Hello  world"),
            ("One.\n\n", "One.", &["\n", "\n", "Two."], "One.\n\nTwo."),
            ("One.\n", "One.", &["\n\n", "Two."], "One.\n\nTwo."),
            (
                "One.\n\n",
                "One.",
                &["", "\n", " Two.", "\n"],
                "One.\n\n Two.\n",
            ),
            (" \n", "", &["Two."], " \nTwo."),
        ] {
            assert_eq!(joined(partial, pieces), (sent.to_owned(), all.to_owned()));
        }
    }

    #[test]
    fn an_earlier_answer_keeps_its_space() {
        let mut chat = ChatRequest::from_user("Hi");
        chat.messages.push(Message::assistant("Hello "));
        PrefillSpace::take(&mut chat);
        assert_eq!(chat.messages[1].text(), "Hello ");
    }
}
