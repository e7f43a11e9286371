//! Runs the conformance suite of the HTTP side against a server, in whatever framework it is.
//!
//! ```text
//! cargo run -p axum-chat
//! cargo run -p conformance -- http://127.0.0.1:3000/api/chat
//! ```
//!
//! Such a server is one that the suite may use up: it starts a few hundred sessions and leaves them
//! behind. It must have, at the address that is named,
//!
//! * a `DurableLayer` of the native dialect around `unbroken::provider::Scripted`,
//! * whose field `script` is open: `.open(Open::nothing().field("script"))`;
//! * room for 64 running sessions of one caller: `Limits::running_per_owner`, 16 by default, counts
//!   where a caller is an owner;
//! * no TLS: HTTP/1.1, or HTTP/2 with prior knowledge (`--http2`).
//!
//! What the suite can't find out it is told by options; a case that misses something is reported as
//! not applicable, with the reason. A layer that answers in the server's place on purpose, as
//! tower-http's CORS does for OPTIONS, is a reason to `--waive` a case.
//!
//! Each case is a line as soon as it is over: `passed`, `n/a` with the rule and the reason, `FAILED`
//! with the rule and what was seen. The exit code is 0 if none failed, 1 if one did or nothing
//! listens there, 2 if the command line can't be followed.

mod arguments;
mod reach;
mod shutdown;
mod usage;

use std::{env, process::ExitCode, sync::Arc};

use unbroken_conformance::{
    Finding, Verdict,
    http::{CASES, suite_with},
};

use self::{
    arguments::{CliArguments, Invocation},
    reach::reach,
    usage::USAGE,
};

#[tokio::main]
async fn main() -> ExitCode {
    match Invocation::read(env::args().skip(1)) {
        Ok(Invocation::Help) => println!("{USAGE}"),
        Ok(Invocation::List) => {
            for case in CASES {
                println!("{}\n  rule: {}", case.name, case.rule);
            }
        }
        Ok(Invocation::Test(arguments)) => return test(*arguments).await,
        Err(error) => {
            eprintln!("{error}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

async fn test(arguments: CliArguments) -> ExitCode {
    if let Err(error) = reach(&arguments.address).await {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    let mut counts = [0; 3];
    let mut tell = |finding: &Finding| {
        println!("{finding}");
        counts[match finding.verdict {
            Verdict::Passed => 0,
            Verdict::NotApplicable(_) => 2,
            _ => 1,
        }] += 1;
    };
    if arguments.cases.is_empty() {
        suite_with(arguments.target, tell).await;
    } else {
        let target = Arc::new(arguments.target);
        for case in arguments.cases {
            tell(&case.run(target.clone()).await);
        }
    }
    let [passed, failed, rest] = counts;
    println!("{passed} passed, {failed} failed, {rest} not applicable");
    ExitCode::from(u8::from(failed > 0))
}
