//! Tests of the example while the engine of its store is paused, is killed, fails over to a lagging
//! replica, or has its clock set.
//!
//! And with models of three vendors, by their names, and with the tools of an MCP server.
//!
//! Two processes of the example share a temporary engine and a model that counts its calls. Without an
//! engine a test is ignored with the reason; if `CI` is set, it fails.

mod client;
mod clock;
mod engine;
mod example;
mod failover;
mod faketime;
#[cfg(feature = "mcp")]
mod mcp;
mod model;
#[cfg(feature = "genai")]
mod models;
mod outage;
mod postgres;
mod proxy;
mod redis;
#[cfg(feature = "genai")]
mod vendor;

use std::{env, process::ExitCode};

use libtest_mimic::{Arguments, Completion, Failed, Trial};

use crate::{faketime::FakeTime, postgres::Postgres, redis::Redis};

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // They mostly wait.
    arguments.test_threads.get_or_insert(8);
    let mut trials = vec![
        trial("redis::stopped_and_back", Redis::missing(), || {
            outage::stopped_and_back(&Redis::start(&[]));
        }),
        trial("postgres::stopped_and_back", Postgres::missing(), || {
            outage::stopped_and_back(&Postgres::start());
        }),
        trial("redis::killed_for_good", Redis::missing(), || {
            outage::killed_for_good(&Redis::start(&[]));
        }),
        trial("postgres::killed_for_good", Postgres::missing(), || {
            outage::killed_for_good(&Postgres::start());
        }),
        trial(
            "redis::a_lagging_replica_takes_over_without_spliced_text",
            Redis::missing(),
            failover::lagging_replica,
        ),
        trial(
            "redis::a_planned_failover_loses_nothing",
            Redis::missing(),
            failover::planned,
        ),
        trial(
            "redis::a_clock_step_loses_and_doubles_nothing",
            Redis::missing().or_else(FakeTime::missing),
            || clock::stepped(&Redis::with_clock()),
        ),
        trial(
            "postgres::a_clock_step_loses_and_doubles_nothing",
            Postgres::missing().or_else(FakeTime::missing),
            || clock::stepped(&Postgres::with_clock()),
        ),
    ];
    trials.extend(of_models());
    trials.extend(of_mcp());
    libtest_mimic::run(&arguments, trials).exit_code()
}

#[cfg(feature = "genai")]
fn of_models() -> impl Iterator<Item = Trial> {
    use crate::vendor::Protocol::{Gemini, Messages, Responses};

    let names = [
        ("models::openai", Responses),
        ("models::claude", Messages),
        ("models::gemini", Gemini),
    ];
    names.into_iter().map(|(name, protocol)| {
        trial(name, Redis::missing(), move || {
            models::one_program(protocol, &Redis::start(&[]));
        })
    })
}

#[cfg(not(feature = "genai"))]
fn of_models() -> impl Iterator<Item = Trial> {
    std::iter::once(Trial::ignorable_test("models", || {
        Ok(Completion::ignored_with("it needs the feature `genai`"))
    }))
}

#[cfg(feature = "mcp")]
fn of_mcp() -> impl Iterator<Item = Trial> {
    mcp::SCENARIOS.into_iter().map(|scenario| {
        let missing = Postgres::missing().or_else(mcp::missing);
        trial(&format!("mcp::{scenario}"), missing, || {
            mcp::play(scenario, &Postgres::start());
        })
    })
}

#[cfg(not(feature = "mcp"))]
fn of_mcp() -> impl Iterator<Item = Trial> {
    std::iter::once(Trial::ignorable_test("mcp", || {
        Ok(Completion::ignored_with("it needs the feature `mcp`"))
    }))
}

fn trial(name: &str, missing: Option<&'static str>, test: impl FnOnce() + Send + 'static) -> Trial {
    Trial::ignorable_test(name, move || match missing {
        Some(reason) if env::var_os("CI").is_some() => {
            Err(Failed::from(format!("{reason}, and this is CI")))
        }
        Some(reason) => Ok(Completion::ignored_with(reason)),
        None => {
            test();
            Ok(Completion::Completed)
        }
    })
}
