//! The printed report.

use std::time::Duration;

pub(crate) fn title(label: &str) {
    println!("\n{label}");
}

/// Prints both figures and their ratio.
pub(crate) fn compare(label: &str, bare: f64, ours: f64, unit: &str, goal: &str) {
    let ratio = ours / bare;
    println!(
        "  {label:<34} bare {bare:>10.2} {unit:<4} ours {ours:>10.2} {unit:<4} ratio {ratio:>5.2}   goal {goal}"
    );
}

pub(crate) fn single(label: &str, ours: f64, unit: &str, goal: &str) {
    println!("  {label:<34} ours {ours:>10.2} {unit:<4} goal {goal}");
}

pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// Returns the value that this percentage of the values does not exceed.
pub(crate) fn percentile(values: &mut [u64], percent: usize) -> u64 {
    values.sort_unstable();
    let last = values.len().saturating_sub(1);
    values.get(last * percent / 100).copied().unwrap_or(0)
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
