//! The metrics that were recorded, and the tables of the documentation.

use std::collections::{BTreeMap, BTreeSet};

use metrics::Unit;
use metrics_util::debugging::{DebugValue, Snapshot};

pub(crate) const TABLE: &str = include_str!("../../docs/operations/metrics.md");
pub(crate) const MODULE: &str = include_str!("../../src/metrics/mod.rs");

/// The kind, the unit and the labels of a metric.
pub(crate) type Row = (String, String, BTreeSet<String>);

/// Returns the rows of a table, by the names of the metrics.
pub(crate) fn rows(table: &str) -> BTreeMap<String, Row> {
    let plain = |text: &str| text.trim().trim_matches('`').to_owned();
    let row = |line: &str| {
        let line = line.trim_matches('|');
        let cells: Vec<_> = line.split(" | ").map(str::trim).collect();
        let [name, kind, unit, labels, _] = &cells[..] else {
            panic!("{line}")
        };
        let labels = labels.split(", ").map(plain).filter(|it| !it.is_empty());
        let (kind, unit) = ((*kind).to_owned(), (*unit).to_owned());
        (plain(name), (kind, unit, labels.collect()))
    };
    let lines = table.lines().map(|line| line.trim_start_matches("//! "));
    lines
        .filter(|line| line.starts_with("| `"))
        .map(row)
        .collect()
}

/// Everything that a recorder has.
pub(crate) struct Recorded {
    /// The sum of each metric over its labels.
    sums: BTreeMap<String, f64>,
    pub(crate) rows: BTreeMap<String, Row>,
    /// The number of sessions that ended, by outcome and code.
    pub(crate) ended: BTreeMap<String, u64>,
}

impl Recorded {
    pub(crate) fn of(snapshot: Snapshot) -> Self {
        let mut sums: BTreeMap<String, f64> = BTreeMap::new();
        let mut rows: BTreeMap<String, Row> = BTreeMap::new();
        let mut ended: BTreeMap<String, u64> = BTreeMap::new();
        let snapshot = snapshot.into_vec();
        assert!(snapshot.len() < 2_000, "{}", snapshot.len());
        for (key, unit, description, value) in snapshot {
            let (kind, key) = key.into_parts();
            assert!(description.is_some(), "{key}");
            let name = key.name().to_owned();
            let unit = match unit {
                Some(Unit::Seconds) => "s",
                Some(Unit::Bytes) => "By",
                Some(Unit::Count) => "1",
                other => panic!("{key}: {other:?}"),
            };
            let labels = key.labels().map(|label| label.key().to_owned());
            let row = (
                format!("{kind:?}").to_lowercase(),
                unit.to_owned(),
                labels.collect(),
            );
            let known = rows.entry(name.clone()).or_insert_with(|| row.clone());
            assert_eq!(*known, row, "{name}: its labels are those of the others");
            if let ("unbroken.sessions.ended", DebugValue::Counter(count)) = (&*name, &value) {
                let how = key.labels().filter(|it| it.key() != "service");
                let how: Vec<_> = how.map(|it| it.value().to_owned()).collect();
                *ended.entry(how.join(" ")).or_default() += count;
            }
            #[expect(clippy::cast_precision_loss, reason = "small numbers")]
            let value = match value {
                DebugValue::Counter(count) => count as f64,
                DebugValue::Gauge(gauge) => gauge.into_inner(),
                DebugValue::Histogram(values) => values.len() as f64,
            };
            *sums.entry(name).or_default() += value;
        }
        Self { sums, rows, ended }
    }

    pub(crate) fn is(&self, name: &str, expected: u64) {
        let sum = self.sums[name];
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let expected = expected as f64;
        assert!(
            (sum - expected).abs() < 0.5,
            "{name}: {sum} and not {expected}"
        );
    }
}
