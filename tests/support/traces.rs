//! What is traced on this thread.

use std::{
    fmt::{self, Write},
    sync::{Arc, Mutex},
};

use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
    subscriber::DefaultGuard,
};
use tracing_subscriber::{
    layer::{Context, Layer, SubscriberExt},
    registry,
};

/// The events that are traced on this thread, as lines `LEVEL target: name=value …`.
pub(crate) struct Traces {
    lines: Arc<Mutex<Vec<String>>>,
    _subscribed: DefaultGuard,
}

struct Collect(Arc<Mutex<Vec<String>>>);

struct Line(String);

impl Traces {
    /// Begins to collect them.
    pub(crate) fn collect() -> Self {
        let lines = Arc::<Mutex<Vec<String>>>::default();
        let subscriber = registry().with(Collect(Arc::clone(&lines)));
        Self {
            lines,
            _subscribed: tracing::subscriber::set_default(subscriber),
        }
    }

    /// Returns the lines so far that have all of these words.
    pub(crate) fn with(&self, words: &[&str]) -> Vec<String> {
        let mut lines = self.lines.lock().unwrap().clone();
        lines.retain(|line| words.iter().all(|word| line.contains(word)));
        lines
    }
}

impl<S: Subscriber> Layer<S> for Collect {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let mut line = Line(format!("{} {}:", metadata.level(), metadata.target()));
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, " {}={value:?}", field.name()).expect("a text takes all");
    }
}
