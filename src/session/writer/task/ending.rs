//! The ways in which a writer ends its source.

use bytes::Bytes;

use super::Writer;
use crate::{
    log::Ending,
    session::{Format, writer::contained},
    store::AbortRequest,
};

impl Writer {
    pub(super) fn abort(&mut self, abort: AbortRequest) {
        self.end(&Ending::Aborted {
            reason: abort.reason,
        });
    }

    /// Ends the session, unless it is withdrawn.
    pub(super) fn end(&mut self, ending: &Ending) {
        if self.withdrawal.is_some() {
            return;
        }
        let record = self.last_record(ending);
        self.buffer.end(ending, &record);
    }

    /// Returns the terminal record of an ending, and ends the source.
    pub(super) fn last_record(&mut self, ending: &Ending) -> Bytes {
        let record = contained::terminal_record(self.source.as_ref(), ending, self.format());
        self.end_source();
        record
    }

    /// Returns the format of the session, and the most bytes of a record that the source may give at its end.
    fn format(&self) -> (&dyn Format, usize) {
        let meta = self
            .entry
            .meta()
            .expect("a session that is written was opened");
        let most = self.shared.options.limits.event_bytes;
        (&**self.shared.formats.of(meta), most)
    }

    /// Drops the source of a session that ends. Past the lease, another owner may go on with it.
    pub(super) fn end_source(&mut self) {
        if let Some(source) = self.source.as_ref().filter(|_| self.entry.is_owned()) {
            contained::end(source);
        }
        self.drop_source();
    }

    pub(super) fn drop_source(&mut self) {
        if let Some(source) = self.source.take() {
            contained::drop(source);
        }
    }
}
