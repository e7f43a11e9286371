//! The tools of MCP servers, as clients of a session see them: a server written with rmcp that counts
//! its runs, over both transports, and the reference server from npm.
//!
//! This program is also the server that it starts. The server from npm needs Node and its packages
//! (`npm ci` in `tests/everything`): without them its tests are ignored with the reason, and on a CI
//! machine (`CI` is set) they fail.

mod calls;
mod chat;
mod death;
mod everything;
mod http;
mod media;
mod questions;
mod scene;
mod server;

use std::{env, process::ExitCode, time::Duration};

use libtest_mimic::{Arguments, Completion, Failed, Trial};

/// The longest duration of a test.
const MOST: Duration = Duration::from_secs(120);

fn main() -> ExitCode {
    if let Some(log) = env::var_os(server::LOG) {
        server::run_on_stdio(log.into());
        return ExitCode::SUCCESS;
    }
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    trials.extend(calls::trials());
    trials.extend(questions::trials());
    trials.extend(death::trials());
    trials.extend(http::trials());
    trials.extend(media::trials());
    trials.extend(everything::trials());
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Makes trials of async functions, under their names.
macro_rules! trials {
    ($($name:ident),* $(,)?) => {
        [$($crate::trial(concat!(module_path!(), "::", stringify!($name)), || $name())),*]
    };
}
pub(crate) use trials;

fn trial<F, Fut>(name: &str, test: F) -> Trial
where
    F: FnOnce() -> Fut + Send + 'static,
    Fut: Future<Output = ()>,
{
    let name = name.strip_prefix("mcp::").unwrap_or(name);
    Trial::test(name, move || {
        run(test());
        Ok(())
    })
}

/// Makes a trial that is ignored, or fails on a CI machine, if something is missing.
fn trial_with(name: &str, missing: Option<String>, test: impl FnOnce() + Send + 'static) -> Trial {
    let name = name.strip_prefix("mcp::").unwrap_or(name);
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

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        tokio::time::timeout(MOST, test).await.expect("it ends");
    });
    runtime.shutdown_background();
}
