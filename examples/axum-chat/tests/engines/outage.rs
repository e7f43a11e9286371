use std::{
    thread::{self, sleep},
    time::{Duration, Instant},
};

use crate::{
    client::{Answer, End, Event, assert_in_order, text},
    engine::Engine,
    example::Example,
    model::Model,
};

const OUTAGE: Duration = Duration::from_secs(30);
/// More than all buffers together: an answer has 10 MB.
const TOKENS: usize = 5000;
const PAD: usize = 2000;
/// The most bytes of that in transit while nothing is stored: in the writer's buffer, in the system's
/// and the readers'.
const MAX_IN_TRANSIT: usize = 6 << 20;
/// The most growth of the memory of a server, in bytes.
const MAX_GROWTH: usize = 12 << 20;

/// A running answer with readers on two servers.
struct RunningAnswer {
    model: Model,
    first: Example,
    second: Example,
    id: String,
    readers: [(Vec<Event>, Answer); 2],
}

impl RunningAnswer {
    fn new(engine: &impl Engine) -> Self {
        let model = Model::start(TOKENS, PAD);
        let first = Example::start(&engine.url(), &model);
        let second = Example::start(&engine.url(), &model);
        let mut started = first.ask();
        assert_eq!(started.status, 200);
        let id = started.header("x-session-id").to_owned();
        let mut followed = second.read(&id, None);
        let readers = [(started.take(50), started), (followed.take(50), followed)];
        Self {
            model,
            first,
            second,
            id,
            readers,
        }
    }
}

/// The state after an outage of the engine, during which the model sends without pauses.
struct Outage {
    model: Model,
    first: Example,
    second: Example,
    id: String,
    /// The events that each reader got before its body failed.
    seen: [Vec<Event>; 2],
}

impl RunningAnswer {
    /// Checks that readers get a notice and then fail, that the model's stream is no longer read, and
    /// that neither server grows.
    fn outage(self) -> Outage {
        let Self {
            model,
            first,
            second,
            id,
            readers,
        } = self;
        let began = Instant::now();
        let taken = model.taken();
        let servers = [&first, &second];
        let before = servers.map(|it| (it.resident(), it.busy()));
        model.stop_pacing();
        let readers = readers.map(|(seen, reader)| {
            thread::spawn(move || {
                let (rest, end) = reader.rest();
                ([seen, rest].concat(), end, began.elapsed())
            })
        });
        let mut most = servers.map(Example::resident);
        let (mut full, mut since) = (taken, began);
        while began.elapsed() < OUTAGE {
            sleep(Duration::from_millis(500));
            if model.taken() > full {
                (full, since) = (model.taken(), Instant::now());
            }
            for (most, server) in most.iter_mut().zip(servers) {
                *most = server.resident().max(*most);
            }
        }
        let pause = since.elapsed();
        assert!(
            pause > OUTAGE / 3,
            "the model's stream was read until {pause:?} ago"
        );
        assert!(
            full - taken < MAX_IN_TRANSIT,
            "{} bytes taken",
            full - taken
        );
        for ((most, server), (resident, busy)) in most.into_iter().zip(servers).zip(before) {
            let grown = most.saturating_sub(resident);
            let busy = server.busy().saturating_sub(busy);
            println!(
                "memory: {} KiB, {} KiB more at most during the outage; {busy:?} of processor",
                resident >> 10,
                grown >> 10
            );
            assert!(grown < MAX_GROWTH, "{grown} bytes more");
            assert!(busy < OUTAGE / 5, "{busy:?} of processor");
        }
        println!("{} KiB of the answer taken meanwhile", (full - taken) >> 10);
        let seen = readers.map(|reader| {
            let (mut seen, end, after) = reader.join().expect("the reader ends");
            println!("a reader got the notice after {after:?}");
            assert_eq!(end, End::Cut);
            assert!(after < OUTAGE);
            let notice = seen.pop().expect("a notice");
            assert_eq!((notice.kind(), &notice.id), ("unavailable", &None));
            assert_in_order(&seen);
            assert!(!seen.iter().any(Event::is_terminal));
            seen
        });
        assert_eq!(model.calls(), 1);
        Outage {
            model,
            first,
            second,
            id,
            seen,
        }
    }
}

/// Checks that requests are refused with 503 and Retry-After.
fn refuses(server: &Example, id: &str, after: Option<&str>) {
    for answer in [server.read(id, after), server.ask()] {
        assert_eq!(answer.status, 503);
        assert!(answer.header("retry-after").parse::<u64>().is_ok());
    }
}

pub(crate) fn stopped_and_back(engine: &impl Engine) {
    let answer = RunningAnswer::new(engine);
    engine.pause();
    let outage = answer.outage();
    engine.resume_processes();
    for (mut seen, server) in outage.seen.into_iter().zip([&outage.first, &outage.second]) {
        read_on(server, &outage.id, &mut seen);
        assert_in_order(&seen);
        assert!(text(&seen) == outage.model.text(1), "each word once");
        let endings: Vec<_> = seen.iter().filter(|event| event.is_terminal()).collect();
        assert_eq!(endings.len(), 1);
        assert_eq!(endings[0].kind(), "complete");
        assert!(!seen.iter().any(|event| event.kind() == "restarted"));
    }
    assert_eq!(outage.model.calls(), 1, "the model was called once");
}

/// Resumes until the terminal event, as a client does.
fn read_on(server: &Example, id: &str, seen: &mut Vec<Event>) {
    for _ in 0..20 {
        let last = seen.last().and_then(|event| event.id.clone());
        let answer = server.resume(id, last.as_deref());
        assert_eq!(answer.status, 200);
        let (mut rest, end) = answer.rest();
        if end == End::Cut {
            // The engine is back, but the writer has not reached it yet.
            assert_eq!(rest.pop().as_ref().map(Event::kind), Some("unavailable"));
        }
        seen.extend(rest);
        if end == End::Clean {
            return;
        }
        sleep(Duration::from_millis(250));
    }
    panic!("no terminal event, although the engine is back");
}

pub(crate) fn killed_for_good(engine: &impl Engine) {
    let answer = RunningAnswer::new(engine);
    engine.kill();
    let outage = answer.outage();
    for (seen, server) in outage.seen.iter().zip([&outage.first, &outage.second]) {
        assert!(outage.model.text(1).starts_with(&text(seen)));
        let last = seen.last().and_then(|event| event.id.as_deref());
        refuses(server, &outage.id, last);
    }
    assert_eq!(outage.model.calls(), 1, "a refusal calls no model");
}
