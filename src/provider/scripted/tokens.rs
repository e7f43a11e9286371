use std::{
    fmt::Write,
    time::{SystemTime, UNIX_EPOCH},
};

/// The tokens of a text.
#[derive(Debug, Clone)]
pub(super) enum Tokens {
    /// The words of a text; `from` is the start of the next one.
    Words { text: String, from: usize },
    /// The numbers 1 to `last`.
    Numbers { next: u32, last: u32 },
    /// The current time, a number of times.
    Stamps { left: u32 },
    /// One token with this text.
    One(Option<String>),
}

impl Tokens {
    pub(super) fn words(text: impl Into<String>) -> Self {
        Self::Words {
            text: text.into(),
            from: 0,
        }
    }

    pub(super) fn numbers(count: u32) -> Self {
        Self::Numbers {
            next: 1,
            last: count,
        }
    }

    pub(super) fn stamps(count: u32) -> Self {
        Self::Stamps { left: count }
    }

    pub(super) fn one(text: String) -> Self {
        Self::One(Some(text))
    }

    /// Returns true if no token is left.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Words { text, from } => *from == text.len(),
            Self::Numbers { next, last } => next > last,
            Self::Stamps { left } => *left == 0,
            Self::One(text) => text.is_none(),
        }
    }

    /// Skips the tokens of so many bytes, and returns their number.
    pub(super) fn skip_bytes(&mut self, mut bytes: usize) -> usize {
        let mut skipped = 0;
        while bytes > 0
            && let Some(token) = self.next()
        {
            bytes = bytes.saturating_sub(token.len());
            skipped += 1;
        }
        skipped
    }

    /// Returns the number of tokens that are left.
    pub(super) fn left(&self) -> usize {
        match self {
            Self::Words { text, from } => {
                let mut rest = &text[*from..];
                let mut count = 0;
                while !rest.is_empty() {
                    rest = &rest[word(rest)..];
                    count += 1;
                }
                count
            }
            Self::Numbers { next, last } => (last + 1 - next) as usize,
            Self::Stamps { left } => *left as usize,
            Self::One(text) => usize::from(text.is_some()),
        }
    }
}

impl Iterator for Tokens {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        match self {
            Self::Words { text, from } => {
                let rest = &text[*from..];
                if rest.is_empty() {
                    return None;
                }
                let len = word(rest);
                *from += len;
                Some(rest[..len].to_owned())
            }
            Self::Numbers { next, last } => {
                if *next > *last {
                    return None;
                }
                let mut token = String::with_capacity(8);
                let _ = write!(token, "{next} ");
                *next += 1;
                Some(token)
            }
            Self::Stamps { left } => {
                *left = left.checked_sub(1)?;
                let now = SystemTime::now().duration_since(UNIX_EPOCH);
                Some(format!("{} ", now.unwrap_or_default().as_micros()))
            }
            Self::One(text) => text.take(),
        }
    }
}

// Returns the length of the first word of `text`, with the white space after it, and at the start of
// the text also before it.
fn word(text: &str) -> usize {
    let mut in_space = false;
    let mut in_word = false;
    for (at, char) in text.char_indices() {
        if char.is_whitespace() {
            in_space = in_word;
        } else if in_space {
            return at;
        } else {
            in_word = true;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_token_is_a_word_and_the_space_after_it() {
        let tokens: Vec<_> = Tokens::words("Good  day,\n\nworld").collect();
        assert_eq!(tokens, ["Good  ", "day,\n\n", "world"]);
        let tokens: Vec<_> = Tokens::words(" a b ").collect();
        assert_eq!(tokens, [" a ", "b "]);
    }

    #[test]
    fn numbers_run_from_one() {
        let mut tokens = Tokens::numbers(3);
        assert_eq!(tokens.left(), 3);
        assert_eq!(tokens.by_ref().collect::<String>(), "1 2 3 ");
        assert_eq!(tokens.left(), 0);
    }

    proptest! {
        #[test]
        fn tokens_together_are_the_text(text in "[ \\na-cé😀]{0,24}") {
            let tokens: Vec<_> = Tokens::words(text.clone()).collect();
            prop_assert_eq!(tokens.concat(), text.clone());
            prop_assert_eq!(tokens.len(), Tokens::words(text).left());
        }
    }
}
