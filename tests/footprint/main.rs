//! The allocations of one event of a running session, and the heap that a running session holds, counted
//! by the allocator: from the provider through the layer to the frames of the body, on the memory store.
//!
//! The events are let out one at a time, as a model streams tokens. They are made before the counting
//! begins: what the provider allocates for one, such as its text, isn't counted. The sessions run on paused
//! time, which advances by the pace of the events, so that renewals, sweeps and timers are counted.

mod scene;
mod tap;

use scene::Scene;

/// The sessions of one scene. What the registry does for all of them together is divided among them.
const SESSIONS: usize = 20;
/// The most allocations of an event.
const ALLOCATIONS: f64 = 2.0;
/// The most bytes of a running session after so many events, beside its records and their ends. The goal is
/// 8 KiB.
const HEAP: [(usize, usize); 3] = [(0, 7 * 1024), (100, 8 * 1024 + 512), (10_000, 10 * 1024)];

/// One test, since the test harness allocates when another one ends.
#[test]
fn a_session_costs_little() {
    an_event_of_a_session_with_one_reader_needs_few_allocations();
    a_running_session_holds_little_beside_its_records();
}

fn an_event_of_a_session_with_one_reader_needs_few_allocations() {
    Scene::new(SESSIONS).run(async |it| {
        it.start(true).await;
        it.step(200).await;
        let before = it.counts();
        it.step(1_000).await;
        let used = it.counts() - before;
        #[expect(clippy::cast_precision_loss, reason = "a ratio")]
        let per_event = |count: usize| count as f64 / (SESSIONS * 1_000) as f64;
        let allocations = per_event(used.allocations);
        let bytes = per_event(used.bytes);
        println!("{allocations:.2} allocations and {bytes:.0} bytes an event");
        assert!(allocations <= ALLOCATIONS, "{allocations:.2}");
    });
}

fn a_running_session_holds_little_beside_its_records() {
    for has_reader in [true, false] {
        Scene::new(SESSIONS).run(async |it| {
            it.start(has_reader).await;
            let mut stepped = 0;
            for (events, most) in HEAP {
                it.step(events - stepped).await;
                stepped = events;
                let held = it.held() / SESSIONS;
                // Each has four bytes more, for its end.
                let records = it.record_bytes() + 4 * (events + 1);
                let beside = held.saturating_sub(records);
                println!("{beside} bytes after {events} events, with a reader: {has_reader}");
                assert!(beside <= most, "{beside} bytes after {events} events");
            }
        });
    }
}
