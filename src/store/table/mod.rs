//! A table of sessions, for authors of stores that keep the state of each session in the process.
//!
//! [`SessionTable`] finds sessions by id, lists them, keeps their tombstones, and wakes tasks that wait
//! for a change. The store's own data of a session implements [`HasMachine`]: it has a
//! [`SessionMachine`](super::machine::SessionMachine), and usually the records or their location. Each
//! entry has a lock of its own. The index is locked to find, to add, to list and to move an entry, and
//! never by a thread that holds the lock of an entry: the index comes first.
//!
//! A list costs as much as it returns, however many other sessions and tombstones there are. For that the
//! index keeps the sessions of each owner and chat by their status, and has to be told of changes: the
//! store calls [`update`](SessionTable::update) when the status of a session has changed, and
//! [`bury`](SessionTable::bury) when a session is gone.
//!
//! The memory store of this crate and the disk store of `unbroken-disk` are built on this module. The
//! shell of such a store, here with `create`, `append`, `read` and `delete` of the methods of
//! [`Store`](super::Store):
//!
//! ```
//! use unbroken::{
//!     log::{Chunk, Lsn, Position, SessionId},
//!     store::{
//!         AfterAppend, Appended, Created, DeleteMode, NewSession, RecordPage, StoreError,
//!         machine::SessionMachine,
//!         table::{HasMachine, SessionTable},
//!     },
//! };
//!
//! struct Session {
//!     machine: SessionMachine,
//!     chunks: Vec<Chunk>,
//! }
//!
//! impl HasMachine for Session {
//!     fn machine(&self) -> &SessionMachine {
//!         &self.machine
//!     }
//! }
//!
//! struct MyStore {
//!     table: SessionTable<Session>,
//! }
//!
//! impl MyStore {
//!     fn create(&self, id: &SessionId, new: &NewSession) -> Result<Created, StoreError> {
//!         let (mut index, now) = (self.table.index(), self.table.now());
//!         let taken = index
//!             .find(id, now)
//!             .and_then(|entry| entry.lock().machine.create(new.token, now));
//!         if !matches!(taken, Err(StoreError::NotFound)) {
//!             return taken;
//!         }
//!         let machine = SessionMachine::new(new, now);
//!         let epoch = machine.state(now).epoch;
//!         index.insert(id, Session { machine, chunks: Vec::new() });
//!         Ok(Created::Created(epoch))
//!     }
//!
//!     fn append(
//!         &self,
//!         id: &SessionId,
//!         chunk: Chunk,
//!         after: AfterAppend,
//!     ) -> Result<Appended, StoreError> {
//!         let entry = self.table.entry(id)?;
//!         let (mut session, now) = (entry.lock(), self.table.now());
//!         let effect = session.machine.append(&chunk, after, 1 << 20, now)?;
//!         if effect.is_new {
//!             session.chunks.push(chunk); // or write it, and return once it is stable
//!         }
//!         let sealed = session.machine.is_sealed();
//!         drop(session);
//!         if effect.status_changed {
//!             self.table.update(&entry); // for lists and for `sweep`
//!         }
//!         if sealed {
//!             entry.wake_all();
//!         } else {
//!             entry.wake_readers();
//!         }
//!         Ok(effect.appended)
//!     }
//!
//!     fn read(&self, id: &SessionId, after: Position) -> Result<RecordPage, StoreError> {
//!         let entry = self.table.entry(id)?;
//!         let (session, now) = (entry.lock(), self.table.now());
//!         let record = |lsn: Lsn| session.chunks.iter().find_map(|chunk| chunk.record(lsn));
//!         let tag_at = |lsn| record(lsn).map(|record| record.epoch.tag());
//!         session.machine.check_read(after, tag_at, now)?;
//!         let chunks = session.chunks.iter().filter_map(|chunk| chunk.after(after.lsn));
//!         Ok(RecordPage { chunks: chunks.collect(), state: session.machine.state(now) })
//!     }
//!
//!     fn delete(&self, id: &SessionId, how: DeleteMode) -> Result<(), StoreError> {
//!         let entry = match self.table.entry(id) {
//!             Err(StoreError::Gone(_)) if how.accepts_gone() => return Ok(()),
//!             found => found?,
//!         };
//!         entry.lock().machine.delete(how, self.table.now())?;
//!         self.table.bury(&entry); // its tombstone remains, unless it was withdrawn
//!         entry.wake_all();
//!         Ok(())
//!     }
//! }
//! ```
//!
//! The other methods, after the model of the memory store (`src/store/memory/store.rs` in the
//! repository):
//!
//! * `claim`, `renew`, `abort`, `answer` and `hold` lock the entry and call the machine's method of that
//!   name. `answers` calls [`answers_after`](super::machine::SessionMachine::answers_after).
//! * `endings` asks [`TableIndex::due_endings`] for the sessions, and takes each with
//!   [`take_ending`](super::machine::SessionMachine::take_ending), which may drop it instead; `postpone_ending` and
//!   `delivered` call the machine's methods too. After each they call [`update`](SessionTable::update) and
//!   [`bury`](SessionTable::bury).
//! * After `claim`, `abort` and `answer` they wake all waiting tasks.
//! * [`changed`](SessionTable::changed), [`of_chat`](SessionTable::of_chat), [`list`](SessionTable::list),
//!   [`orphans`](SessionTable::orphans) and [`sweep`](SessionTable::sweep) are methods of the table.
//!
//! A store that keeps data of its own for each tombstone, such as its location in a file, names the type
//! as the second parameter of [`SessionTable`]. In place of `bury` and `sweep` it calls
//! [`TableIndex::due_after`], [`TableIndex::bury`] and [`TableIndex::sweep_tombstones`].

mod changed;
mod clock;
mod ending_queue;
mod entry;
mod index;
mod listing;
mod scope;
mod sessions;
#[cfg(test)]
mod tests;
mod tombstones;

pub(crate) use self::tombstones::Tombstones;
pub use self::{
    clock::StoreClock,
    entry::{HasMachine, TableEntry},
    index::{DueKey, TableIndex},
    sessions::SessionTable,
    tombstones::TombstoneEntry,
};
