use std::{env, sync::Arc};

use libtest_mimic::Failed;
use tokio::{sync::Semaphore, task::JoinSet, time::Instant};
use unbroken_conformance::{
    Report,
    http::{CASES, suite},
};

use super::{
    mutant::{Fault, Mutant, ServiceKind},
    server::serve,
};

/// The cases that take long or measure time, and those about questions, which find no other faults.
const SLOW: &[&str] = &[
    "events_arrive_within_50_ms",
    "each_event_arrives_before_the_next_is_produced",
    "a_disconnect_stops_nothing",
    "all_readers_of_a_session_get_the_same",
    "a_slow_reader_slows_no_other_reader",
    "a_long_answer_is_the_same_again_in_a_replay",
    "heartbeats_come_in_silence_and_are_no_events",
    "a_page_of_an_ended_session_does_not_wait",
    "a_page_without_new_events_is_empty_after_its_wait",
    "text_over_the_limit_of_an_event_is_several_events",
    "a_session_over_its_events_has_room_for_the_terminal_event",
    "a_body_over_its_limit_is_413",
    "a_body_that_is_too_slow_is_408",
    "one_session_too_many_is_429",
    "a_question_is_answered_and_the_answer_goes_on",
    "a_question_can_be_declined_or_cancelled",
    "a_question_is_answered_once",
    "an_answer_that_does_not_fit_its_schema_is_422",
    "an_unknown_question_is_404",
    "a_late_answer_is_refused",
    "abort_stops_a_session_that_waits",
    "another_caller_can_not_answer",
    "arguments_of_any_depth_can_be_read_again",
    "values_of_a_client_are_nested_64_levels_at_most",
    "outputs_count_for_calls_that_were_handed_over_once",
    "a_name_in_a_body_has_128_bytes_at_most",
    "a_chat_id_has_1_to_128_bytes",
    "an_id_in_a_path_has_128_bytes_at_most",
    "an_input_id_has_128_bytes_at_most",
    "names_of_an_output_have_128_bytes_at_most",
];

/// Runs the suite against mutants, with the given concurrency.
///
/// The environment variable `MUTANT` selects the mutants whose name contains it.
pub(super) async fn run(
    mut mutants: Vec<&'static Mutant>,
    concurrency: usize,
) -> Result<(), Failed> {
    if let Ok(wanted) = env::var("MUTANT") {
        mutants.retain(|mutant| mutant.name.contains(&wanted));
        if mutants.is_empty() {
            println!("no name of these contains `{wanted}`");
        }
    }
    let of_owned =
        |mutant: &&&Mutant| matches!(mutant.service, ServiceKind::Owned) && !mutant.http2;
    let all = mutants.iter().filter(of_owned);
    let all = all.flat_map(|mutant| mutant.caught_by);
    let all: Vec<_> = all.copied().collect();
    let permits = Arc::new(Semaphore::new(concurrency));
    let control = tokio::spawn(async move {
        let nothing = Mutant::new("nothing", Fault::Nowhere, &[]);
        judge(&nothing, &all).await
    });
    let mut running = JoinSet::new();
    for (at, mutant) in mutants.into_iter().enumerate() {
        let permits = permits.clone();
        running.spawn(async move {
            let _permit = permits.acquire_owned().await;
            let begun = Instant::now();
            let report = judge(mutant, mutant.caught_by).await;
            if env::var_os("REPORT").is_some() {
                let failed: Vec<_> = report.failed().map(|finding| finding.name).collect();
                let took = begun.elapsed();
                println!("{} ({took:.1?}): {}", mutant.name, failed.join(", "));
                for finding in report.failed() {
                    if !mutant.caught_by.contains(&finding.name) {
                        println!("    {finding}");
                    }
                }
            }
            (at, mutant, report)
        });
    }
    let mut reports = running.join_all().await;
    let control = control
        .await
        .map_err(|panic| Failed::from(panic.to_string()))?;
    reports.sort_by_key(|(at, ..)| *at);
    let mut errors = Vec::new();
    if !control.passed() {
        errors.push(format!("without a fault: {control}"));
    }
    for (_, mutant, report) in reports {
        let failed: Vec<_> = report.failed().map(|finding| finding.name).collect();
        let missed: Vec<_> = mutant
            .caught_by
            .iter()
            .filter(|case| !failed.contains(case))
            .collect();
        if failed.is_empty() || !missed.is_empty() {
            errors.push(format!(
                "{}: not caught by {missed:?}, but by {failed:?}",
                mutant.name
            ));
        }
    }
    if errors.is_empty() {
        Ok(())
    } else {
        Err(Failed::from(errors.join("\n")))
    }
}

/// Runs these cases against a mutant, and all fast ones unless it is limited to these.
async fn judge(mutant: &Mutant, with: &[&str]) -> Report {
    let server = serve(mutant.fault, mutant.service).await;
    let mut target = match mutant.service {
        ServiceKind::Owned => server.target(),
        ServiceKind::Strict => server.strict_target(),
        ServiceKind::Aged => server.aged_target(),
        ServiceKind::Open => server.open_target(),
    };
    if mutant.http2 {
        target = target.http2();
    }
    if let Fault::Description(describe) = mutant.fault {
        target = describe(target);
    }
    for case in CASES.iter().map(|case| case.name) {
        if !with.contains(&case) && (mutant.only || SLOW.contains(&case)) {
            target = target.waive(case, "takes long, and need not catch this");
        }
    }
    suite(target).await
}
