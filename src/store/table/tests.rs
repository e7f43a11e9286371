//! The work of lists is counted by the test's own data of a session: each visit asks it for its machine.

use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;

use super::{HasMachine, SessionTable, StoreClock, TableEntry};
use crate::{
    log::{ChatId, ChunkBuilder, Digest, Outcome, Owner, ServiceName, SessionId},
    store::{
        AfterAppend, DeleteMode, Filter, Listed, NewSession, Seal, SessionMeta, StatusFilter,
        StoreError, Token, machine::SessionMachine,
    },
};

const SECOND: Duration = Duration::from_secs(1);
const OTHERS: usize = 40_000;

struct CountedSession {
    machine: SessionMachine,
    visits: Arc<AtomicUsize>,
}

impl HasMachine for CountedSession {
    fn machine(&self) -> &SessionMachine {
        self.visits.fetch_add(1, Relaxed);
        &self.machine
    }
}

/// A table that counts the visits to its sessions.
struct CountedTable {
    table: SessionTable<CountedSession>,
    visits: Arc<AtomicUsize>,
}

impl CountedTable {
    fn new() -> Self {
        Self {
            table: SessionTable::new(StoreClock::new()),
            visits: Arc::default(),
        }
    }

    fn create(&self, owner: Option<&str>, chat: &str) -> Arc<TableEntry<CountedSession>> {
        let new = NewSession {
            meta: Arc::new(SessionMeta {
                owner: owner.map(Owner::new),
                chat: Some(ChatId::new(chat)),
                service: ServiceName::new("a service"),
                digest: Digest([7; 32]),
                format: SessionMeta::LATEST_FORMAT,
                outbox: None,
            }),
            request: Bytes::new(),
            token: Token(1),
            lease: SECOND,
            tombstone: 60 * SECOND,
        };
        let session = CountedSession {
            machine: SessionMachine::new(&new, self.table.now()),
            visits: self.visits.clone(),
        };
        self.table.index().insert(&SessionId::random(), session)
    }

    /// Appends a record as a store does.
    fn append(&self, entry: &TableEntry<CountedSession>, after: AfterAppend) {
        let effect = {
            let (mut session, now) = (entry.lock(), self.table.now());
            let mut batch = ChunkBuilder::new();
            batch.push(b"a record");
            let (next, epoch) = (
                session.machine.tail().next(),
                session.machine.state(now).epoch,
            );
            let chunk = batch.take(next, epoch).unwrap();
            session.machine.append(&chunk, after, 99, now).unwrap()
        };
        if effect.status_changed {
            self.table.update(entry);
        }
    }

    fn ended(&self, owner: Option<&str>, chat: &str) -> Arc<TableEntry<CountedSession>> {
        let entry = self.create(owner, chat);
        self.append(&entry, seal(3600));
        entry
    }

    fn delete(&self, entry: &TableEntry<CountedSession>) {
        let now = self.table.now();
        entry.lock().machine.delete(DeleteMode::Now, now).unwrap();
        self.table.bury(entry);
    }

    /// Adds sessions of others, of the same chat and of other chats, and as many tombstones, also of the
    /// owner's own sessions of the chat.
    fn crowded(self) -> Self {
        for at in 0..OTHERS {
            let (owner, chat) = match at % 4 {
                0 => (Some("another"), "chat"),
                1 => (None, "chat"),
                2 => (Some("owner"), "another"),
                _ => (Some("another"), "another"),
            };
            if at % 8 < 4 {
                self.ended(owner, chat);
            } else {
                self.create(owner, chat);
            }
            let gone = self.create(Some("owner"), "chat");
            self.delete(&gone);
        }
        assert_eq!(self.table.index().tombstone_count(), OTHERS);
        self
    }

    /// Returns the result of some work, and the visits that it made.
    fn counted<R>(&self, work: impl FnOnce(&SessionTable<CountedSession>) -> R) -> (R, usize) {
        let before = self.visits.load(Relaxed);
        let result = work(&self.table);
        (result, self.visits.load(Relaxed) - before)
    }
}

fn seal(keep: u64) -> AfterAppend {
    AfterAppend::Seal(Seal::new(Outcome::Complete, Duration::from_secs(keep)))
}

fn ids(listed: &[Listed]) -> Vec<SessionId> {
    listed.iter().map(|it| it.id.clone()).collect()
}

fn of_chat(table: &SessionTable<CountedSession>, limit: usize) -> Vec<SessionId> {
    ids(&table.of_chat(Some(&Owner::new("owner")), &ChatId::new("chat"), limit))
}

#[test]
fn a_look_up_by_owner_and_chat_visits_as_many_sessions_as_in_an_empty_table() {
    let visits = [CountedTable::new(), CountedTable::new().crowded()].map(|counted| {
        let ended = counted.ended(Some("owner"), "chat");
        let waiting = counted.create(Some("owner"), "chat");
        counted.append(&waiting, AfterAppend::Waiting);
        let newest = counted.ended(Some("owner"), "chat");
        let (found, visits) = counted.counted(|table| of_chat(table, 32));
        assert_eq!(found, [&waiting, &newest, &ended].map(|it| it.id.clone()));
        visits
    });
    assert_eq!(visits, [3, 3]);
}

#[test]
fn a_look_up_stops_at_its_limit() {
    let counted = CountedTable::new();
    let all: Vec<_> = (0..100)
        .map(|_| counted.create(Some("owner"), "chat"))
        .collect();
    let (found, visits) = counted.counted(|table| of_chat(table, 2));
    assert_eq!(found, [&all[99], &all[98]].map(|it| it.id.clone()));
    assert_eq!(visits, 2);
    let (found, visits) = counted.counted(|table| of_chat(table, 0));
    assert_eq!((found.len(), visits), (0, 0));
}

#[test]
fn a_page_visits_no_more_sessions_than_it_holds_and_one() {
    let counted = CountedTable::new().crowded();
    for _ in 0..7 {
        let entry = counted.create(Some("owner"), "chat");
        counted.append(&entry, AfterAppend::Waiting);
        counted.ended(Some("owner"), "chat");
    }
    let (owner, chat) = (Some(Owner::new("owner")), Some(ChatId::new("chat")));
    let statuses = [
        None,
        Some(StatusFilter::Streaming),
        Some(StatusFilter::Waiting),
        Some(StatusFilter::Complete),
        Some(StatusFilter::Aborted),
    ];
    for owner in [&None, &owner] {
        for chat in [&None, &chat] {
            for status in statuses {
                let mut filter = Filter {
                    owner: owner.clone(),
                    chat: chat.clone(),
                    status,
                    after: None,
                    limit: NonZeroUsize::new(5),
                };
                // Two pages, the second from the middle of the list.
                for _ in 0..2 {
                    let (page, visits) = counted.counted(|table| table.list(&filter));
                    assert!(visits <= page.sessions.len() + 1, "{visits}: {filter:?}");
                    filter.after = page.next;
                }
            }
        }
    }
}

#[test]
fn pages_of_every_filter_have_each_session_once() {
    let counted = CountedTable::new();
    let owners = [None, Some("owner"), Some("another")];
    for at in 0..60 {
        let entry = counted.create(owners[at % 3], ["chat", "another"][at % 2]);
        match at % 5 {
            0 => counted.append(&entry, AfterAppend::Waiting),
            1 => counted.append(&entry, seal(3600)),
            2 => counted.delete(&entry),
            _ => {}
        }
    }
    let everything = Filter {
        limit: NonZeroUsize::new(1000),
        ..Filter::default()
    };
    let all = counted.table.list(&everything).sessions;
    assert_eq!(all.len(), 48);
    let statuses = [
        None,
        Some(StatusFilter::Streaming),
        Some(StatusFilter::Waiting),
        Some(StatusFilter::Complete),
        Some(StatusFilter::Error),
    ];
    for owner in [None, Some(Owner::new("owner"))] {
        for chat in [None, Some(ChatId::new("chat"))] {
            for status in statuses {
                let mut filter = Filter {
                    owner: owner.clone(),
                    chat: chat.clone(),
                    status,
                    after: None,
                    limit: NonZeroUsize::new(3),
                };
                let expected = all.iter().filter(|it| {
                    let meta = &it.state.meta;
                    (owner.is_none() || meta.owner == owner)
                        && (chat.is_none() || meta.chat == chat)
                        && status.is_none_or(|status| status == StatusFilter::of(it.state.status))
                });
                let expected: Vec<_> = expected.map(|it| it.id.clone()).collect();
                let mut found = Vec::new();
                loop {
                    let page = counted.table.list(&filter);
                    found.extend(ids(&page.sessions));
                    filter.after = page.next;
                    if filter.after.is_none() {
                        break;
                    }
                }
                assert_eq!(found, expected, "{filter:?}");
            }
        }
    }
}

#[test]
fn expired_sessions_are_visited_by_one_list_only() {
    let counted = CountedTable::new();
    for _ in 0..1000 {
        let entry = counted.create(Some("owner"), "chat");
        counted.append(&entry, seal(1));
    }
    counted.table.clock().jump(2 * SECOND);
    assert!(of_chat(&counted.table, 1).is_empty());
    let (found, visits) = counted.counted(|table| of_chat(table, 1));
    assert_eq!((found.len(), visits), (0, 0));
    assert_eq!(counted.table.sweep(usize::MAX), 1000);
    assert_eq!(counted.table.index().tombstone_count(), 1000);
}

#[test]
fn orphans_are_found_without_a_visit_to_ended_sessions() {
    let counted = CountedTable::new();
    for _ in 0..1000 {
        counted.ended(Some("another"), "chat");
    }
    let orphan = counted.create(Some("owner"), "chat");
    counted.table.clock().jump(2 * SECOND);
    let (found, visits) = counted.counted(|table| table.orphans(10));
    assert_eq!(ids(&found), std::slice::from_ref(&orphan.id));
    assert_eq!(visits, 1);
}

#[test]
fn a_tombstone_keeps_neither_the_session_nor_its_chat() {
    let counted = CountedTable::new();
    let entry = counted.ended(Some("owner"), "chat");
    let meta = entry.lock().machine.meta().clone();
    let id = entry.id.clone();
    counted.delete(&entry);
    drop(entry);
    assert_eq!(Arc::strong_count(&meta), 1, "the session is still held");
    let now = counted.table.now();
    let index = counted.table.index();
    let Err(StoreError::Gone(left)) = index.find(&id, now) else {
        panic!("it has no tombstone");
    };
    assert_eq!((left.owner, left.digest), (meta.owner.clone(), meta.digest));
}

#[test]
fn the_oldest_tombstones_are_removed_beyond_their_largest_number() {
    let counted = CountedTable::new();
    counted.table.index().set_max_tombstones(3);
    let mut gone = Vec::new();
    for _ in 0..4 {
        let entry = counted.create(None, "chat");
        counted.table.clock().jump(SECOND);
        counted.delete(&entry);
        gone.push(entry.id.clone());
    }
    let words = |table: &SessionTable<CountedSession>| {
        let word = |id| match table.entry(id) {
            Err(StoreError::Gone(_)) => "gone",
            Err(StoreError::NotFound) => "not found",
            _ => "present",
        };
        gone.iter().map(word).collect::<Vec<_>>()
    };
    assert_eq!(words(&counted.table), ["not found", "gone", "gone", "gone"]);
    counted.table.index().set_max_tombstones(1);
    let one_left = ["not found", "not found", "not found", "gone"];
    assert_eq!(words(&counted.table), one_left);
}

#[test]
fn a_swept_tombstone_frees_its_id() {
    let counted = CountedTable::new();
    let entry = counted.create(None, "chat");
    counted.delete(&entry);
    assert_eq!(counted.table.sweep(9), 0);
    counted.table.clock().jump(60 * SECOND);
    assert!(matches!(
        counted.table.entry(&entry.id),
        Err(StoreError::NotFound)
    ));
    assert_eq!(counted.table.sweep(9), 1);
    assert_eq!(counted.table.index().tombstone_count(), 0);
}

#[test]
fn a_session_that_is_held_longer_is_not_swept() {
    let counted = CountedTable::new();
    let entry = counted.create(Some("owner"), "chat");
    counted.append(&entry, seal(1));
    let now = counted.table.now();
    let holder = crate::store::Holder(1);
    entry.lock().machine.hold(holder, 5 * SECOND, now).unwrap();
    counted.table.clock().jump(2 * SECOND);
    assert_eq!(counted.table.sweep(9), 0);
    assert_eq!(of_chat(&counted.table, 9), std::slice::from_ref(&entry.id));
    counted.table.clock().jump(4 * SECOND);
    assert_eq!(counted.table.sweep(9), 1);
}
