use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use crate::engine::Engine;

/// The scenarios of `tests/browser/mcp.mjs`.
pub(crate) const SCENARIOS: [&str; 6] = [
    "a_reload_while_a_tool_runs_goes_on_and_runs_it_once",
    "a_picture_of_a_tool_is_shown_and_outlives_a_reload",
    "a_question_of_an_idempotent_tool_is_answered_elsewhere_and_it_goes_on",
    "a_tool_that_may_not_run_twice_is_not_called_again_and_the_model_is_told",
    "an_approval_is_given_elsewhere_and_the_tool_runs_once",
    "an_approved_tool_whose_server_is_killed_while_it_runs_does_not_run_again",
];

/// Returns the reason for which the scenarios cannot be played.
pub(crate) fn missing() -> Option<&'static str> {
    if Command::new("node").arg("--version").output().is_err() {
        return Some("node is not installed");
    }
    if !chromium().exists() {
        return Some("chromium is not installed");
    }
    let there = |modules: &str| root().join(modules).exists();
    let installed = there("tests/browser/node_modules/playwright-core")
        && there("adapters/mcp/tests/everything/node_modules/@modelcontextprotocol/sdk");
    (!installed)
        .then_some("run `npm ci` in tests/browser and in adapters/mcp/tests/everything first")
}

/// Plays a scenario with two servers of the example over this engine, and an MCP server.
pub(crate) fn play(scenario: &str, engine: &impl Engine) {
    let output = Command::new("node")
        .arg(root().join("tests/browser/mcp.mjs"))
        .arg(scenario)
        .env("AXUM_CHAT", env!("CARGO_BIN_EXE_axum-chat"))
        .env("CHROMIUM", chromium())
        .env("STORE", engine.url())
        .output()
        .expect("node runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

fn chromium() -> PathBuf {
    env::var_os("CHROMIUM").map_or_else(|| "/usr/bin/chromium".into(), PathBuf::from)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
