//! The memory store keeps the contract, and the conformance suite would notice if it didn't.
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::runtime;
use unbroken::{
    BoxFuture,
    log::{Lsn, SessionId},
    store::{Memory, Store, table::StoreClock},
};
use unbroken_conformance::{
    BrokenStore, ContractRule, Report, Verdict,
    store::{self, Harness},
};

unbroken_conformance::store_tests!(
    #[tokio::test(start_paused = true)]
    || async { Memory::new() }
);

/// A store whose time passes by leaps of its clock, that has a limit to an append, and that breaks a
/// rule or none.
struct Leaping {
    clock: StoreClock,
    broken: Option<ContractRule>,
    last: Mutex<Option<BrokenStore<Memory>>>,
}

const MAX_APPEND: usize = 20_000;

impl Leaping {
    fn new(broken: Option<ContractRule>) -> Self {
        Self {
            clock: StoreClock::new(),
            broken,
            last: Mutex::new(None),
        }
    }
}

impl Harness for Leaping {
    fn store(&self) -> BoxFuture<'_, Arc<dyn Store>> {
        let memory = Memory::with_clock(self.clock.clone()).max_append_bytes(MAX_APPEND);
        let store = BrokenStore::new(memory);
        let store = self.broken.into_iter().fold(store, BrokenStore::breaking);
        *self.last.lock().unwrap() = Some(store.clone());
        Box::pin(async { Arc::new(store) as Arc<dyn Store> })
    }

    fn advance(&self, time: Duration) -> BoxFuture<'_, ()> {
        Box::pin(async move { self.clock.jump(time) })
    }

    fn max_append_bytes(&self) -> Option<usize> {
        Some(MAX_APPEND)
    }

    fn corrupt<'a>(&'a self, id: &'a SessionId, lsn: Lsn) -> BoxFuture<'a, bool> {
        let store = self.last.lock().unwrap().clone();
        Box::pin(async move { store.map(|store| store.corrupt(id, lsn)).is_some() })
    }
}

fn suite(broken: Option<ContractRule>) -> Report {
    runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(async { store::suite(Leaping::new(broken)).await })
}

#[test]
fn the_memory_store_keeps_the_whole_contract() {
    let report = suite(None);
    assert!(report.passed(), "{report}");
    for finding in report.findings() {
        assert_eq!(finding.verdict, Verdict::Passed, "{finding}");
    }
    assert_eq!(report.findings().len(), store::CASES.len());
}

#[tokio::test(start_paused = true)]
async fn a_shared_store_of_unknown_type_keeps_it_too() {
    let shared: Arc<dyn Store> = Arc::new(Memory::new());
    let report = store::suite(move || std::future::ready(shared.clone())).await;
    assert!(report.passed(), "{report}");
}

#[test]
fn each_rule_that_is_broken_fails_a_case() {
    let mut unnoticed = Vec::new();
    for &rule in ContractRule::ALL {
        let report = suite(Some(rule));
        let names: Vec<_> = report.failed().map(|finding| finding.name).collect();
        println!("{rule:?}: {}", names.join(", "));
        if names.is_empty() {
            unnoticed.push(rule);
        }
    }
    assert!(
        unnoticed.is_empty(),
        "nothing noticed that these rules were broken: {unnoticed:?}"
    );
}

#[test]
fn a_broken_rule_of_lists_and_tombstones_fails_its_own_cases() {
    let others = "a_chat_has_the_sessions_of_its_owner_only";
    let unowned = "a_chat_without_an_owner_has_sessions_without_an_owner";
    let order = "running_sessions_of_a_chat_come_first";
    let waiting = "a_waiting_session_of_a_chat_counts_as_running";
    let hidden = "sessions_of_others_hide_none";
    let gone = "deleted_and_expired_sessions_of_a_chat_are_not_found";
    let waits = "a_deleted_session_is_hidden_while_its_ending_waits";
    let names = "names_of_any_bytes_tell_owners_and_chats_apart";
    let table: [(ContractRule, &[&str]); 12] = [
        (ContractRule::ChatOwner, &[others, hidden, unowned]),
        (ContractRule::ChatUnowned, &[unowned]),
        (ContractRule::ChatOthers, &[hidden]),
        (ContractRule::ChatNames, &[names]),
        (ContractRule::ChatRunningFirst, &[order, waiting]),
        (ContractRule::ChatOrder, &[order, waiting]),
        (ContractRule::ChatLimit, &[order]),
        (ContractRule::ChatWaiting, &[waiting]),
        (ContractRule::ChatPresent, &[gone, waits]),
        (
            ContractRule::ListPagesFilter,
            &["pages_of_a_filter_have_its_sessions_once"],
        ),
        (
            ContractRule::ListPresent,
            &["deleted_and_expired_sessions_are_not_listed", waits],
        ),
        (
            ContractRule::TombstoneDigest,
            &[
                "a_create_under_a_tombstone_is_gone",
                "a_deleted_session_leaves_a_tombstone",
                "an_expired_session_leaves_the_same_tombstone",
            ],
        ),
    ];
    for (rule, expected) in table {
        let report = suite(Some(rule));
        let names: Vec<_> = report.failed().map(|finding| finding.name).collect();
        assert_eq!(names, expected, "{rule:?}");
    }
}

#[test]
fn a_case_that_fails_is_reported_by_its_name_and_rule() {
    let text = suite(Some(ContractRule::AppendSealed)).to_string();
    assert!(
        text.contains("FAILED  an_append_after_the_seal_is_sealed"),
        "{text}"
    );
    assert!(text.contains("rule: append: Sealed"), "{text}");
}

/// A store that breaks a rule or none, on a machine that stands still for a time at each step.
#[derive(Clone, Copy)]
struct StandsStill {
    broken: Option<ContractRule>,
}

impl Harness for StandsStill {
    fn store(&self) -> BoxFuture<'_, Arc<dyn Store>> {
        let store = BrokenStore::new(Memory::new());
        let store = self.broken.into_iter().fold(store, BrokenStore::breaking);
        Box::pin(async { Arc::new(store) as Arc<dyn Store> })
    }

    fn advance(&self, time: Duration) -> BoxFuture<'_, ()> {
        Box::pin(tokio::time::sleep(time + Duration::from_secs(1)))
    }

    fn step(&self) -> Duration {
        Duration::from_millis(250)
    }
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_stands_still_breaks_no_rule_of_longer_steps() {
    let machine: Arc<dyn Harness> = Arc::new(StandsStill { broken: None });
    let mut failed_at_first = 0;
    for case in store::CASES {
        let first = case.run(machine.clone()).await;
        failed_at_first += usize::from(matches!(first.verdict, Verdict::Failed(_)));
        let finding = case.run_on_real_clock(machine.clone()).await;
        assert!(!matches!(finding.verdict, Verdict::Failed(_)), "{finding}");
    }
    assert!(failed_at_first > 0, "control: the steps were too short");
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_is_broken_is_broken_with_longer_steps() {
    for broken in [ContractRule::AppendSealed, ContractRule::TombstoneStands] {
        let machine: Arc<dyn Harness> = Arc::new(StandsStill {
            broken: Some(broken),
        });
        let mut noticed = 0;
        for case in store::CASES {
            let finding = case.run_on_real_clock(machine.clone()).await;
            noticed += usize::from(matches!(finding.verdict, Verdict::Failed(_)));
        }
        assert!(noticed > 0, "{broken:?}");
    }
}
