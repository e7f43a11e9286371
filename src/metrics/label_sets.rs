//! The sets of labels of this process. They are bounded, and kept for ever.

use std::{
    collections::HashSet,
    sync::{LazyLock, PoisonError, RwLock},
};

use metrics::Label;

/// The most services with a label of their own.
const MAX_SERVICES: usize = 64;

static SETS: LazyLock<RwLock<LabelSets>> = LazyLock::new(RwLock::default);

#[derive(Default)]
struct LabelSets {
    known: Vec<&'static [Label]>,
    services: HashSet<String>,
}

impl LabelSets {
    fn find(&self, labels: &[(&'static str, &str)]) -> Option<&'static [Label]> {
        let is_equal = |set: &&&'static [Label]| {
            set.len() == labels.len()
                && set
                    .iter()
                    .zip(labels)
                    .all(|(known, (key, value))| known.key() == *key && known.value() == *value)
        };
        self.known.iter().find(is_equal).copied()
    }
}

/// Returns these labels. Allocates only for a set that is new, and for services that are `other`.
pub(super) fn label_set(labels: &[(&'static str, &str)]) -> &'static [Label] {
    if labels.is_empty() {
        return &[];
    }
    let found = {
        let sets = SETS.read().unwrap_or_else(PoisonError::into_inner);
        let is_other = |(key, value): &(&str, &str)| {
            *key == "service"
                && sets.services.len() >= MAX_SERVICES
                && !sets.services.contains(*value)
        };
        if labels.iter().any(is_other) {
            None
        } else {
            sets.find(labels)
        }
    };
    found.unwrap_or_else(|| add(labels))
}

fn add(labels: &[(&'static str, &str)]) -> &'static [Label] {
    let mut sets = SETS.write().unwrap_or_else(PoisonError::into_inner);
    let mut bounded = labels.to_vec();
    for (key, value) in &mut bounded {
        if *key == "service" && !sets.services.contains(*value) {
            if sets.services.len() < MAX_SERVICES {
                sets.services.insert((*value).to_owned());
            } else {
                *value = "other";
            }
        }
    }
    if let Some(found) = sets.find(&bounded) {
        return found;
    }
    let made: Vec<_> = bounded
        .into_iter()
        .map(|(key, value)| Label::new(key, value.to_owned()))
        .collect();
    let made: &'static [Label] = Vec::leak(made);
    sets.known.push(made);
    made
}
