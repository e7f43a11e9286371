//! Builds the page, and runs the scenarios of `tests/browser/react.mjs` against it in a headless
//! Chromium. Without these tools a test is ignored with the reason; if `CI` is set, it fails.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Output},
};

use libtest_mimic::{Arguments, Completion, Failed, Trial};

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Each scenario has a browser and a server, which would slow others down.
    arguments.test_threads = Some(1);
    libtest_mimic::run(&arguments, trials()).exit_code()
}

fn trials() -> Vec<Trial> {
    if let Some(reason) = missing() {
        return vec![Trial::ignorable_test("page", move || {
            if env::var_os("CI").is_some() {
                return Err(Failed::from(format!("{reason}, and this is CI")));
            }
            Ok(Completion::ignored_with(reason))
        })];
    }
    let listed = match build().and_then(|()| run("--list")) {
        Ok(output) => String::from_utf8_lossy(&output.stdout).into_owned(),
        Err(reason) => return vec![Trial::test("page", move || Err(Failed::from(reason)))],
    };
    let trial = |scenario: &str| {
        let scenario = scenario.to_owned();
        Trial::test(format!("page::{scenario}"), move || {
            run(&scenario).map(drop).map_err(Failed::from)
        })
    };
    listed.lines().map(trial).collect()
}

/// Builds the page with the tools of its own folder.
fn build() -> Result<(), String> {
    let mut vite = Command::new("node");
    vite.arg("node_modules/vite/bin/vite.js").arg("build");
    succeed(vite.current_dir(web()).env("PAGE_DIR", built())).map(drop)
}

fn run(argument: &str) -> Result<Output, String> {
    let mut node = Command::new("node");
    node.arg(root().join("tests/browser/react.mjs"))
        .arg(argument)
        .env("AXUM_CHAT", env!("CARGO_BIN_EXE_axum-clients"))
        .env("PAGE_DIR", built())
        .env("CHROMIUM", chromium());
    succeed(&mut node)
}

fn succeed(command: &mut Command) -> Result<Output, String> {
    let output = command.output().map_err(|error| error.to_string())?;
    if output.status.success() {
        Ok(output)
    } else {
        let said = [output.stdout, output.stderr].concat();
        Err(String::from_utf8_lossy(&said).into_owned())
    }
}

fn missing() -> Option<String> {
    if Command::new("node").arg("--version").output().is_err() {
        return Some("node is not installed".to_owned());
    }
    let packages = [
        (root().join("tests/browser"), "playwright-core"),
        (web(), "vite"),
    ];
    for (folder, package) in packages {
        if !folder.join("node_modules").join(package).exists() {
            return Some(format!("run `npm ci` in {} first", folder.display()));
        }
    }
    let chromium = chromium();
    (!chromium.exists()).then(|| format!("{} is not installed", chromium.display()))
}

fn chromium() -> PathBuf {
    env::var_os("CHROMIUM").map_or_else(|| "/usr/bin/chromium".into(), PathBuf::from)
}

fn built() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("axum-clients-page")
}

fn web() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("web")
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
