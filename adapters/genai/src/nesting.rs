/// How deep the end of a JSON text lies in it, while the text comes in pieces.
#[derive(Debug, Default)]
pub(crate) struct JsonNesting {
    depth: usize,
    in_string: bool,
    after_backslash: bool,
    has_opened: bool,
}

impl JsonNesting {
    /// Takes a piece.
    pub(crate) fn pass(&mut self, piece: &str) {
        for byte in piece.bytes() {
            if self.after_backslash {
                self.after_backslash = false;
                continue;
            }
            match byte {
                b'\\' if self.in_string => self.after_backslash = true,
                b'"' => self.in_string = !self.in_string,
                b'{' | b'[' if !self.in_string => {
                    self.depth += 1;
                    self.has_opened = true;
                }
                b'}' | b']' if !self.in_string => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
    }

    /// Returns true if the text so far is a whole object or list.
    pub(crate) fn is_whole(&self) -> bool {
        self.has_opened && !self.is_open()
    }

    /// Returns true within an object, a list or a string.
    pub(crate) fn is_open(&self) -> bool {
        self.depth > 0 || self.in_string
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_whole_once_all_is_closed() {
        let text = r#" {"a\"}":[1,"\\"],"b":{}} "#;
        let end = text.rfind('}').unwrap() + 1;
        for at in 0..=text.len() {
            let mut nesting = JsonNesting::default();
            let (head, tail) = text[..at].split_at(at / 2);
            nesting.pass(head);
            nesting.pass(tail);
            assert_eq!(nesting.is_whole(), at >= end, "{at}");
        }
    }
}
