//! Measures the cost of durability: each kind of work through `unbroken` and through a bare hyper body,
//! in the same run on the same machine. Prints ratios, with the design's goals.
//!
//! `cargo bench --bench cost` runs all kinds, `cargo bench --bench cost -- replay` those whose name
//! contains the word. The server is a child process with one worker thread, so that its processor time
//! and memory are measured alone.
#![expect(
    clippy::cast_precision_loss,
    reason = "figures for people have three digits"
)]

mod client;
mod process;
mod report;
mod server;
mod work;

use std::time::Duration;

fn main() {
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with("--"))
        .collect();
    if words.first().is_some_and(|word| word == "serve") {
        return server::serve();
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let wanted = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word));
    runtime.block_on(async {
        if wanted("live") {
            work::live(100_000, 5).await;
        }
        if wanted("replay") {
            work::replay(100_000, 9).await;
        }
        if wanted("readers") {
            work::readers(100, 200, Duration::from_secs(5)).await;
            work::readers(1_000, 20, Duration::from_secs(5)).await;
        }
        if wanted("sessions") {
            work::sessions(2_000, Duration::from_secs(5)).await;
        }
        if wanted("heap") {
            work::heap(20).await;
        }
        if wanted("memory") {
            work::memory(1_000, 1_000).await;
        }
        if wanted("head") {
            work::head(50).await;
        }
        if wanted("abort") {
            work::abort(50).await;
        }
    });
}
