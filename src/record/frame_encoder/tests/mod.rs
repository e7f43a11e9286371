mod event_source;
mod recording;

use proptest::prelude::*;

use self::{event_source::EventSource, recording::Recording};
use super::*;
use crate::record::splitter::bodies;

/// Returns the body that a reader from the beginning gets, each cursor as `<LSN>`.
fn encoded(framing: Framing, body: &str) -> String {
    let recording = Recording::of(framing, body.as_bytes(), 1000, 1000);
    let mut out = BytesMut::new();
    let mut encoder = FrameEncoder::new(framing);
    for chunk in recording.chunks() {
        encoder.encode(chunk, &mut out);
    }
    let mut text = String::from_utf8(out.to_vec()).unwrap();
    for cursor in recording.cursors() {
        let lsn = cursor.split_once('.').unwrap().0;
        text = text.replace(&cursor, &format!("<{lsn}>"));
    }
    text
}

#[test]
fn an_event_has_the_cursor_in_place_of_its_own_id() {
    for (body, expected) in [
        ("data: a\n\n", "id: <3>\ndata: a\n\n"),
        ("id: 1\ndata: a\nid\n\n", "id: <3>\ndata: a\n\n"),
        ("data: a\rid: 1\r\n\n", "id: <3>\ndata: a\r\n\n"),
        ("event: x\r\n\r\n", "id: <3>\nevent: x\r\n\r\n"),
        ("retry: 1\r\r", "id: <3>\nretry: 1\r\r"),
        (": c\ndata\n\n", "id: <3>\n: c\ndata\n\n"),
        // What stands before an event.
        ("\u{feff}data: a\n\n", "id: <4>\ndata: a\n\n"),
        ("\n\r\ndata: a\n\n", "id: <3>\ndata: a\n\n"),
        (
            "data: a\n\r\ndata: b\n\r",
            "id: <3>\ndata: a\n\rid: <4>\ndata: b\n\r",
        ),
        (
            "data: a\n\n\n\r\nid\ndata: b\n\n",
            "id: <3>\ndata: a\n\nid: <4>\ndata: b\n\n",
        ),
        // What is no event.
        (": c\n\n", ": c\n"),
        (": c\r\n\r\ndata: a\n\n", ": c\r\nid: <4>\ndata: a\n\n"),
        ("id: 1\n\ndata: a\n\n", "id: <4>\ndata: a\n\n"),
        (
            "\n: c\nother\n\ndata: a\n\n",
            ": c\nother\nid: <4>\ndata: a\n\n",
        ),
        ("\n\n", ""),
        ("\u{feff}", ""),
        (
            "data: a\n\n\ndata: b\nid: 1\n",
            "id: <3>\ndata: a\n\ndata: b\n",
        ),
        ("data: a\n\ndata: b", "id: <3>\ndata: a\n\ndata: b"),
        (":\n\n\n\u{feff}data: a\n\n", ":\n:\n\u{feff}data: a\n"),
        (":\n\nid: 1\n\u{feff}data: a\n\n", ":\n:\n\u{feff}data: a\n"),
        // What is no event stream.
        ("\n{\"id\":1}\n\n", "\n{\"id\":1}\n\n"),
        ("da", "da"),
    ] {
        assert_eq!(encoded(Framing::Events, body), expected, "{body:?}");
    }
}

#[test]
fn lines_and_bytes_are_as_they_came() {
    for body in ["", "{\"a\":1}\n\n{}\r\nid: 1", "data: a\n\n", "\u{feff}\n"] {
        for framing in [Framing::Lines, Framing::Bytes] {
            assert_eq!(encoded(framing, body), body);
        }
    }
}

#[test]
fn a_heartbeat_comes_only_where_a_comment_may() {
    let heartbeat = Some(Bytes::from_static(b":\n"));
    for (framing, body, expected) in [
        (Framing::Events, "", false),
        (Framing::Events, "data: a\n\n", true),
        (Framing::Events, ": c\n\n", true),
        (Framing::Events, "data: a\n\n: c\n", true),
        (Framing::Events, "data: a\n\nda", false),
        (Framing::Events, "\u{feff}", true),
        (Framing::Events, "text", false),
        (Framing::Events, "da", false),
        (Framing::Lines, "{}\n", false),
        (Framing::Bytes, "\n", false),
    ] {
        let recording = Recording::of(framing, body.as_bytes(), 1000, 1000);
        for skips in [false, true] {
            let mut encoder = FrameEncoder::new(framing);
            assert_eq!(encoder.heartbeat(), None);
            for chunk in recording.chunks() {
                if skips {
                    encoder.skip(chunk);
                } else {
                    encoder.encode(chunk, &mut BytesMut::new());
                }
            }
            assert_eq!(
                encoder.heartbeat(),
                heartbeat.clone().filter(|_| expected),
                "{body:?}"
            );
        }
    }
    let events = || FrameEncoder::new(Framing::Events);
    // The first event, and the head.
    let tagged: crate::dialect::Cursor = "3.0000000".parse().unwrap();
    let head: crate::dialect::Cursor = "2.0000000".parse().unwrap();
    assert_eq!(events().after(head.0).heartbeat(), None);
    assert_eq!(events().after(tagged.0).heartbeat(), heartbeat);
    for other in [Framing::Lines, Framing::Bytes] {
        assert_eq!(FrameEncoder::new(other).after(tagged.0).heartbeat(), None);
    }
    assert_eq!(
        events().after(Position::after(tagged.0.lsn)).heartbeat(),
        None
    );
}

#[test]
fn trailers_are_taken_once() {
    let recording = Recording::of(Framing::Lines, b"a\nb\n", 1000, 1000);
    let mut encoder = FrameEncoder::new(Framing::Lines);
    assert_eq!(encoder.take_trailers(), None);
    encoder.skip(&recording.chunks()[0]);
    assert_eq!(encoder.take_trailers().unwrap()["age"], "1");
    assert_eq!(encoder.take_trailers(), None);
    encoder.encode(&recording.chunks()[0], &mut BytesMut::new());
    assert!(encoder.take_trailers().is_some());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn an_event_source_receives_the_events_of_the_body_each_with_its_cursor(
        body in bodies::event_stream(),
        piece in 1_usize..40,
        batch in 1_usize..9,
    ) {
        let mut inner = EventSource::default();
        inner.receive(&body);
        let recording = Recording::of(Framing::Events, &body, piece, batch);
        let mut outer = EventSource::default();
        outer.receive(&recording.read(""));
        prop_assert_eq!(outer.contents(), inner.contents());
        let mut cursors = recording.cursors().into_iter();
        for event in &outer.received {
            prop_assert!(cursors.any(|cursor| cursor == event.id), "{:?}", event);
        }
        prop_assert_eq!(outer.stray_ends, 0);
    }

    #[test]
    fn an_event_source_that_is_cut_anywhere_receives_every_event_once(
        body in bodies::event_stream(),
        batch in 1_usize..9,
        keeps_id in any::<bool>(),
        second in any::<prop::sample::Index>(),
    ) {
        let mut inner = EventSource::default();
        inner.receive(&body);
        let recording = Recording::of(Framing::Events, &body, body.len(), batch);
        let whole = recording.read("");
        for cut in 0..=whole.len() {
            let mut source = EventSource { keeps_id, ..EventSource::default() };
            source.receive(&whole[..cut]);
            let rest = recording.read(&source.last_event_id);
            source.receive(&rest[..second.index(rest.len() + 1)]);
            source.receive(&recording.read(&source.last_event_id));
            prop_assert_eq!(source.contents(), inner.contents(), "cut at {}", cut);
        }
    }

    #[test]
    fn the_bytes_of_a_record_depend_on_the_record_alone(
        body in bodies::body(),
        batch in 1_usize..9,
    ) {
        let recording = Recording::of(Framing::Events, &body, 10, batch);
        let (mut together, mut apart) = (BytesMut::new(), BytesMut::new());
        let mut encoder = FrameEncoder::new(Framing::Events);
        for chunk in recording.chunks() {
            encoder.encode(chunk, &mut together);
            for record in chunk.records() {
                let alone = chunk.after(record.lsn.before()).and_then(|it| it.up_to(record.lsn));
                FrameEncoder::new(Framing::Events).encode(&alone.unwrap(), &mut apart);
            }
        }
        prop_assert_eq!(together, apart);
    }
}
