const OPEN: &str = "<think>";
const CLOSE: &str = "</think>";

/// Finds thinking that a model writes into its text, between `<think>` and `</think>`. No I/O.
///
/// A tag may be split anywhere: what may be the begin of one is held until that is clear. Spaces and
/// line breaks directly after a tag belong to neither.
#[derive(Debug, Default)]
pub(crate) struct ThinkTags {
    thinking: bool,
    held: String,
    after_tag: bool,
}

/// A piece of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TaggedPiece {
    Text(String),
    Thinking(String),
}

impl ThinkTags {
    /// Takes the next piece of the text, and passes on what is clear.
    pub(crate) fn push(&mut self, text: &str, mut take: impl FnMut(TaggedPiece)) {
        self.held.push_str(text);
        let held = std::mem::take(&mut self.held);
        let mut rest = held.as_str();
        loop {
            if self.after_tag {
                rest = rest.trim_start();
                self.after_tag = rest.is_empty();
            }
            let tag = if self.thinking { CLOSE } else { OPEN };
            let Some(at) = rest.find(tag) else {
                let (clear, held) = rest.split_at(rest.len() - begun(rest, tag));
                self.pass(clear, &mut take);
                held.clone_into(&mut self.held);
                return;
            };
            self.pass(&rest[..at], &mut take);
            rest = &rest[at + tag.len()..];
            self.thinking = !self.thinking;
            self.after_tag = true;
        }
    }

    /// Returns true if the text so far is over, and no tag has begun.
    #[cfg(feature = "openai-responses-upstream")]
    pub(crate) fn is_settled(&self) -> bool {
        self.held.is_empty() && !self.thinking && !self.after_tag
    }

    /// Passes on what is held, at the end of the text.
    pub(crate) fn end(&mut self, mut take: impl FnMut(TaggedPiece)) {
        let held = std::mem::take(&mut self.held);
        self.pass(&held, &mut take);
    }

    fn pass(&self, text: &str, take: &mut impl FnMut(TaggedPiece)) {
        if !text.is_empty() {
            take(if self.thinking {
                TaggedPiece::Thinking(text.to_owned())
            } else {
                TaggedPiece::Text(text.to_owned())
            });
        }
    }
}

/// Returns how many bytes at the end of `text` may be the begin of `tag`.
fn begun(text: &str, tag: &str) -> usize {
    let longest = text.len().min(tag.len() - 1);
    let ends = |length: &usize| text.ends_with(&tag[..*length]);
    (1..=longest).rev().find(ends).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the thinking and the text of an answer that comes in pieces of so many characters.
    fn split(answer: &str, size: usize) -> (String, String) {
        let mut tags = ThinkTags::default();
        let (mut thinking, mut text) = (String::new(), String::new());
        let mut take = |piece| match piece {
            TaggedPiece::Text(piece) => text.push_str(&piece),
            TaggedPiece::Thinking(piece) => thinking.push_str(&piece),
        };
        let characters: Vec<char> = answer.chars().collect();
        for piece in characters.chunks(size) {
            tags.push(&piece.iter().collect::<String>(), &mut take);
        }
        tags.end(&mut take);
        (thinking, text)
    }

    #[test]
    fn thinking_is_found_wherever_the_tags_are_split() {
        for (answer, thinking, text) in [
            ("<think>\nHm, é.\n</think>\n\nHi <b>", "Hm, é.\n", "Hi <b>"),
            ("Hi", "", "Hi"),
            ("a < b <think", "", "a < b <think"),
            ("<think>1</think>a<think>2</think>b", "12", "ab"),
            ("<think>never closed </thin", "never closed </thin", ""),
            ("<think></think>Hi", "", "Hi"),
            ("<<think>x<</think>Hi", "x<", "<Hi"),
            ("</think>Hi", "", "</think>Hi"),
        ] {
            for size in 1..12 {
                let found = split(answer, size);
                assert_eq!(found, (thinking.into(), text.into()), "{answer} in {size}");
            }
        }
    }

    #[test]
    fn text_is_passed_on_as_soon_as_it_is_clear() {
        let mut tags = ThinkTags::default();
        let mut pieces = Vec::new();
        tags.push("Hello <", |piece| pieces.push(piece));
        assert_eq!(pieces, [TaggedPiece::Text("Hello ".into())]);
    }
}
