//! Runs the scenarios of `tests/browser` against this example, each as a test: the client module in Node,
//! the page in a headless Chromium. Without these tools a test is ignored with the reason; if `CI` is
//! set, it fails.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Output},
};

use libtest_mimic::{Arguments, Completion, Failed, Trial};

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Each scenario has a browser and a server, and mostly waits.
    arguments.test_threads.get_or_insert(2);
    let trials = [
        ("answers", missing_browser as fn() -> Option<String>),
        ("client", missing_node),
        ("media", missing_browser),
        ("page", missing_browser),
        ("tools", missing_browser),
    ]
    .into_iter()
    .flat_map(|(suite, missing)| suite_trials(suite, missing))
    .collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Returns a trial for each scenario of a suite, or one that reports why there are none.
fn suite_trials(suite: &'static str, missing: fn() -> Option<String>) -> Vec<Trial> {
    let absent = |reason: String| {
        vec![Trial::ignorable_test(suite, move || {
            if env::var_os("CI").is_some() {
                return Err(Failed::from(format!("{reason}, and this is CI")));
            }
            Ok(Completion::ignored_with(reason))
        })]
    };
    if let Some(reason) = missing() {
        return absent(reason);
    }
    let listed = match run(suite, "--list") {
        Ok(output) => String::from_utf8_lossy(&output.stdout).into_owned(),
        Err(reason) => {
            return vec![Trial::test(suite, move || Err(Failed::from(reason)))];
        }
    };
    listed
        .lines()
        .map(|scenario| {
            let scenario = scenario.to_owned();
            Trial::test(format!("{suite}::{scenario}"), move || {
                run(suite, &scenario).map(drop).map_err(Failed::from)
            })
        })
        .collect()
}

fn run(suite: &str, argument: &str) -> Result<Output, String> {
    let output = Command::new("node")
        .arg(folder().join(suite).with_extension("mjs"))
        .arg(argument)
        .env("AXUM_CHAT", env!("CARGO_BIN_EXE_axum-chat"))
        .env("CHROMIUM", chromium())
        .output()
        .map_err(|error| format!("node: {error}"))?;
    if output.status.success() {
        Ok(output)
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

fn missing_node() -> Option<String> {
    let found = Command::new("node").arg("--version").output().is_ok();
    (!found).then(|| "node is not installed".to_owned())
}

fn missing_browser() -> Option<String> {
    missing_node().or_else(|| {
        if !chromium().exists() {
            return Some(format!("{} is not installed", chromium().display()));
        }
        let modules = folder().join("node_modules/playwright-core");
        (!modules.exists()).then(|| "run `npm ci` in tests/browser first".to_owned())
    })
}

fn chromium() -> PathBuf {
    env::var_os("CHROMIUM").map_or_else(|| "/usr/bin/chromium".into(), PathBuf::from)
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/browser")
}
