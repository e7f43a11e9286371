//! The work of decoding a request grows no faster than its size, for bodies that an attacker would send.
//!
//! The work is a count of instructions, by `valgrind --tool=callgrind`, of this binary run again as a
//! child. Each trial runs the bodies of one decoder at two sizes. Without valgrind the trials are ignored
//! with the reason; on a CI machine (`CI` is set) they fail.

mod bodies;
mod callgrind;
mod decoders;
mod follow_ups;

use std::{env, process::ExitCode};

use libtest_mimic::{Arguments, Completion, Failed, Trial};

use self::decoders::{DECODERS, Decoder};

/// The work may grow by a seventh more than the size: maps that are sorted, and vectors that grow. Counts of instructions differ
/// by less from run to run.
const TOLERANCE: f64 = 1.15;

fn main() -> ExitCode {
    if let Ok(name) = env::var(callgrind::CHILD) {
        let all = DECODERS.iter().chain([&decoders::CONTROL]);
        let decoder = all.into_iter().find(|decoder| decoder.name == name);
        decoder.expect("the parent names a decoder").run();
        return ExitCode::SUCCESS;
    }
    let arguments = Arguments::from_args();
    let mut trials: Vec<_> = DECODERS.iter().map(trial).collect();
    trials.push(gated(
        "control_a_quadratic_decoder_is_noticed",
        || match grows_linearly(&decoders::CONTROL) {
            Ok(()) => Err(Failed::from("a quadratic decoder passed")),
            Err(_) => Ok(Completion::Completed),
        },
    ));
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn trial(decoder: &'static Decoder) -> Trial {
    let name = format!("{}_grows_at_most_linearly", decoder.name);
    gated(name, || {
        grows_linearly(decoder).map(|()| Completion::Completed)
    })
}

fn gated(
    name: impl Into<String>,
    run: impl FnOnce() -> Result<Completion, Failed> + Send + 'static,
) -> Trial {
    Trial::ignorable_test(name, || match callgrind::missing() {
        None => run(),
        Some(reason) if env::var_os("CI").is_some() => {
            Err(Failed::from(format!("{reason}, and this is CI")))
        }
        Some(reason) => Ok(Completion::ignored_with(reason)),
    })
}

fn grows_linearly(decoder: &Decoder) -> Result<(), Failed> {
    let counts = callgrind::count(decoder.name)?;
    let pairs = counts.chunks_exact(2);
    if pairs.len() != decoder.shapes.len() || !pairs.remainder().is_empty() {
        return Err(Failed::from(format!("{} counts", counts.len())));
    }
    let mut failed = Vec::new();
    for (shape, pair) in decoder.shapes.iter().zip(pairs) {
        let [small, large] = pair else { continue };
        #[expect(clippy::cast_precision_loss, reason = "a ratio")]
        let grown = *large as f64 / *small as f64;
        #[expect(clippy::cast_precision_loss, reason = "a ratio")]
        let sizes = decoder.sizes[1] as f64 / decoder.sizes[0] as f64;
        println!(
            "{} {}: {small} to {large}, {grown:.1}",
            decoder.name, shape.name
        );
        if grown > sizes * TOLERANCE {
            failed.push(format!(
                "{} grows {grown:.1} times over {sizes}",
                shape.name
            ));
        }
    }
    if failed.is_empty() {
        Ok(())
    } else {
        Err(Failed::from(failed.join("; ")))
    }
}
