use super::rules::{SeamRules, SeamSpace};

/// The bytes at the end of the partial text in which a repeat may begin.
const WINDOW: usize = 1024;

/// The judge of one seam: compares a new text with the partial text, as it comes. No I/O, and no events.
///
/// The verdict depends on the new text, and not on how it is split into pieces. The new text isn't kept.
#[derive(Debug)]
pub(super) struct SeamJudge {
    rules: SeamRules,
    /// The bytes of the new text so far.
    taken: usize,
    /// The places in the partial text from which on it is as the new text so far.
    repeats: Vec<usize>,
    /// The bytes of the longest repeat that is complete.
    repeated: usize,
    /// The space at the beginning of the new text.
    space: SeamSpace,
    /// The bytes after that which are as the beginning of the partial text; `None` once the new text differs.
    alike: Option<usize>,
    /// True if the new text can't go on any more.
    is_sure: bool,
}

/// The verdict on a seam.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SeamVerdict {
    /// More text is needed.
    Open,
    /// It goes on after a repeat of so many bytes, usually 0.
    GoesOn {
        /// The bytes of the repeat at the beginning of the new text.
        repeated: usize,
        /// True if it is a repeat of all of the partial text.
        is_whole: bool,
    },
    /// It begins anew.
    BeginsAnew,
}

impl SeamJudge {
    /// Creates the judge of a text that is added to this one.
    pub(super) fn new(partial: String) -> Self {
        let rules = SeamRules::new(partial);
        let partial = rules.partial();
        let mut from = partial.len().saturating_sub(WINDOW);
        while !partial.is_char_boundary(from) {
            from += 1;
        }
        let places = partial[from..].char_indices().map(|(at, _)| from + at);
        Self {
            repeats: places.filter(|at| rules.may_begin(*at)).collect(),
            taken: 0,
            repeated: 0,
            space: SeamSpace::None,
            alike: Some(0).filter(|_| !rules.beginning().is_empty()),
            is_sure: false,
            rules,
        }
    }

    /// Takes a piece of the new text.
    pub(super) fn push(&mut self, piece: &str) -> SeamVerdict {
        for next in piece.chars() {
            let verdict = self.step(next);
            if verdict != SeamVerdict::Open {
                return verdict;
            }
        }
        SeamVerdict::Open
    }

    /// Ends the new text. Returns a verdict.
    pub(super) fn finish(&self) -> SeamVerdict {
        match self.alike {
            Some(alike) if self.begins_anew(alike) => SeamVerdict::BeginsAnew,
            _ => self.goes_on(),
        }
    }

    /// Returns true if the new text so far is either a repeat or begins anew, so that it isn't needed.
    pub(super) fn is_sure(&self) -> bool {
        self.is_sure
    }

    fn step(&mut self, next: char) -> SeamVerdict {
        let (before, size) = (self.taken, next.len_utf8());
        self.taken += size;
        let partial = self.rules.partial();
        self.repeats
            .retain(|at| partial[at + before..].starts_with(next));
        // At most one is complete with each character.
        let complete = |at: &usize| at + self.taken == partial.len();
        if let Some(index) = self.repeats.iter().position(complete) {
            let at = self.repeats.remove(index);
            if self.rules.is_repeat(at) {
                self.repeated = self.taken;
            }
        }
        if let Some(alike) = self.alike {
            if let Some(verdict) = self.compare(alike, next) {
                return verdict;
            }
            if self.taken >= WINDOW && !self.is_sure {
                self.is_sure = self.alike.is_some_and(|alike| self.begins_anew(alike));
                self.alike = self.alike.filter(|_| self.is_sure);
            }
        }
        if self.repeats.is_empty() && self.alike.is_none() {
            return self.goes_on();
        }
        SeamVerdict::Open
    }

    /// Compares the next character with the beginning of the partial text, of which `alike` bytes were equal.
    fn compare(&mut self, alike: usize, next: char) -> Option<SeamVerdict> {
        let beginning = self.rules.beginning();
        if alike == 0 && next.is_whitespace() {
            self.space = self.space.max(match next {
                '\n' => SeamSpace::Line,
                _ => SeamSpace::InLine,
            });
            return None;
        }
        if !beginning[alike..].starts_with(next) {
            self.alike = None;
            return self.begins_anew(alike).then_some(SeamVerdict::BeginsAnew);
        }
        let alike = alike + next.len_utf8();
        self.alike = Some(alike).filter(|_| alike < beginning.len());
        if self.alike.is_none() && self.is_whole_repeat() {
            return Some(SeamVerdict::GoesOn {
                repeated: self.taken,
                is_whole: true,
            });
        }
        None
    }

    /// Returns true if the new text, which has all of the partial text, repeats it.
    fn is_whole_repeat(&self) -> bool {
        if self.space != SeamSpace::None {
            return self.rules.is_long();
        }
        let begin = self.rules.partial().len() - self.rules.beginning().len();
        self.rules.may_begin(begin) && self.rules.is_repeat(begin)
    }

    /// Returns true if the new text begins anew, should it differ after so many bytes.
    fn begins_anew(&self, alike: usize) -> bool {
        // Of a repeat and a beginning, the longer one counts.
        alike > self.repeated && self.rules.begins_anew(self.space, alike)
    }

    fn goes_on(&self) -> SeamVerdict {
        SeamVerdict::GoesOn {
            repeated: self.repeated,
            is_whole: false,
        }
    }
}

#[cfg(test)]
mod tests;
