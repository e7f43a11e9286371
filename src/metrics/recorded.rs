//! The calls of the facade. Each allocates only for a set of labels that is new in the process, and for services that are
//! `other`.

use metrics::{Key, Level, Metadata, Unit, with_recorder};
use tokio::time::Instant;

use super::{
    label_sets::label_set,
    metric::{Metric, MetricKind},
};

static METADATA: Metadata<'static> = Metadata::new("unbroken", Level::INFO, Some("unbroken"));

pub(super) fn describe(metric: Metric) {
    let (name, meaning) = (metric.name.into(), metric.meaning.into());
    let unit = Some(match metric.unit {
        "s" => Unit::Seconds,
        "By" => Unit::Bytes,
        _ => Unit::Count,
    });
    with_recorder(|recorder| match metric.kind {
        MetricKind::Counter => recorder.describe_counter(name, unit, meaning),
        MetricKind::Gauge => recorder.describe_gauge(name, unit, meaning),
        MetricKind::Histogram => recorder.describe_histogram(name, unit, meaning),
    });
}

pub(super) fn count(metric: Metric, more: usize, labels: &[(&'static str, &str)]) {
    let key = Key::from_static_parts(metric.name, label_set(labels));
    with_recorder(|recorder| {
        let counter = recorder.register_counter(&key, &METADATA);
        counter.increment(more as u64);
    });
}

pub(super) fn add(metric: Metric, more: f64) {
    let key = Key::from_static_name(metric.name);
    with_recorder(|recorder| recorder.register_gauge(&key, &METADATA).increment(more));
}

pub(super) fn time(metric: Metric, since: Instant, labels: &[(&'static str, &str)]) {
    let key = Key::from_static_parts(metric.name, label_set(labels));
    let seconds = since.elapsed().as_secs_f64();
    with_recorder(|recorder| recorder.register_histogram(&key, &METADATA).record(seconds));
}
