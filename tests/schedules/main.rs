//! Generated schedules of starts, reads, disconnects, resumes, aborts, expiries and store faults,
//! over two registries on one store, in virtual time, held against the promises.
//!
//! A schedule is a number: `SCHEDULE=17 cargo test --test schedules` runs the one, and
//! `SCHEDULES=100000` runs more than the usual number. Wrappers around the store and the clients break
//! one thing in turn, and then some schedule must fail.

#[path = "../support/mod.rs"]
mod support;

mod audit;
mod broken;
mod check;
mod client;
mod plan;
mod trouble;
mod world;

use unbroken_conformance::ContractRule;

use broken::Broken;
use plan::Kind;
use world::run;

/// The number of schedules that run without a fault.
const SCHEDULES: u64 = 10_000;
/// The most schedules that are tried until one notices a fault.
const ENOUGH: u64 = 3_000;

#[test]
fn ten_thousand_schedules_keep_the_promises() {
    if let Some(seed) = std::env::var("SCHEDULE").ok().and_then(|s| s.parse().ok()) {
        return run(seed, None, Broken::default()).unwrap();
    }
    let schedules = std::env::var("SCHEDULES").ok().and_then(|s| s.parse().ok());
    let schedules: u64 = schedules.unwrap_or(SCHEDULES);
    let half = schedules / 2;
    let violations: Vec<String> = std::thread::scope(|scope| {
        let halves: Vec<_> = [0..half, half..schedules]
            .into_iter()
            .map(|seeds| {
                scope.spawn(move || {
                    seeds
                        .filter_map(|seed| run(seed, None, Broken::default()).err())
                        .take(5)
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        halves
            .into_iter()
            .flat_map(|half| half.join().unwrap())
            .collect()
    });
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

/// Some schedule must notice what is broken.
fn noticed(kind: Kind, broken: Broken) {
    let found = (0..ENOUGH).find_map(|seed| run(seed, Some(kind), broken).err());
    let found = found.unwrap_or_else(|| panic!("no schedule of {ENOUGH} noticed {broken:?}"));
    println!("{broken:?}: {found}");
}

macro_rules! noticed {
    ($($name:ident: $kind:ident, $broken:expr;)*) => {
        $(
            #[test]
            fn $name() {
                noticed(Kind::$kind, $broken.into());
            }
        )*
    };
}

noticed! {
    // A reply that is lost before the commit.
    silence_taken_for_yes_is_noticed: LostReplies, Broken::SilenceForYes;
    // A reply that is lost after the commit.
    a_duplicate_that_is_not_known_is_noticed: LostReplies, ContractRule::AppendDuplicate;
    a_create_that_forgets_its_token_is_noticed: LostReplies, ContractRule::CreateToken;
    // A delayed request that is repeated.
    an_append_that_does_not_compare_its_place_is_noticed: Repeats, ContractRule::AppendConflict;
    // Wake-ups that are dropped.
    a_follower_that_trusts_wakeups_is_noticed: DroppedWakeups, Broken::TrustedWakeups;
    // Pauses, and the store's clock that jumps: another server takes over.
    a_stale_epoch_that_is_let_in_is_noticed: Takeovers, ContractRule::AppendEpoch;
    a_fenced_writer_that_goes_on_is_noticed: Takeovers, ContractRule::AppendFenced;
    a_claim_that_does_not_fence_is_noticed: Takeovers, ContractRule::ClaimFences;
    an_answer_that_gives_way_to_another_is_noticed: Takeovers, ContractRule::AnswerFirst;
    // An answer that is lost on its way.
    an_answer_that_is_not_stored_is_noticed: Calm, ContractRule::AnswerStored;
    // A rewind to a snapshot.
    an_append_beyond_the_tail_is_noticed: Rewinds, ContractRule::AppendRewound;
    a_reader_that_reads_on_after_a_rewind_is_noticed: Rewinds, ContractRule::ReadRewound;
    // No fault at all.
    a_writer_that_stops_with_its_last_reader_is_noticed: Calm, Broken::LastReaderStops;
    an_abort_confirmed_before_it_is_stored_is_noticed: Calm, ContractRule::AbortStored;
    a_second_call_of_the_provider_is_noticed: Calm, ContractRule::CreateExists;
    a_create_that_is_not_exclusive_is_noticed: Calm, ContractRule::CreateOnce;
    a_body_that_ends_too_early_is_noticed: Calm, Broken::OldTailEnds;
}
