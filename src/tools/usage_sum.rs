use crate::chat::{ChatEvent, TurnEnd, TurnUsage, Usage};

/// The usage of an answer with tools while it runs.
#[derive(Debug)]
pub(super) struct UsageSum {
    // Of the calls of the model that are over.
    over: Option<Usage>,
    // Of the turns that the model has ended in the present call.
    turns: Option<Usage>,
    // Of those whose ends aren't passed on yet.
    held: Option<Usage>,
    // Of the turn that it is in.
    of_turn: TurnUsage,
    // True if what is reported is of a turn that has ended.
    counted: bool,
}

impl UsageSum {
    /// Creates the usage of an answer that goes on after `before`.
    pub(super) fn new(before: Option<Usage>, of_turn: TurnUsage) -> Self {
        Self {
            over: before,
            turns: None,
            held: None,
            of_turn,
            counted: false,
        }
    }

    /// Begins a call of the model.
    pub(super) fn begin(&mut self) {
        self.of_turn.clear();
        self.counted = false;
        self.held = None;
    }

    /// Counts a turn that the model ended. What was reported is its usage if it tells none. That is forgotten
    /// once the end is passed on.
    pub(super) fn end_turn(&mut self, end: &mut TurnEnd, is_held: bool) {
        if end.usage.is_none() {
            end.usage = self.reported();
        }
        add(&mut self.turns, end.usage.clone());
        self.counted = is_held;
        if is_held {
            self.hold(end.usage.clone());
        } else {
            self.of_turn.clear();
        }
    }

    /// Adds the usage of a turn whose end isn't passed on yet.
    pub(super) fn hold(&mut self, usage: Option<Usage>) {
        add(&mut self.held, usage);
    }

    /// Returns the usage of the turns whose ends aren't passed on.
    pub(super) fn held(&self) -> Option<Usage> {
        self.held.clone()
    }

    /// Puts the usage of the answer into the terminal event of a call that failed or was aborted. Without a usage of
    /// its own, what clients have the ends of turns for, and what is reported, is added later, as to all answers
    /// that break off.
    pub(super) fn break_off(&mut self, event: &mut ChatEvent) {
        let usage = match event {
            ChatEvent::Error(end) => &mut end.usage,
            ChatEvent::Aborted(end) => &mut end.usage,
            _ => return,
        };
        if usage.is_some() || self.held.is_some() {
            self.end_call(usage.take());
            *usage = self.take();
        }
    }

    /// Ends the call of the model and counts what it told. Where it told nothing, its turns count, and what was
    /// reported of the last one. Returns the usage of the call.
    pub(super) fn end_call(&mut self, told: Option<Usage>) -> Option<Usage> {
        let mut turns = self.turns.take();
        let reported = self.reported();
        self.counted = true;
        let usage = told.or_else(|| {
            add(&mut turns, reported);
            turns
        });
        add(&mut self.over, usage.clone());
        usage
    }

    /// Takes the usage of the whole answer.
    pub(super) fn take(&mut self) -> Option<Usage> {
        self.over.take()
    }

    fn reported(&self) -> Option<Usage> {
        self.of_turn.known().filter(|_| !self.counted)
    }
}

fn add(sum: &mut Option<Usage>, usage: Option<Usage>) {
    if let Some(usage) = usage {
        *sum.get_or_insert_default() += usage;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{Aborted, FinishReason};

    fn turn(input: Option<u64>) -> TurnEnd {
        let mut end = TurnEnd::new(FinishReason::Stop);
        end.usage = input.map(|input| Usage::new(input, 1));
        end
    }

    #[test]
    fn the_turns_of_a_call_count_where_it_tells_no_sum() {
        for (told, sum) in [(None, Usage::new(16, 4)), (Some(9), Usage::new(10, 2))] {
            let of_turn = TurnUsage::new();
            let mut usage = UsageSum::new(Some(Usage::new(1, 1)), of_turn.clone());
            usage.begin();
            usage.end_turn(&mut turn(Some(3)), false);
            of_turn.report(&Usage::new(5, 1));
            let mut silent = turn(None);
            usage.end_turn(&mut silent, false);
            assert_eq!(silent.usage, Some(Usage::new(5, 1)));
            of_turn.report(&Usage::new(7, 1));
            usage.end_call(told.map(|input| Usage::new(input, 1)));
            assert_eq!(usage.take(), Some(sum));
        }
    }

    #[test]
    fn a_turn_that_is_held_is_not_counted_by_its_report_too() {
        let of_turn = TurnUsage::new();
        let mut usage = UsageSum::new(None, of_turn.clone());
        usage.begin();
        of_turn.report(&Usage::new(3, 1));
        usage.end_turn(&mut turn(None), true);
        assert_eq!(of_turn.known(), Some(Usage::new(3, 1)), "an abort has it");
        assert_eq!(usage.end_call(None), Some(Usage::new(3, 1)));
        assert_eq!(usage.take(), Some(Usage::new(3, 1)));
    }

    #[test]
    fn an_answer_that_breaks_off_counts_the_turn_that_is_held() {
        for (of_event, sum) in [(None, Some(4)), (Some(9), Some(10))] {
            let mut usage = UsageSum::new(Some(Usage::new(1, 1)), TurnUsage::new());
            usage.begin();
            usage.end_turn(&mut turn(Some(3)), true);
            let mut end = Aborted::new();
            end.usage = of_event.map(|input| Usage::new(input, 1));
            let mut event = end.into();
            usage.break_off(&mut event);
            let ChatEvent::Aborted(end) = event else {
                panic!("{event:?}");
            };
            assert_eq!(end.usage, sum.map(|input| Usage::new(input, 2)));
        }
    }
}
