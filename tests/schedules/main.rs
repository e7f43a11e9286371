//! Generated schedules of starts, reads, disconnects, resumes, aborts, expiries and store faults, over
//! two registries on one store, in virtual time, checked against the promises.
//!
//! A schedule is a number: `SCHEDULE=17 cargo test --test schedules` runs that one, and
//! `SCHEDULES=100000` runs more than the default number. For each defect in a wrapper of the store or
//! in a client, some schedule must fail.

#[path = "../support/mod.rs"]
mod support;

mod audit;
mod client;
mod defect;
mod history;
mod script;
mod simulation;
mod source;
mod store_faults;

use unbroken_conformance::ContractRule;

use defect::Defect;
use script::Kind;
use simulation::run;

/// The number of schedules that run without a fault.
const SCHEDULES: u64 = 10_000;
/// The maximum number of schedules in which a defect must be detected. The rarest is found by one of
/// some 1,500.
const MAX_SCHEDULES: u64 = 10_000;

#[test]
fn ten_thousand_schedules_keep_the_promises() {
    if let Some(seed) = std::env::var("SCHEDULE").ok().and_then(|s| s.parse().ok()) {
        return run(seed, None, Defect::default()).unwrap();
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
                        .filter_map(|seed| run(seed, None, Defect::default()).err())
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

/// Checks that some schedule of this kind detects the defect.
fn detected(kind: Kind, defect: Defect) {
    let found = (0..MAX_SCHEDULES).find_map(|seed| run(seed, Some(kind), defect).err());
    let found =
        found.unwrap_or_else(|| panic!("{MAX_SCHEDULES} schedules did not detect {defect:?}"));
    println!("{defect:?}: {found}");
}

macro_rules! detected {
    ($($name:ident: $kind:ident, $defect:expr;)*) => {
        $(
            #[test]
            fn $name() {
                detected(Kind::$kind, $defect.into());
            }
        )*
    };
}

detected! {
    // A reply that is lost before the commit.
    a_lost_reply_that_counts_as_a_success_is_detected: LostReplies, Defect::LostReplyIsSuccess;
    // A reply that is lost after the commit.
    a_repeated_append_that_is_refused_is_detected: LostReplies, ContractRule::AppendDuplicate;
    a_create_that_ignores_its_token_is_detected: LostReplies, ContractRule::CreateToken;
    // A delayed request that is repeated.
    an_append_that_ignores_the_tail_is_detected: Repeats, ContractRule::AppendConflict;
    // Wake-ups that are dropped.
    a_server_that_relies_on_wakeups_is_detected: DroppedWakeups, Defect::OnlyWakeups;
    // Pauses, and the store's clock that jumps: another server takes over.
    an_append_with_a_stale_epoch_is_detected: Takeovers, ContractRule::AppendEpoch;
    a_fenced_append_without_an_error_is_detected: Takeovers, ContractRule::AppendFenced;
    a_claim_that_does_not_fence_is_detected: Takeovers, ContractRule::ClaimFences;
    a_stored_answer_that_is_replaced_is_detected: Takeovers, ContractRule::AnswerFirst;
    // An answer that is lost.
    an_answer_that_is_not_stored_is_detected: Calm, ContractRule::AnswerStored;
    // A rewind to a snapshot.
    an_append_beyond_the_tail_is_detected: Rewinds, ContractRule::AppendRewound;
    a_read_that_ignores_a_rewind_is_detected: Rewinds, ContractRule::ReadRewound;
    // A start that the store does not answer in time.
    a_start_that_runs_after_its_refusal_is_detected: LostReplies, Defect::RefusedStartRuns;
    // No fault at all.
    a_session_that_ends_with_its_last_reader_is_detected: Calm, Defect::LastReaderAborts;
    an_abort_confirmed_before_it_is_stored_is_detected: Calm, ContractRule::AbortStored;
    a_second_call_of_the_provider_is_detected: Calm, ContractRule::CreateExists;
    a_create_that_is_not_exclusive_is_detected: Calm, ContractRule::CreateOnce;
    a_body_that_ends_too_early_is_detected: Calm, Defect::StaleTailIsEnd;
}
