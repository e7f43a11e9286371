use std::collections::HashSet;

/// The least letters of a joined repeat.
const JOINED_LETTERS: usize = 5;
/// The least letters of a joined repeat of all of the partial text.
const WHOLE_LETTERS: usize = 3;
/// The least different letters of a joined repeat: `hahaha` is none.
const JOINED_DIFFERENT: usize = 3;
/// The least size of a joined beginning, in bytes.
const JOINED_BEGINNING: usize = 8;
/// The least different words of a joined beginning.
const JOINED_WORDS: usize = 2;
/// The least size of a repeat of all of the partial text that is apart, in bytes, if that is one line.
const WHOLE_BYTES: usize = 12;
/// The least different words of it.
const WHOLE_WORDS: usize = 3;
/// The least size of any other repeat or beginning that is apart, in bytes.
const APART_BYTES: usize = 24;
/// The least different words of it.
const APART_WORDS: usize = 4;
/// The least size of a beginning that ends within its line and comes at the beginning of a line, in bytes. Lines of
/// one form begin alike.
const LINE_BYTES: usize = 64;

/// The rules by which words that come again are no chance. The [module](super) explains them.
#[derive(Debug)]
pub(super) struct SeamRules {
    partial: String,
    /// The place of the first character that isn't space.
    begin: usize,
    /// True if the partial text ends with a letter.
    ends_with_letter: bool,
}

/// The space at the beginning of a new text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SeamSpace {
    None,
    InLine,
    /// It has the end of a line.
    Line,
}

impl SeamRules {
    pub(super) fn new(partial: String) -> Self {
        Self {
            begin: partial.len() - partial.trim_start().len(),
            ends_with_letter: partial.chars().next_back().is_some_and(is_letter),
            partial,
        }
    }

    pub(super) fn partial(&self) -> &str {
        &self.partial
    }

    /// Returns the partial text without the space at its beginning.
    pub(super) fn beginning(&self) -> &str {
        &self.partial[self.begin..]
    }

    /// Returns true if a repeat may begin at this place of the partial text. [`is_repeat`](Self::is_repeat) looks
    /// closer.
    pub(super) fn may_begin(&self, at: usize) -> bool {
        let (before, repeated) = self.partial.split_at(at);
        let Some(first) = repeated.chars().next() else {
            return false;
        };
        if is_letter(first) && before.chars().next_back().is_some_and(is_letter) {
            return false; // in the middle of a word
        }
        let is_whole = at == self.begin;
        if self.is_joined(at, first) {
            return repeated.len()
                >= if is_whole {
                    WHOLE_LETTERS
                } else {
                    JOINED_LETTERS
                };
        }
        if repeated.contains('\n') {
            return is_whole && repeated.len() >= APART_BYTES;
        }
        repeated.len() >= if is_whole { WHOLE_BYTES } else { APART_BYTES }
    }

    /// Returns true if a new text that begins with the partial text from `at` on repeats it, where one
    /// [may begin](Self::may_begin).
    pub(super) fn is_repeat(&self, at: usize) -> bool {
        let repeated = &self.partial[at..];
        let Some(first) = repeated.chars().next() else {
            return false;
        };
        let is_whole = at == self.begin;
        if self.is_joined(at, first) {
            let least = if is_whole {
                WHOLE_LETTERS
            } else {
                JOINED_LETTERS
            };
            let letters = repeated.chars().filter(|it| it.is_alphanumeric());
            let different: HashSet<char> = letters.clone().collect();
            return letters.count() >= least
                && different.len() >= JOINED_DIFFERENT
                && different.iter().any(|it| it.is_alphabetic());
        }
        if is_whole && !repeated.contains('\n') {
            return words(repeated).len() >= WHOLE_WORDS;
        }
        is_long(repeated) && self.partial.find(repeated) == Some(at)
    }

    /// Returns true if all of the partial text is long enough for a repeat after space.
    pub(super) fn is_long(&self) -> bool {
        is_long(self.beginning())
    }

    /// Returns true if a new text that begins with this space, then with so many bytes of the
    /// [beginning](Self::beginning), and then differs, begins anew.
    pub(super) fn begins_anew(&self, space: SeamSpace, bytes: usize) -> bool {
        let alike = &self.beginning()[..bytes];
        let Some(first) = alike.chars().next() else {
            return false;
        };
        if space == SeamSpace::None && self.ends_with_letter && !is_unspaced(first) {
            return alike.len() >= JOINED_BEGINNING && words(alike).len() >= JOINED_WORDS;
        }
        let begins_line = space == SeamSpace::Line || self.partial.ends_with('\n');
        if begins_line && !alike.contains('\n') && alike.len() < LINE_BYTES {
            return false;
        }
        let rest = &self.beginning()[first.len_utf8()..];
        is_long(alike) && !rest.contains(alike)
    }

    /// Returns true if a text that begins as the partial text from `at` on would follow it without a space, where no
    /// word does.
    fn is_joined(&self, at: usize, first: char) -> bool {
        let begins_line = || {
            let line = self.partial[..at].rsplit('\n').next();
            line.is_none_or(|line| line.trim().is_empty()) && !first.is_whitespace()
        };
        self.ends_with_letter && !is_unspaced(first) && (is_letter(first) || begins_line())
    }
}

/// Returns true if a text that is apart is no chance by its length.
fn is_long(text: &str) -> bool {
    text.len() >= APART_BYTES && words(text).len() >= APART_WORDS
}

/// Returns the different words of a text: runs of letters and digits, with a letter. In scripts without spaces each
/// character is a word.
fn words(text: &str) -> HashSet<&str> {
    let mut words = HashSet::new();
    for run in text.split(|it: char| !it.is_alphanumeric()) {
        let mut rest = run;
        while let Some(at) = rest.find(is_unspaced) {
            let end = at + rest[at..].chars().next().map_or(0, char::len_utf8);
            words.extend([&rest[..at], &rest[at..end]]);
            rest = &rest[end..];
        }
        words.insert(rest);
    }
    words.retain(|word| word.chars().any(char::is_alphabetic));
    words
}

/// Returns true for a letter or digit of a script with spaces between its words.
fn is_letter(it: char) -> bool {
    it.is_alphanumeric() && !is_unspaced(it)
}

/// Returns true for the characters of scripts without spaces between words: Thai, Lao, Tibetan, Burmese, Khmer,
/// Chinese and Japanese.
fn is_unspaced(it: char) -> bool {
    matches!(it, '\u{e00}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{2e80}'..='\u{a4cf}'
        | '\u{f900}'..='\u{faff}' | '\u{ff00}'..='\u{ffef}' | '\u{20000}'..='\u{3ffff}')
}
