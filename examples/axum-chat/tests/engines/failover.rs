use std::{thread::sleep, time::Duration};

use crate::{
    client::{End, Event, assert_in_order, text},
    engine::Engine,
    example::Example,
    model::Model,
    proxy::Proxy,
    redis::Redis,
};

/// Acknowledged and shown, but not on the replica that is promoted: who resumes there is refused, open
/// bodies fail, and what is written in its place is never put behind it.
pub(crate) fn lagging_replica() {
    let model = Model::start(300, 0);
    let primary = Redis::start(&[]);
    let replication = Proxy::start(primary.port);
    let of = format!("127.0.0.1 {}", replication.port);
    let replica = Redis::start(&["--replicaof", &of]);
    let front = Proxy::start(primary.port);
    let store = format!("redis://127.0.0.1:{}", front.port);
    let (here, there) = (
        Example::start(&store, &model),
        Example::start(&store, &model),
    );
    until(&replica, "master_link_status:up");

    let mut asked = here.ask();
    assert_eq!(asked.status, 200);
    let id = asked.header("x-session-id").to_owned();
    let mut followed = there.read(&id, None);
    let mut shown = [asked.take(20), followed.take(20)];
    replication.stall();
    for (shown, reader) in shown.iter_mut().zip([&mut asked, &mut followed]) {
        shown.extend(reader.take(30));
    }
    // The replica has never heard of this one.
    let mut unknown = here.ask();
    let unknown_id = unknown.header("x-session-id").to_owned();
    let cursor = unknown.take(10).pop().and_then(|event| event.id);
    primary.kill();
    assert_eq!(replica.ask("REPLICAOF NO ONE").as_deref(), Some("+OK\r\n"));
    front.switch(replica.port);

    for (shown, reader) in shown.iter_mut().zip([asked, followed]) {
        let (rest, end) = reader.rest();
        shown.extend(rest.into_iter().filter(|event| event.id.is_some()));
        assert_eq!(end, End::Cut, "an open body fails");
        assert!(!shown.iter().any(Event::is_terminal));
        assert_in_order(shown);
        assert!(model.text(1).starts_with(&text(shown)));
    }
    let (rest, end) = unknown.rest();
    assert_eq!(end, End::Cut);
    assert!(!rest.iter().any(Event::is_terminal));
    for server in [&here, &there] {
        let answer = server.resume(&unknown_id, cursor.as_deref());
        assert_eq!(answer.status, 404);
    }

    let lost = shown.map(|shown| shown.last().and_then(|it| it.id.clone()));
    let refused = |when: &str| {
        for (server, lost) in [&here, &there].into_iter().zip(&lost) {
            let answer = server.resume(&id, lost.as_deref());
            assert_eq!(answer.status, 409, "{when}");
            let problem = answer.problem();
            let kind = problem["type"].as_str().unwrap_or_default();
            assert!(kind.ends_with("log-rewound"), "{when}: {problem}");
        }
    };
    refused("before anybody has written on");

    // The lease runs out, and the answer begins anew: other words, under LSNs that were lost.
    let (whole, end) = there.resume(&id, None).rest();
    assert_eq!(end, End::Whole);
    assert_in_order(&whole);
    let anew = whole.iter().position(|event| event.kind() == "restarted");
    let anew = anew.expect("the policy of the example");
    let lost_lsn = Event {
        id: lost[1].clone(),
        data: whole[0].data.clone(),
    };
    assert!(
        anew > 1 && lost_lsn.lsn().is_some_and(|lsn| lsn > anew),
        "control: some was replicated, and what was shown was not: {anew}, {:?}",
        lost[1]
    );
    assert!(model.text(1).starts_with(&text(&whole[..anew])));
    assert_eq!(text(&whole[anew..]), model.text(3));
    assert_eq!(whole.last().map(Event::kind), Some("complete"));
    assert_eq!(model.calls(), 3, "the third is the policy's");
    refused("once other words stand there");
    // What was replicated can still be resumed from.
    let kept = whole[anew - 1].id.as_deref();
    let (rest, end) = here.resume(&id, kept).rest();
    assert_eq!((rest.len(), end), (whole.len() - anew, End::Whole));
}

/// A replica that has everything is promoted, and the former primary stays where it was, as a replica
/// of the other: who has a connection to it keeps it. The answer goes on as if nothing had been.
pub(crate) fn planned() {
    let model = Model::start(300, 0);
    let primary = Redis::start(&[]);
    let replica = Redis::start(&["--replicaof", &format!("127.0.0.1 {}", primary.port)]);
    let front = Proxy::start(primary.port);
    let store = format!("redis://127.0.0.1:{}", front.port);
    let (here, there) = (
        Example::start(&store, &model),
        Example::start(&store, &model),
    );
    until(&replica, "master_link_status:up");

    let mut asked = here.ask();
    let id = asked.header("x-session-id").to_owned();
    let mut followed = there.read(&id, None);
    let shown = [asked.take(20), followed.take(20)];
    assert_eq!(primary.ask("FAILOVER").as_deref(), Some("+OK\r\n"));
    until(&replica, "role:master");
    front.lead_to(replica.port);
    until(&primary, "role:slave");

    for (shown, reader) in shown.into_iter().zip([asked, followed]) {
        let (rest, end) = reader.rest();
        let shown = [shown, rest].concat();
        assert_eq!(end, End::Whole);
        assert_in_order(&shown);
        assert_eq!(text(&shown), model.text(1));
        assert_eq!(shown.last().map(Event::kind), Some("complete"));
    }
    assert_eq!(model.calls(), 1);
}

fn until(redis: &Redis, says: &str) {
    for _ in 0..500 {
        let info = redis.ask("INFO replication");
        if info.is_some_and(|info| info.contains(says)) {
            return;
        }
        sleep(Duration::from_millis(20));
    }
    panic!("it never came: {says}");
}
