use std::sync::{
    LazyLock,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use futures_util::{StreamExt as _, stream};
use tokio::sync::watch;

use super::super::mutant::{Fault, Mutant};

/// How many streams are under way, for the mutant that has room for one.
static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);
/// Told of each stream that is dropped before its end, for the mutant that minds.
static CANCELLED: LazyLock<watch::Sender<()>> = LazyLock::new(watch::Sender::default);

pub(in super::super) const CONNECTIONS: &[Mutant] = &[
    Mutant::new(
        "a stream is cut short where another is under way",
        Fault::Stream(|_, items| {
            let alone = Alone::new();
            let most = if alone.first { usize::MAX } else { 2 };
            let items = items.take(most).map(move |item| {
                let _ = &alone;
                item
            });
            items.boxed()
        }),
        &["a_stuck_stream_blocks_no_other_of_its_connection"],
    )
    .over_http2(),
    Mutant::new(
        "a stream that is cancelled takes the others along",
        Fault::Stream(|_, items| {
            let mut told = CANCELLED.subscribe();
            let cancelled = async move { told.changed().await };
            let items = items.take_until(cancelled).boxed();
            let tells = Tells { over: false };
            let items = stream::unfold((items, tells), |(mut items, mut tells)| async move {
                let item = items.next().await;
                tells.over = item.is_none();
                Some((item?, (items, tells)))
            });
            items.boxed()
        }),
        &["a_cancelled_stream_ends_no_other_of_its_connection"],
    )
    .over_http2(),
];

/// Counted while it is there.
struct Alone {
    first: bool,
}

impl Alone {
    fn new() -> Self {
        Self {
            first: UNDER_WAY.fetch_add(1, SeqCst) == 0,
        }
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        UNDER_WAY.fetch_sub(1, SeqCst);
    }
}

struct Tells {
    over: bool,
}

impl Drop for Tells {
    fn drop(&mut self) {
        if !self.over {
            CANCELLED.send_replace(());
        }
    }
}
