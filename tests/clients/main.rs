//! Third-party client packages, headless, against a server with all dialects mounted; and one client
//! written by hand (`handoff.mjs`).
//!
//! Each family of clients has a script (`ai.mjs`, …), and each scenario is a trial. A script runs once,
//! at its first trial, with all its scenarios in parallel. If Node, Python or the packages are missing
//! (`npm ci` in this folder; for Python an environment in `target/clients-python`; for a browser
//! Chromium), the trials are ignored with the reason. On a CI machine (`CI` is set) they fail.
//!
//! The scripts `verdicts*` are run by `tests/providers/verdicts.rs`.

#[cfg(all(
    feature = "ag-ui",
    feature = "ai-sdk",
    feature = "openai",
    feature = "openai-responses",
    feature = "tools"
))]
mod demanding;
#[cfg(feature = "durable-streams")]
mod facade;
mod gate;
#[cfg(all(feature = "ai-sdk", feature = "durable-streams"))]
mod kept;
mod provider;
#[cfg(all(
    feature = "ag-ui",
    feature = "ai-sdk",
    feature = "durable-streams",
    feature = "openai",
    feature = "openai-responses",
    feature = "tools"
))]
mod restarts;
mod script;
mod server;
#[cfg(feature = "ai-sdk")]
mod stored;
#[cfg(feature = "tools")]
mod tools;
#[cfg(all(
    feature = "ag-ui",
    feature = "ai-sdk",
    feature = "openai",
    feature = "openai-responses"
))]
mod upstream;
#[cfg(feature = "webhook")]
mod webhook;

use std::{env, process::ExitCode};

use libtest_mimic::{Arguments, Completion, Failed, Trial};

/// The scripts. Each lists its scenarios with `--list`, and runs the scenarios in its arguments.
const SCRIPTS: &[&str] = &[
    #[cfg(feature = "ag-ui")]
    "ag_ui",
    #[cfg(feature = "ag-ui")]
    "ag_ui_logs",
    #[cfg(feature = "ai-sdk")]
    "ai",
    #[cfg(all(feature = "ai-sdk", feature = "durable-streams"))]
    "ai_kept",
    #[cfg(feature = "ai-sdk")]
    "ai_tabs",
    #[cfg(all(
        feature = "ai-sdk",
        feature = "durable-streams",
        feature = "openai-responses"
    ))]
    "cross",
    #[cfg(all(
        feature = "ag-ui",
        feature = "ai-sdk",
        feature = "openai",
        feature = "openai-responses",
        feature = "tools"
    ))]
    "demanding",
    #[cfg(feature = "durable-streams")]
    "durable_streams",
    #[cfg(feature = "durable-streams")]
    "durable_streams_suite",
    "event_source",
    #[cfg(feature = "tools")]
    "handoff",
    #[cfg(all(
        feature = "ag-ui",
        feature = "ai-sdk",
        feature = "openai",
        feature = "openai-responses"
    ))]
    "media",
    #[cfg(all(
        feature = "ag-ui",
        feature = "ai-sdk",
        feature = "openai",
        feature = "openai-responses"
    ))]
    "media_python",
    #[cfg(feature = "openai-responses")]
    "openai",
    #[cfg(feature = "openai-responses")]
    "openai_logs",
    #[cfg(feature = "openai-responses")]
    "openai_logs_python",
    #[cfg(feature = "openai-responses")]
    "openai_python",
    #[cfg(all(
        feature = "ag-ui",
        feature = "ai-sdk",
        feature = "durable-streams",
        feature = "openai",
        feature = "openai-responses",
        feature = "tools"
    ))]
    "restarts",
    #[cfg(all(
        feature = "ag-ui",
        feature = "ai-sdk",
        feature = "durable-streams",
        feature = "openai",
        feature = "openai-responses",
        feature = "tools"
    ))]
    "restarts_python",
    #[cfg(feature = "ag-ui")]
    "tanstack",
    #[cfg(feature = "webhook")]
    "webhook",
    #[cfg(feature = "webhook")]
    "webhook_python",
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let trials = SCRIPTS.iter().flat_map(|&script| trials(script)).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn trials(name: &'static str) -> Vec<Trial> {
    if let Some(reason) = script::missing(name) {
        return vec![Trial::ignorable_test(name, move || {
            if env::var_os("CI").is_some() {
                return Err(Failed::from(format!("{reason}, and this is CI")));
            }
            Ok(Completion::ignored_with(reason))
        })];
    }
    let scenarios = match script::scenarios(name) {
        Ok(scenarios) => scenarios,
        Err(reason) => return vec![Trial::test(name, move || Err(Failed::from(reason)))],
    };
    let run = script::Run::of(name);
    let trial = |scenario: String| {
        let run = run.clone();
        Trial::test(format!("{name}::{scenario}"), move || {
            run.outcome(&scenario)
        })
    };
    scenarios.into_iter().map(trial).collect()
}
