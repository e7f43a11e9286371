#[cfg(not(feature = "metrics"))]
use super::not_recorded as recorded;
#[cfg(feature = "metrics")]
use super::recorded;
use tokio::time::Instant;

/// The kind of a metric.
#[derive(Debug, Clone, Copy)]
pub(super) enum MetricKind {
    Counter,
    Gauge,
    Histogram,
}

/// A metric of the table. Without the feature `metrics` nothing is recorded.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(
    not(feature = "metrics"),
    expect(dead_code, reason = "nothing is recorded")
)]
pub(crate) struct Metric {
    pub(super) name: &'static str,
    pub(super) kind: MetricKind,
    pub(super) unit: &'static str,
    pub(super) meaning: &'static str,
}

impl Metric {
    pub(super) const fn counter(
        name: &'static str,
        unit: &'static str,
        meaning: &'static str,
    ) -> Self {
        Self {
            name,
            kind: MetricKind::Counter,
            unit,
            meaning,
        }
    }

    pub(super) const fn gauge(
        name: &'static str,
        unit: &'static str,
        meaning: &'static str,
    ) -> Self {
        Self {
            kind: MetricKind::Gauge,
            ..Self::counter(name, unit, meaning)
        }
    }

    pub(super) const fn histogram(
        name: &'static str,
        unit: &'static str,
        meaning: &'static str,
    ) -> Self {
        Self {
            kind: MetricKind::Histogram,
            ..Self::counter(name, unit, meaning)
        }
    }

    /// Adds to a counter.
    pub(crate) fn count(self, more: usize, labels: &[(&'static str, &str)]) {
        recorded::count(self, more, labels);
    }

    /// Adds one to a gauge.
    pub(crate) fn up(self) {
        recorded::add(self, 1.0);
    }

    /// Takes one from a gauge.
    pub(crate) fn down(self) {
        recorded::add(self, -1.0);
    }

    /// Records the time of the stopwatch in a histogram, in seconds.
    pub(crate) fn time(self, stopwatch: Stopwatch, labels: &[(&'static str, &str)]) {
        if let Some(began) = stopwatch.0 {
            recorded::time(self, began, labels);
        }
    }
}

/// A time that is measured for a metric. Without the feature `metrics` no clock is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch(Option<Instant>);

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self(cfg!(feature = "metrics").then(Instant::now))
    }

    pub(crate) const fn since(began: Instant) -> Self {
        Self(Some(began))
    }
}
