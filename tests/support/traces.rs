//! What is traced on this thread.

use std::{
    cell::RefCell,
    fmt::{self, Write},
    sync::{Arc, Mutex, Once},
};

use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    layer::{Context, Layer, SubscriberExt},
    registry,
};

type Lines = Arc<Mutex<Vec<String>>>;

thread_local! {
    static COLLECTED: RefCell<Option<Lines>> = const { RefCell::new(None) };
}

/// The events that are traced on this thread, as lines `LEVEL target: name=value …`.
///
/// The subscriber is the process's: with one for each thread, an event that another thread traces first may be
/// off for all.
pub(crate) struct Traces(Lines);

struct Collect;

struct Line(String);

impl Traces {
    /// Begins to collect them.
    pub(crate) fn collect() -> Self {
        static SUBSCRIBED: Once = Once::new();
        SUBSCRIBED.call_once(|| {
            let subscriber = registry().with(Collect);
            tracing::subscriber::set_global_default(subscriber).expect("there is no other");
        });
        let lines = Lines::default();
        COLLECTED.set(Some(Arc::clone(&lines)));
        Self(lines)
    }

    /// Returns the lines so far that have all of these words.
    pub(crate) fn with(&self, words: &[&str]) -> Vec<String> {
        let mut lines = self.0.lock().unwrap().clone();
        lines.retain(|line| words.iter().all(|word| line.contains(word)));
        lines
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        COLLECTED.set(None);
    }
}

impl<S: Subscriber> Layer<S> for Collect {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        COLLECTED.with_borrow(|lines| {
            let Some(lines) = lines else { return };
            let metadata = event.metadata();
            let mut line = Line(format!("{} {}:", metadata.level(), metadata.target()));
            event.record(&mut line);
            lines.lock().unwrap().push(line.0);
        });
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, " {}={value:?}", field.name()).expect("a text takes all");
    }
}
