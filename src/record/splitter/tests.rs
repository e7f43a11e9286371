use proptest::prelude::*;

use super::bodies::{body, event_stream};
use super::*;

fn drain(splitter: &mut Splitter, found: &mut Vec<(FrameKind, String)>) -> bool {
    loop {
        match splitter.next_frame() {
            Ok(Some(frame)) => {
                let text = String::from_utf8(frame.bytes.to_vec()).unwrap();
                found.push((frame.kind, text));
            }
            Ok(None) => return true,
            Err(FrameTooLong { .. }) => return false,
        }
    }
}

/// Returns the frames of a body in chunks of one size, and true if none was too long.
fn split(
    framing: Framing,
    body: &str,
    chunk: usize,
    max: usize,
) -> (Vec<(FrameKind, String)>, bool) {
    let mut splitter = Splitter::new(framing, max);
    let mut found = Vec::new();
    for chunk in body.as_bytes().chunks(chunk) {
        splitter.push(Bytes::copy_from_slice(chunk));
        if !drain(&mut splitter, &mut found) {
            return (found, false);
        }
    }
    splitter.finish();
    let fits = drain(&mut splitter, &mut found);
    (found, fits)
}

fn assert_frames(framing: Framing, body: &str, expected: &[(FrameKind, &str)]) {
    for chunk in 1..=body.len().max(1) {
        let (found, fits) = split(framing, body, chunk, 1000);
        assert!(fits);
        let found: Vec<_> = found.iter().map(|(kind, it)| (*kind, &**it)).collect();
        assert_eq!(found, expected, "{body:?} in chunks of {chunk}");
    }
}

#[test]
fn an_event_ends_with_its_empty_line_whatever_ends_lines() {
    use FrameKind::Event;
    for (body, frames) in [
        ("data: a\n\ndata: b\n\n", ["data: a\n\n", "data: b\n\n"]),
        ("data: a\r\rdata: b\r\r", ["data: a\r\r", "data: b\r\r"]),
        (
            "data: a\r\n\r\ndata: b\r\n\r\n",
            ["data: a\r\n\r\n", "data: b\r\n\r\n"],
        ),
        // Mixed: the LF after a CR that ends an event belongs to the next frame.
        ("data: a\n\r\ndata: b\n\r", ["data: a\n\r", "\ndata: b\n\r"]),
        (
            "data: a\r\r\ndata: b\r\n\r",
            ["data: a\r\r", "\ndata: b\r\n\r"],
        ),
        (
            "data: a\r\n\ndata: b\r\n\r",
            ["data: a\r\n\n", "data: b\r\n\r"],
        ),
        ("data: a\r\n\rdata: b\n\n", ["data: a\r\n\r", "data: b\n\n"]),
        // Empty lines stand before an event, not after one.
        (
            "\n\r\ndata: a\n\n\n\ndata: b\n\n",
            ["\n\r\ndata: a\n\n", "\n\ndata: b\n\n"],
        ),
        (
            "event: x\ndata: a\ndata\n\nretry: 1\n\n",
            ["event: x\ndata: a\ndata\n\n", "retry: 1\n\n"],
        ),
        (
            ": comment\ndata: a\n\ndata: b\nother\n\n",
            [": comment\ndata: a\n\n", "data: b\nother\n\n"],
        ),
    ] {
        assert_frames(
            Framing::Events,
            body,
            &[(Event, frames[0]), (Event, frames[1])],
        );
    }
}

#[test]
fn a_cr_ends_a_frame_at_once_unless_the_line_before_ended_with_crlf() {
    for (body, ends) in [
        ("data: a\r\r", true),
        ("data: a\n\r", true),
        ("data: a\r\n\r", false),
        ("data: a\r\n\r\n", true),
    ] {
        let mut splitter = Splitter::new(Framing::Events, 100);
        splitter.push(Bytes::from_static(body.as_bytes()));
        let frame = splitter.next_frame().unwrap();
        assert_eq!(frame.is_some(), ends, "{body:?}");
        splitter.finish();
        let rest = splitter.next_frame().unwrap();
        let event = frame.or(rest).unwrap();
        assert_eq!(event.bytes, body);
        assert_eq!(event.kind, FrameKind::Event);
        assert_eq!(splitter.next_frame(), Ok(None));
    }
}

#[test]
fn an_event_tells_whether_it_has_an_id_of_its_own() {
    use FrameKind::{Event, EventWithId};
    assert_frames(
        Framing::Events,
        "data: id\n\nid: 1\ndata: a\n\ndata: b\nid\n\nidentity: 1\ndata: c\n\n",
        &[
            (Event, "data: id\n\n"),
            (EventWithId, "id: 1\ndata: a\n\n"),
            (EventWithId, "data: b\nid\n\n"),
            (Event, "identity: 1\ndata: c\n\n"),
        ],
    );
}

#[test]
fn bytes_that_are_no_event_are_told_apart() {
    use FrameKind::{Event, NoEvent};
    for (body, frames) in [
        (
            "\u{feff}data: a\n\n",
            &[(NoEvent, "\u{feff}"), (Event, "data: a\n\n")][..],
        ),
        (
            "\u{feff}\n: a\n\n",
            &[(NoEvent, "\u{feff}"), (NoEvent, "\n: a\n\n")],
        ),
        ("\u{feff}\n\n", &[(NoEvent, "\u{feff}\n\n")]),
        ("\n\n", &[(NoEvent, "\n\n")]),
        (
            ": a\n\ndata\n\n",
            &[(NoEvent, ": a\n\n"), (Event, "data\n\n")],
        ),
        (
            "id: 1\n\nother: 1\n\n",
            &[(NoEvent, "id: 1\n\n"), (NoEvent, "other: 1\n\n")],
        ),
        ("data\n\n\n", &[(Event, "data\n\n"), (NoEvent, "\n")]),
        ("data\n\r\n", &[(Event, "data\n\r"), (NoEvent, "\n")]),
        (
            "data: a\n\ndata: b\n",
            &[(Event, "data: a\n\n"), (NoEvent, "data: b\n")],
        ),
        ("data: a\n\nda", &[(Event, "data: a\n\n"), (NoEvent, "da")]),
        (
            "data: a\n\n\u{feff}data: b\n\n",
            &[(Event, "data: a\n\n"), (NoEvent, "\u{feff}data: b\n\n")],
        ),
    ] {
        assert_frames(Framing::Events, body, frames);
    }
}

#[test]
fn a_body_that_is_no_event_stream_comes_at_once_and_opaque() {
    for (body, chunks) in [
        ("Hello", &["Hello"][..]),
        ("{\"error\":1}\n", &["{\"error\":1}\n"]),
        ("<p>\n\ndata: x\n\n", &["<p>\n\ndata: x\n\n"]),
        ("data is here", &["data is here"]),
        ("data", &["data"]),
        ("\u{feff}da", &["\u{feff}da"]),
    ] {
        let expected: Vec<_> = chunks
            .iter()
            .map(|it| (FrameKind::Opaque, (*it).to_owned()))
            .collect();
        assert_eq!(split(Framing::Events, body, 100, 100), (expected, true));
        for chunk in 1..body.len() {
            let (found, fits) = split(Framing::Events, body, chunk, 100);
            assert!(fits && found.iter().all(|(kind, _)| *kind == FrameKind::Opaque));
            let together: String = found.iter().map(|(_, it)| &**it).collect();
            assert_eq!(together, body);
        }
    }
    let mut splitter = Splitter::new(Framing::Events, 100);
    for token in ["H", "el", "lo", "\n\n", "data: x\n\n"] {
        splitter.push(Bytes::from_static(token.as_bytes()));
        assert_eq!(splitter.next_frame().unwrap().unwrap().bytes, token);
        assert_eq!(splitter.next_frame(), Ok(None));
    }
}

#[test]
fn invalid_utf_8_is_framed_as_a_browser_reads_it() {
    let body = b"data: \xff\n\ndata: \xe2\x82\n\n\xc3: x\n\n";
    let mut splitter = Splitter::new(Framing::Events, 100);
    splitter.push(Bytes::from_static(body));
    for (kind, bytes) in [
        (FrameKind::Event, &body[..9]),
        (FrameKind::Event, &body[9..19]),
        (FrameKind::NoEvent, &body[19..]),
    ] {
        let bytes = Bytes::copy_from_slice(bytes);
        assert_eq!(splitter.next_frame(), Ok(Some(BodyFrame { kind, bytes })));
    }
}

#[test]
fn a_line_ends_with_lf() {
    let line = FrameKind::Line;
    let body = "{\"a\":1}\n\n\r\na\rb\nc";
    let lines = [
        (line, "{\"a\":1}\n"),
        (line, "\n"),
        (line, "\r\n"),
        (line, "a\rb\n"),
        (line, "c"),
    ];
    assert_frames(Framing::Lines, body, &lines);
    assert_frames(Framing::Lines, "a\n", &[(line, "a\n")]);
    assert_frames(Framing::Lines, "", &[]);
}

#[test]
fn opaque_bytes_are_the_chunks_split_to_the_maximum() {
    let opaque = |it: &str| (FrameKind::Opaque, it.to_owned());
    for (max, frames) in [
        (9, &["1234567", "89"][..]),
        (7, &["1234567", "89"]),
        (6, &["123456", "7", "89"]),
        (3, &["123", "456", "7", "89"]),
    ] {
        let expected = frames.iter().map(|it| opaque(it)).collect();
        assert_eq!(split(Framing::Bytes, "123456789", 7, max), (expected, true));
    }
}

#[test]
fn a_frame_has_at_most_the_maximum_of_bytes() {
    // Events and lines, with and without their end, and the LF that is one too many.
    for (framing, body, len, fits) in [
        (Framing::Events, "data: 1\n\n", 9, true),
        (Framing::Events, "data: 12\n\n", 9, false),
        (Framing::Events, "data: 123", 9, true),
        (Framing::Events, "data: 1234", 9, false),
        (Framing::Events, ": 123456\n\n", 9, false),
        (Framing::Lines, "12345678\n", 9, true),
        (Framing::Lines, "123456789\n", 9, false),
        (Framing::Lines, "123456789", 9, true),
        (Framing::Events, "data:12\r\n\r\ndata:12\r\n\r\n", 10, true),
        (
            Framing::Events,
            "data:12\r\n\r\ndata:123\r\n\r\n",
            10,
            false,
        ),
    ] {
        for chunk in 1..=body.len() {
            let (found, whole) = split(framing, body, chunk, len);
            assert_eq!(whole, fits, "{body:?} in chunks of {chunk}");
            assert!(found.iter().all(|(_, frame)| frame.len() <= len));
        }
    }
}

#[test]
fn empty_lines_between_events_may_be_many() {
    for chunk in 1..20 {
        let body = format!("data\n\n{}data: 12\n\n", "\n".repeat(25));
        let (found, fits) = split(Framing::Events, &body, chunk, 10);
        assert!(fits);
        let lens: Vec<_> = found.iter().map(|(kind, it)| (*kind, it.len())).collect();
        let (event, none) = (FrameKind::Event, FrameKind::NoEvent);
        assert_eq!(
            lens,
            [(event, 6), (none, 10), (none, 10), (none, 5), (event, 10)]
        );
    }
}

#[test]
fn a_body_that_never_shows_what_it_is_is_opaque() {
    for chunk in 1..20 {
        let body = "\n".repeat(25);
        let (found, fits) = split(Framing::Events, &body, chunk, 10);
        assert!(fits);
        assert!(found.iter().all(|(kind, _)| *kind == FrameKind::Opaque));
        let (found, _) = split(Framing::Events, &body, chunk, 25);
        assert_eq!(found, [(FrameKind::NoEvent, body)]);
    }
}

#[test]
fn a_frame_in_one_chunk_is_not_copied() {
    for (framing, body) in [
        (Framing::Events, "data: a\n\n: b\n\ndata: c\r\n\r\n"),
        (Framing::Lines, "a\nb\nc\n"),
        (Framing::Bytes, "abc"),
    ] {
        let chunk = Bytes::copy_from_slice(body.as_bytes());
        let mut at = chunk.as_ptr();
        let mut splitter = Splitter::new(framing, 100);
        splitter.push(chunk.clone());
        while let Some(frame) = splitter.next_frame().unwrap() {
            assert_eq!(frame.bytes.as_ptr(), at);
            at = at.wrapping_add(frame.bytes.len());
        }
        assert_eq!(at, chunk.as_ptr_range().end);
    }
}

#[test]
fn a_frame_in_chunks_of_one_byte_is_scanned_once() {
    const LEN: usize = 1 << 20;
    // Scanned anew with each byte, this would take hours.
    for (framing, body) in [
        (Framing::Events, format!("data: {}\n\n", "x".repeat(LEN))),
        (Framing::Events, "data: x\n".repeat(LEN / 8) + "\n"),
        (Framing::Events, "\n".repeat(LEN) + "data: x\n\n"),
        (Framing::Lines, "x".repeat(LEN) + "\n"),
    ] {
        let (found, fits) = split(framing, &body, 1, 2 * LEN);
        assert!(fits);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].1, body);
    }
}

/// Returns the frames of a body in chunks that end at these places, and true if none was too long.
fn split_at(framing: Framing, body: &[u8], ends: &[usize], max: usize) -> (Vec<BodyFrame>, bool) {
    let mut ends: Vec<_> = ends.iter().map(|end| end % (body.len() + 1)).collect();
    ends.push(body.len());
    ends.sort_unstable();
    let (mut splitter, mut frames, mut from) = (Splitter::new(framing, max), Vec::new(), 0);
    for end in ends {
        splitter.push(Bytes::copy_from_slice(&body[from..end]));
        from = end;
        loop {
            match splitter.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(FrameTooLong { .. }) => return (frames, false),
            }
        }
    }
    splitter.finish();
    while let Some(frame) = splitter.next_frame().expect("there are no more bytes") {
        frames.push(frame);
    }
    (frames, true)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn frames_are_the_body_and_depend_on_the_body_alone(
        body in prop_oneof![body(), event_stream()],
        framing in prop::sample::select(vec![Framing::Events, Framing::Lines, Framing::Bytes]),
        ends in prop::collection::vec(0_usize..1000, 0..20),
        max in prop::sample::select(vec![12, 50, 200, 10_000]),
    ) {
        let (frames, fits) = split_at(framing, &body, &ends, max);
        let together: Vec<u8> = frames.iter().flat_map(|it| it.bytes.to_vec()).collect();
        if fits {
            prop_assert_eq!(&together, &body);
        } else {
            prop_assert!(body.starts_with(&together) && body.len() > together.len() + max);
        }
        prop_assert!(frames.iter().all(|it| (1..=max).contains(&it.bytes.len())));
        let (whole, whole_fits) = split_at(framing, &body, &[], max);
        prop_assert_eq!(fits, whole_fits);
        let opaque = |it: &BodyFrame| it.kind == FrameKind::Opaque;
        if whole.iter().any(opaque) {
            prop_assert!(frames.iter().all(opaque));
        } else {
            prop_assert_eq!(frames, whole);
        }
    }
}
