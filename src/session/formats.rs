use std::sync::Arc;

use super::Format;
use crate::store::SessionMeta;

/// The formats that a registry knows, with different numbers. The first one is that of sessions which name none.
#[derive(Debug)]
pub(super) struct Formats {
    first: Arc<dyn Format>,
    others: Vec<Arc<dyn Format>>,
}

impl Formats {
    pub(super) fn new(first: Arc<dyn Format>) -> Self {
        Self {
            first,
            others: Vec::new(),
        }
    }

    /// Adds a format.
    ///
    /// # Panics
    ///
    /// Panics if another format has its number.
    pub(super) fn add(&mut self, format: Arc<dyn Format>) {
        let number = format.number();
        if let Some(former) = self.find(number) {
            panic!(
                "two formats of one registry have the number {number}: {former:?}, and {format:?}; give each a number \
                 of its own"
            );
        }
        self.others.push(format);
    }

    /// Returns the format of sessions that name none.
    pub(super) fn first(&self) -> &Arc<dyn Format> {
        &self.first
    }

    /// Returns the format with this number, if the registry knows it.
    pub(super) fn find(&self, number: u16) -> Option<&Arc<dyn Format>> {
        let mut all = std::iter::once(&self.first).chain(&self.others);
        all.find(|format| format.number() == number)
    }

    /// Returns the format of a session that this server started or claimed. Both need a format that it knows.
    pub(super) fn of(&self, meta: &SessionMeta) -> &Arc<dyn Format> {
        let found = self.find(meta.format);
        found.expect("no session of an unknown format is started or claimed here")
    }
}
