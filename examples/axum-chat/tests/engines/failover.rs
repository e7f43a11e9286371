use std::{thread::sleep, time::Duration};

use crate::{
    client::{End, Event, assert_in_order, text},
    engine::Engine,
    example::Example,
    model::Model,
    proxy::Proxy,
    redis::Redis,
};

/// A promoted replica lacks records that were acknowledged and sent to readers. A resume after them is
/// refused, open bodies fail, and new records are never appended to the lost ones.
pub(crate) fn lagging_replica() {
    let model = Model::start(300, 0);
    let primary = Redis::start(&[]);
    let replication = Proxy::start(primary.port);
    let of = format!("127.0.0.1 {}", replication.port);
    let replica = Redis::start(&["--replicaof", &of]);
    let front = Proxy::start(primary.port);
    let store = format!("redis://127.0.0.1:{}", front.port);
    let (first, second) = (
        Example::start(&store, &model),
        Example::start(&store, &model),
    );
    until(&replica, "master_link_status:up");

    model.hold_after(25);
    let mut started = first.ask();
    assert_eq!(started.status, 200);
    let id = started.header("x-session-id").to_owned();
    let mut followed = second.read(&id, None);
    let mut seen = [started.take(20), followed.take(20)];
    caught_up(&replica, &primary);
    replication.stall();
    model.hold_after(150);
    for (seen, reader) in seen.iter_mut().zip([&mut started, &mut followed]) {
        seen.extend(reader.take(30));
    }
    // The replica lacks this session.
    let mut unknown = first.ask();
    let unknown_id = unknown.header("x-session-id").to_owned();
    let cursor = unknown.take(10).pop().and_then(|event| event.id);
    primary.kill();
    model.hold_after(0);
    assert_eq!(replica.ask("REPLICAOF NO ONE").as_deref(), Some("+OK\r\n"));
    front.switch(replica.port);

    for (seen, reader) in seen.iter_mut().zip([started, followed]) {
        let (rest, end) = reader.rest();
        seen.extend(rest.into_iter().filter(|event| event.id.is_some()));
        assert_eq!(end, End::Cut, "an open body fails");
        assert!(!seen.iter().any(Event::is_terminal));
        assert_in_order(seen);
        assert!(model.text(1).starts_with(&text(seen)));
    }
    let (rest, end) = unknown.rest();
    assert_eq!(end, End::Cut);
    assert!(!rest.iter().any(Event::is_terminal));
    for server in [&first, &second] {
        let answer = server.resume(&unknown_id, cursor.as_deref());
        assert_eq!(answer.status, 404);
    }

    let lost = seen.map(|seen| seen.last().and_then(|it| it.id.clone()));
    let refused = |when: &str| {
        for (server, lost) in [&first, &second].into_iter().zip(&lost) {
            let answer = server.resume(&id, lost.as_deref());
            assert_eq!(answer.status, 409, "{when}");
            let problem = answer.problem();
            let kind = problem["type"].as_str().unwrap_or_default();
            assert!(kind.ends_with("log-rewound"), "{when}: {problem}");
        }
    };
    refused("before new records");

    // The lease expires, and the answer restarts: other words under LSNs that were lost.
    let (whole, end) = second.resume(&id, None).rest();
    assert_eq!(end, End::Clean);
    assert_in_order(&whole);
    let anew = whole.iter().position(|event| event.kind() == "restarted");
    let anew = anew.expect("a restart by the policy of the example");
    let lost_lsn = Event {
        id: lost[1].clone(),
        data: whole[0].data.clone(),
    };
    assert!(
        anew > 1 && lost_lsn.lsn().is_some_and(|lsn| lsn > anew),
        "control: some records were replicated, the last ones were not: {anew}, {:?}",
        lost[1]
    );
    assert!(model.text(1).starts_with(&text(&whole[..anew])));
    assert_eq!(text(&whole[anew..]), model.text(3));
    assert_eq!(whole.last().map(Event::kind), Some("complete"));
    assert_eq!(model.calls(), 3, "the third is the restart");
    refused("after new records under these LSNs");
    // A resume from a replicated record succeeds.
    let kept = whole[anew - 1].id.as_deref();
    let (rest, end) = first.resume(&id, kept).rest();
    assert_eq!((rest.len(), end), (whole.len() - anew, End::Clean));
}

/// A replica with all records is promoted, and the former primary becomes its replica and keeps its
/// connections. The answer continues without a loss.
pub(crate) fn planned() {
    let model = Model::start(300, 0);
    let primary = Redis::start(&[]);
    let replica = Redis::start(&["--replicaof", &format!("127.0.0.1 {}", primary.port)]);
    let front = Proxy::start(primary.port);
    let store = format!("redis://127.0.0.1:{}", front.port);
    let (first, second) = (
        Example::start(&store, &model),
        Example::start(&store, &model),
    );
    until(&replica, "master_link_status:up");

    let mut started = first.ask();
    let id = started.header("x-session-id").to_owned();
    let mut followed = second.read(&id, None);
    let seen = [started.take(20), followed.take(20)];
    assert_eq!(primary.ask("FAILOVER").as_deref(), Some("+OK\r\n"));
    until(&replica, "role:master");
    front.connect_to(replica.port);
    until(&primary, "role:slave");

    for (seen, reader) in seen.into_iter().zip([started, followed]) {
        let (rest, end) = reader.rest();
        let seen = [seen, rest].concat();
        assert_eq!(end, End::Clean);
        assert_in_order(&seen);
        assert_eq!(text(&seen), model.text(1));
        assert_eq!(seen.last().map(Event::kind), Some("complete"));
    }
    assert_eq!(model.calls(), 1);
}

/// Waits until the replica has what the primary has now.
fn caught_up(replica: &Redis, primary: &Redis) {
    let offset = |redis: &Redis, name: &str| {
        let info = redis.ask("INFO replication").unwrap_or_default();
        let line = info.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|it| it.parse::<u64>().ok())
    };
    let wanted = offset(primary, "master_repl_offset:").expect("a primary");
    for _ in 0..3000 {
        if offset(replica, "slave_repl_offset:").is_some_and(|it| it >= wanted) {
            return;
        }
        sleep(Duration::from_millis(20));
    }
    panic!("the replica did not catch up in a minute");
}

fn until(redis: &Redis, says: &str) {
    let mut info = None;
    for _ in 0..3000 {
        info = redis.ask("INFO replication");
        if info.as_ref().is_some_and(|info| info.contains(says)) {
            return;
        }
        sleep(Duration::from_millis(20));
    }
    panic!("not seen in a minute: {says}; last {info:?}");
}
