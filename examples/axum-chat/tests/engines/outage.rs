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
/// More than all buffers together: the model is asked for 10 MB.
const TOKENS: usize = 5000;
const PAD: usize = 2000;
/// What of that may be on its way while nothing is stored: the writer's buffer, twice over in the
/// system's, and what the readers hold.
const ON_ITS_WAY: usize = 6 << 20;
/// How much the memory of a server may grow by.
const GROWTH: usize = 12 << 20;

/// An answer in its middle, read on two servers.
struct Scene {
    model: Model,
    here: Example,
    there: Example,
    id: String,
    readers: [(Vec<Event>, Answer); 2],
}

impl Scene {
    fn new(engine: &impl Engine) -> Self {
        let model = Model::start(TOKENS, PAD);
        let here = Example::start(&engine.url(), &model);
        let there = Example::start(&engine.url(), &model);
        let mut asked = here.ask();
        assert_eq!(asked.status, 200);
        let id = asked.header("x-session-id").to_owned();
        let mut followed = there.read(&id, None);
        let readers = [(asked.take(50), asked), (followed.take(50), followed)];
        Self {
            model,
            here,
            there,
            id,
            readers,
        }
    }
}

/// The engine is out of reach, and the model in a hurry.
struct Outage {
    model: Model,
    here: Example,
    there: Example,
    id: String,
    /// What the readers had been shown by the time that they were cut.
    shown: [Vec<Event>; 2],
}

impl Scene {
    /// Sees that readers are told and cut, that the model is no longer listened to, and that neither
    /// server grows.
    fn outage(self) -> Outage {
        let Self {
            model,
            here,
            there,
            id,
            readers,
        } = self;
        let began = Instant::now();
        let taken = model.taken();
        let servers = [&here, &there];
        let before = servers.map(|it| (it.resident(), it.busy()));
        model.hurry();
        let readers = readers.map(|(shown, reader)| {
            thread::spawn(move || {
                let (rest, end) = reader.rest();
                ([shown, rest].concat(), end, began.elapsed())
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
            "the model was listened to until {pause:?} ago"
        );
        assert!(full - taken < ON_ITS_WAY, "{} bytes taken", full - taken);
        for ((most, server), (resident, busy)) in most.into_iter().zip(servers).zip(before) {
            let grown = most.saturating_sub(resident);
            let busy = server.busy().saturating_sub(busy);
            println!(
                "memory: {} KiB, {} KiB more at most during the outage; {busy:?} of processor",
                resident >> 10,
                grown >> 10
            );
            assert!(grown < GROWTH, "{grown} bytes more");
            assert!(busy < OUTAGE / 5, "{busy:?} of processor");
        }
        println!("{} KiB of the answer taken meanwhile", (full - taken) >> 10);
        let shown = readers.map(|reader| {
            let (mut shown, end, after) = reader.join().expect("the reader ends");
            println!("a reader was told after {after:?}");
            assert_eq!(end, End::Cut);
            assert!(after < OUTAGE);
            let notice = shown.pop().expect("a notice");
            assert_eq!((notice.kind(), &notice.id), ("unavailable", &None));
            assert_in_order(&shown);
            assert!(!shown.iter().any(Event::is_terminal));
            shown
        });
        assert_eq!(model.calls(), 1);
        Outage {
            model,
            here,
            there,
            id,
            shown,
        }
    }
}

/// Whoever asks now is asked to come again.
fn refuses(server: &Example, id: &str, after: Option<&str>) {
    for answer in [server.read(id, after), server.ask()] {
        assert_eq!(answer.status, 503);
        assert!(answer.header("retry-after").parse::<u64>().is_ok());
    }
}

pub(crate) fn stopped_and_back(engine: &impl Engine) {
    let scene = Scene::new(engine);
    engine.pause();
    let it = scene.outage();
    engine.go_on();
    for (mut shown, server) in it.shown.into_iter().zip([&it.here, &it.there]) {
        read_on(server, &it.id, &mut shown);
        assert_in_order(&shown);
        assert!(text(&shown) == it.model.text(1), "each word once");
        let endings: Vec<_> = shown.iter().filter(|event| event.is_terminal()).collect();
        assert_eq!(endings.len(), 1);
        assert_eq!(endings[0].kind(), "complete");
        assert!(!shown.iter().any(|event| event.kind() == "restarted"));
    }
    assert_eq!(it.model.calls(), 1, "nobody asked the model again");
}

/// As a client does: resumes until it has the ending.
fn read_on(server: &Example, id: &str, shown: &mut Vec<Event>) {
    for _ in 0..20 {
        let last = shown.last().and_then(|event| event.id.clone());
        let answer = server.resume(id, last.as_deref());
        assert_eq!(answer.status, 200);
        let (mut rest, end) = answer.rest();
        if end == End::Cut {
            // The engine answers again, and the writer has not come by yet.
            assert_eq!(rest.pop().as_ref().map(Event::kind), Some("unavailable"));
        }
        shown.extend(rest);
        if end == End::Whole {
            return;
        }
        sleep(Duration::from_millis(250));
    }
    panic!("no ending came, though the engine is back");
}

pub(crate) fn killed_for_good(engine: &impl Engine) {
    let scene = Scene::new(engine);
    engine.kill();
    let it = scene.outage();
    for (shown, server) in it.shown.iter().zip([&it.here, &it.there]) {
        assert!(it.model.text(1).starts_with(&text(shown)));
        let last = shown.last().and_then(|event| event.id.as_deref());
        refuses(server, &it.id, last);
    }
    assert_eq!(it.model.calls(), 1, "what is refused costs nothing");
}
