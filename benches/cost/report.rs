//! What is printed.

use std::time::Duration;

pub(crate) fn title(what: &str) {
    println!("\n{what}");
}

/// A line with both figures and how ours stands to the bare one.
pub(crate) fn compare(what: &str, bare: f64, ours: f64, unit: &str, goal: &str) {
    let ratio = ours / bare;
    println!(
        "  {what:<34} bare {bare:>10.2} {unit:<4} ours {ours:>10.2} {unit:<4} ratio {ratio:>5.2}   goal {goal}"
    );
}

pub(crate) fn single(what: &str, ours: f64, unit: &str, goal: &str) {
    println!("  {what:<34} ours {ours:>10.2} {unit:<4} goal {goal}");
}

pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// The value that so many in a hundred don't pass.
pub(crate) fn percentile(values: &mut [u64], percent: usize) -> u64 {
    values.sort_unstable();
    let last = values.len().saturating_sub(1);
    values.get(last * percent / 100).copied().unwrap_or(0)
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
