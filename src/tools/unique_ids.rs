use std::collections::{HashMap, HashSet};

/// The ids of the calls of an answer. Some models send none, or repeat one in every turn; each call gets
/// one that no other has.
#[derive(Debug, Default)]
pub(super) struct UniqueIds {
    used: HashSet<String>,
    /// Of this turn: the ids that were given for the model's.
    given: HashMap<String, GivenId>,
}

#[derive(Debug)]
struct GivenId {
    id: String,
    /// True once a call has it; until then its arguments come.
    is_called: bool,
}

impl UniqueIds {
    /// Creates a set of the ids that other calls have.
    pub(super) fn new(used: impl IntoIterator<Item = String>) -> Self {
        Self {
            used: used.into_iter().collect(),
            given: HashMap::new(),
        }
    }

    /// Returns the id of a call whose arguments come.
    pub(super) fn announce(&mut self, id: String) -> String {
        match self.given.get(&id) {
            Some(given) if !given.is_called => given.id.clone(),
            _ => self.give(id, false),
        }
    }

    /// Returns the id of a call.
    pub(super) fn assign(&mut self, id: String) -> String {
        match self.given.get_mut(&id) {
            Some(given) if !given.is_called => {
                given.is_called = true;
                given.id.clone()
            }
            _ => self.give(id, true),
        }
    }

    /// Returns the id that was given for the model's in this turn.
    pub(super) fn given(&self, id: &str) -> Option<&str> {
        self.given.get(id).map(|given| &*given.id)
    }

    /// Forgets the model's ids: it may use them again.
    pub(super) fn end_turn(&mut self) {
        self.given.clear();
    }

    fn give(&mut self, of_model: String, is_called: bool) -> String {
        let wanted = if of_model.is_empty() {
            "call"
        } else {
            &of_model
        };
        let mut id = wanted.to_owned();
        let mut number = 2_u64;
        while !self.used.insert(id.clone()) {
            id = format!("{wanted}-{number}");
            number += 1;
        }
        let given = GivenId {
            id: id.clone(),
            is_called,
        };
        self.given.insert(of_model, given);
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_or_absent_id_becomes_a_new_one() {
        let mut ids = UniqueIds::new(["a".to_owned()]);
        let given = ["a", "a", "", "", "b"].map(|id| ids.assign(id.into()));
        assert_eq!(given, ["a-2", "a-3", "call", "call-2", "b"]);
        assert_eq!(ids.given("a"), Some("a-3"));
        ids.end_turn();
        assert_eq!(ids.given("a"), None);
        assert_eq!(ids.assign("b".into()), "b-2");
    }

    #[test]
    fn a_call_has_the_id_under_which_its_arguments_came() {
        let mut ids = UniqueIds::new(["a".to_owned()]);
        assert_eq!(ids.announce("a".into()), "a-2");
        assert_eq!(ids.announce("a".into()), "a-2");
        assert_eq!(ids.assign("a".into()), "a-2");
        assert_eq!(ids.announce("a".into()), "a-3");
        assert_eq!(ids.assign("a".into()), "a-3");
    }
}
