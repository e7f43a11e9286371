//! Runs the HTTP conformance suite against a running server, in any framework.
//!
//! ```text
//! cargo run -p axum-chat
//! cargo run -p unbroken-conformance -- --max-body 9048576 http://127.0.0.1:3000/api/chat
//! ```
//!
//! The suite starts a few hundred sessions and leaves them in the server's store. At the address the
//! server must have
//!
//! * a `DurableLayer` of the native dialect around `unbroken::provider::Scripted`;
//! * the field `script`, earlier turns and tools of the client open to clients:
//!   `.client_fields(ClientFields::nothing().field("script").history(65_536).client_tools(4, 4096))`;
//! * the feature `tools` of `unbroken`, which checks answers to questions;
//! * room for 64 running sessions of one caller: `Limits::running_per_owner` is 16 by default, and
//!   counts if the access policy has owners;
//! * HTTP/1.1, or HTTP/2 with prior knowledge (`--http2`), without TLS.
//!
//! Options describe the server's limits. A case that needs a missing option is reported as not
//! applicable, with the reason. `--waive` skips a case whose rule another layer breaks on purpose, as
//! tower-http's CORS layer does when it answers OPTIONS.
//!
//! The program prints each case as soon as it is over: `passed`, `n/a` with the rule and the reason,
//! or `FAILED` with the rule and the observation. The exit code is 0 if no case failed, 1 if a case
//! failed or the server accepts no connection, 2 if the command line is wrong.

mod arguments;
mod connect;
mod shutdown;
mod usage;

use std::{env, process::ExitCode, sync::Arc};

use unbroken_conformance::{
    Finding, Verdict,
    http::{CASES, suite_with},
};

use self::{
    arguments::{CliArguments, Invocation},
    connect::connect,
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
    if let Err(error) = connect(&arguments.address).await {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    let mut counts = [0; 3];
    let mut print = |finding: &Finding| {
        println!("{finding}");
        counts[match finding.verdict {
            Verdict::Passed => 0,
            Verdict::NotApplicable(_) => 2,
            _ => 1,
        }] += 1;
    };
    if arguments.cases.is_empty() {
        suite_with(arguments.target, print).await;
    } else {
        let target = Arc::new(arguments.target);
        for case in arguments.cases {
            print(&case.run(target.clone()).await);
        }
    }
    let [passed, failed, rest] = counts;
    println!("{passed} passed, {failed} failed, {rest} not applicable");
    ExitCode::from(u8::from(failed > 0))
}
