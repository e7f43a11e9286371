use std::sync::{
    LazyLock,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use futures_util::{StreamExt as _, stream};
use tokio::sync::watch;

use super::super::mutant::{Fault, Mutant};

/// The number of running streams, for the mutant that has room for one.
static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);
/// Notified of each stream that is dropped before its end, for the mutant that ends the others then.
static CANCELLED: LazyLock<watch::Sender<()>> = LazyLock::new(watch::Sender::default);

pub(in super::super) const CONNECTIONS: &[Mutant] = &[
    Mutant::new(
        "a stream is cut while another runs",
        Fault::Stream(|_, items| {
            let count = StreamCount::new();
            let most = if count.first { usize::MAX } else { 2 };
            let items = items.take(most).map(move |item| {
                let _ = &count;
                item
            });
            items.boxed()
        }),
        &["a_stuck_stream_blocks_no_other_of_its_connection"],
    )
    .over_http2(),
    Mutant::new(
        "a cancelled stream ends the others",
        Fault::Stream(|_, items| {
            let mut cancellations = CANCELLED.subscribe();
            let cancelled = async move { cancellations.changed().await };
            let items = items.take_until(cancelled).boxed();
            let guard = CancelGuard { over: false };
            let items = stream::unfold((items, guard), |(mut items, mut guard)| async move {
                let item = items.next().await;
                guard.over = item.is_none();
                Some((item?, (items, guard)))
            });
            items.boxed()
        }),
        &["a_cancelled_stream_ends_no_other_of_its_connection"],
    )
    .over_http2(),
];

/// Counts a stream until it is dropped.
struct StreamCount {
    first: bool,
}

impl StreamCount {
    fn new() -> Self {
        Self {
            first: UNDER_WAY.fetch_add(1, SeqCst) == 0,
        }
    }
}

impl Drop for StreamCount {
    fn drop(&mut self) {
        UNDER_WAY.fetch_sub(1, SeqCst);
    }
}

struct CancelGuard {
    over: bool,
}

impl Drop for CancelGuard {
    fn drop(&mut self) {
        if !self.over {
            CANCELLED.send_replace(());
        }
    }
}
