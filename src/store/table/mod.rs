//! A table of sessions, for authors of stores that keep the state of each session in the process.
//!
//! [`SessionTable`] finds sessions by id, lists them, and wakes tasks that wait for a change. The
//! store's own data of a session implements [`HasMachine`]: it has a
//! [`SessionMachine`](super::machine::SessionMachine), and usually the records or their location. Each
//! entry has a lock of its own; the index is locked only to find or to add an entry, and never by a
//! thread that holds the lock of an entry.
//!
//! The memory store of this crate and the disk store of `unbroken-disk` are built on this module. The
//! shell of such a store, here with `create`, `append`, `read` and `sweep` of the methods of
//! [`Store`](super::Store):
//!
//! ```
//! use unbroken::{
//!     log::{Chunk, Lsn, Position, SessionId},
//!     store::{
//!         AfterAppend, Appended, Created, NewSession, RecordPage, StoreError,
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
//!         if let Some(entry) = index.entry(id) {
//!             match entry.lock().machine.create(new.token, now) {
//!                 Err(StoreError::NotFound) => {} // its tombstone is over: the id is free
//!                 result => return result,
//!             }
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
//!         let due = session.machine.due(now);
//!         drop(session);
//!         if let Some(due) = due {
//!             self.table.index().set_due(entry.number, due); // for `sweep`
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
//!     fn sweep(&self, limit: usize) -> usize {
//!         let mut swept = 0;
//!         while swept < limit {
//!             let now = self.table.now();
//!             let Some(entry) = self.table.index().pop_due(now) else { break };
//!             let mut session = entry.lock();
//!             // A hold may have moved the expiry, so the machine decides.
//!             let presence = session.machine.check_present(now);
//!             if let Err(StoreError::Gone(_)) = presence {
//!                 session.chunks = Vec::new(); // the tombstone remains
//!                 swept += 1;
//!             }
//!             let due = session.machine.due(now);
//!             drop(session);
//!             if let Err(StoreError::NotFound) = presence {
//!                 self.table.index().remove(entry.number);
//!                 swept += 1;
//!             } else if let Some(due) = due {
//!                 self.table.index().set_due(entry.number, due);
//!             }
//!         }
//!         swept
//!     }
//! }
//! ```
//!
//! The other methods, after the model of the memory store (`src/store/memory/store.rs` in the
//! repository):
//!
//! * `claim`, `renew`, `abort`, `answer`, `hold` and `delete` lock the entry and call the machine's
//!   method of that name. `answers` calls
//!   [`answers_after`](super::machine::SessionMachine::answers_after).
//! * After `claim`, `abort`, `answer` and `delete` they wake all waiting tasks. After `delete`, as after
//!   a seal, they also call [`set_due`](TableIndex::set_due).
//! * [`changed`](SessionTable::changed), [`list`](SessionTable::list) and
//!   [`orphans`](SessionTable::orphans) are methods of the table.

mod changed;
mod clock;
mod entry;
mod index;
mod listing;
mod sessions;

pub use self::{
    clock::StoreClock,
    entry::{HasMachine, TableEntry},
    index::TableIndex,
    sessions::SessionTable,
};
