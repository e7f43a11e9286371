use std::{
    collections::HashMap,
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, OnceLock},
};

use libtest_mimic::Failed;
use serde::Deserialize;

use crate::server;

/// The script that needs a browser.
const BROWSER: &str = "event_source";
/// The script that needs curl.
const CURL: &str = "media";

fn chromium() -> PathBuf {
    env::var_os("CHROMIUM").map_or_else(|| "/usr/bin/chromium".into(), PathBuf::from)
}

/// Returns the path of curl, or its name if it isn't there.
fn curl() -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut found = env::split_paths(&path).map(|folder| folder.join("curl"));
    found
        .find(|file| file.exists())
        .unwrap_or_else(|| "curl".into())
}

/// The command of a script, with the files that it needs.
struct Runner {
    program: PathBuf,
    file: PathBuf,
    needs: Vec<PathBuf>,
    install: &'static str,
}

impl Runner {
    fn of(name: &str) -> Self {
        let python = folder().join(name).with_extension("py");
        if python.exists() {
            let environment = target().join("clients-python");
            return Self {
                program: environment.join("bin/python"),
                file: python,
                needs: ["openai", "standardwebhooks"]
                    .map(|name| packages(&environment).join(name))
                    .into(),
                install: "run `python3 -m venv target/clients-python` and \
                          `target/clients-python/bin/pip install -r tests/clients/requirements.txt` \
                          first",
            };
        }
        let modules = folder().join("node_modules");
        let mut needs = vec![
            modules.join("ai/package.json"),
            modules.join("standardwebhooks/package.json"),
        ];
        let mut install = "run `npm ci` in tests/clients first";
        if name == CURL {
            needs.push(curl());
            install = "install curl, and run `npm ci` in tests/clients first";
        }
        if name == BROWSER {
            needs.push(folder().join("../browser/node_modules/playwright-core"));
            needs.push(chromium());
            install =
                "install Chromium, and run `npm ci` in tests/clients and in tests/browser first";
        }
        Self {
            // `ai` 7 needs Node 22, which is among the packages.
            program: modules.join("node/bin/node"),
            file: folder().join(name).with_extension("mjs"),
            needs,
            install,
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(&self.file).stdin(Stdio::null());
        command
    }
}

/// Returns the instruction to install the missing files of a script, or `None` if it can run.
pub(crate) fn missing(name: &str) -> Option<String> {
    let runner = Runner::of(name);
    let there = runner.program.exists() && runner.needs.iter().all(|needed| needed.exists());
    (!there).then(|| runner.install.to_owned())
}

pub(crate) fn scenarios(name: &str) -> Result<Vec<String>, String> {
    let output = Runner::of(name)
        .command()
        .arg("--list")
        .output()
        .map_err(|error| format!("{name}: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let listed = String::from_utf8_lossy(&output.stdout);
    Ok(listed.lines().map(str::to_owned).collect())
}

/// One run of a script, for all its scenarios.
#[derive(Clone)]
pub(crate) struct Run {
    name: &'static str,
    outcomes: Arc<OnceLock<Outcomes>>,
}

struct Outcomes {
    errors: HashMap<String, Option<String>>,
    stderr: String,
}

/// The line that a script writes for a scenario.
#[derive(Deserialize)]
struct Line {
    scenario: String,
    error: Option<String>,
}

impl Run {
    pub(crate) fn of(name: &'static str) -> Self {
        Self {
            name,
            outcomes: Arc::default(),
        }
    }

    pub(crate) fn outcome(&self, scenario: &str) -> Result<(), Failed> {
        let outcomes = self.outcomes.get_or_init(|| run(self.name));
        match outcomes.errors.get(scenario) {
            Some(None) => Ok(()),
            Some(Some(error)) => Err(Failed::from(error)),
            None => Err(Failed::from(format!("it was not run\n{}", outcomes.stderr))),
        }
    }
}

fn run(name: &str) -> Outcomes {
    let server = server::start();
    let output = Runner::of(name)
        .command()
        .env("BASE_URL", &server.url)
        .env("CHROMIUM", chromium())
        .output();
    let output = match output {
        Ok(output) => output,
        Err(error) => {
            return Outcomes {
                errors: HashMap::new(),
                stderr: error.to_string(),
            };
        }
    };
    let lines = String::from_utf8_lossy(&output.stdout);
    let lines = lines
        .lines()
        .filter_map(|line| serde_json::from_str::<Line>(line).ok());
    Outcomes {
        errors: lines.map(|line| (line.scenario, line.error)).collect(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Returns the folder of the packages in a Python environment, whose name contains the version.
fn packages(environment: &Path) -> PathBuf {
    let lib = environment.join("lib");
    let versions = fs::read_dir(&lib).into_iter().flatten().flatten();
    let version = versions.map(|entry| entry.path()).next();
    version.unwrap_or(lib).join("site-packages")
}

/// Returns the target folder of cargo.
fn target() -> PathBuf {
    let inside = Path::new(env!("CARGO_TARGET_TMPDIR"));
    inside
        .parent()
        .expect("it is a folder of that folder")
        .into()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}
