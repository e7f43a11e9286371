use metrics::{Key, Level, Metadata, Unit, with_recorder};
use tokio::time::Instant;

use super::label_sets::label_set;

static METADATA: Metadata<'static> = Metadata::new("unbroken", Level::INFO, Some("unbroken"));

#[derive(Debug, Clone, Copy)]
enum MetricKind {
    Counter,
    Gauge,
    Histogram,
}

/// A metric of the table. Recording allocates only for a set of labels that is new in the process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Metric {
    name: &'static str,
    kind: MetricKind,
    unit: &'static str,
    meaning: &'static str,
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

    pub(super) fn describe(self) {
        let (name, meaning) = (self.name.into(), self.meaning.into());
        let unit = Some(match self.unit {
            "s" => Unit::Seconds,
            "By" => Unit::Bytes,
            _ => Unit::Count,
        });
        with_recorder(|recorder| match self.kind {
            MetricKind::Counter => recorder.describe_counter(name, unit, meaning),
            MetricKind::Gauge => recorder.describe_gauge(name, unit, meaning),
            MetricKind::Histogram => recorder.describe_histogram(name, unit, meaning),
        });
    }

    /// Adds so many to a counter.
    pub(crate) fn count(self, more: usize, labels: &[(&'static str, &str)]) {
        let key = Key::from_static_parts(self.name, label_set(labels));
        with_recorder(|recorder| {
            recorder
                .register_counter(&key, &METADATA)
                .increment(more as u64);
        });
    }

    /// Adds one to a gauge.
    pub(crate) fn up(self) {
        let key = Key::from_static_name(self.name);
        with_recorder(|recorder| recorder.register_gauge(&key, &METADATA).increment(1.0));
    }

    /// Takes one from a gauge.
    pub(crate) fn down(self) {
        let key = Key::from_static_name(self.name);
        with_recorder(|recorder| recorder.register_gauge(&key, &METADATA).decrement(1.0));
    }

    /// Records the time since then in a histogram.
    pub(crate) fn time(self, since: Instant, labels: &[(&'static str, &str)]) {
        let key = Key::from_static_parts(self.name, label_set(labels));
        let seconds = since.elapsed().as_secs_f64();
        with_recorder(|recorder| recorder.register_histogram(&key, &METADATA).record(seconds));
    }
}
