use bytes::BytesMut;
use proptest::{collection::vec, prelude::*, test_runner::TestRunner};
use unbroken::{
    dialect::Encoder,
    log::{Chunk, Lsn},
};

use crate::{encoders::Stream, logs};

/// The cursor from which a client resumes.
pub(crate) enum Cursor {
    /// The LSN of the client's last record. A stateful encoder sees the records up to it.
    Lsn,
    /// A cursor of the client's own, such as a count of frames. The function makes the encoder of the
    /// resumed stream from the bytes that the client has; it reads from the start.
    #[cfg_attr(
        not(any(feature = "ag-ui", feature = "ai-sdk", feature = "openai-responses")),
        expect(dead_code, reason = "no dialect counts")
    )]
    Own(fn(&[u8]) -> Box<dyn Encoder>),
}

/// Checks for every LSN of generated logs, in any chunks, that a stream cut there and resumed equals the
/// uninterrupted stream.
pub(crate) fn check(encoder: &dyn Fn() -> Box<dyn Encoder>, cursor: &Cursor) {
    check_as(encoder, cursor, text);
}

/// Checks like [`check`] and compares by `text`, for dialects whose frames depend on how records arrive.
pub(crate) fn check_as(
    encoder: &dyn Fn() -> Box<dyn Encoder>,
    cursor: &Cursor,
    text: fn(&[u8]) -> String,
) {
    let logs = (logs::log(), vec(any::<bool>(), 1..8));
    let config = ProptestConfig {
        cases: 48, // each is cut at every LSN
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let mut runner = TestRunner::new(config);
    let outcome = runner.run(&logs, |(events, cuts)| {
        let chunks = logs::chunks(&events, &cuts);
        let whole = read(encoder(), &chunks);
        let one = logs::chunks(&events, &[false]);
        prop_assert_eq!(text(&read(encoder(), &one)), text(&whole), "in one chunk");
        prop_assert_eq!(text(&shared(encoder, &chunks)), text(&whole), "shared");
        for lsn in (0..=events.len() as u64).map(Lsn::new) {
            let mut joined = prefix(encoder(), &chunks, lsn);
            let rest = match cursor {
                Cursor::Lsn => resumed(encoder(), &chunks, lsn),
                Cursor::Own(encoder) => read(encoder(&joined), &chunks),
            };
            joined.extend_from_slice(&rest);
            prop_assert_eq!(text(&joined), text(&whole), "cut after LSN {}", lsn);
        }
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

fn read(encoder: Box<dyn Encoder>, chunks: &[Chunk]) -> BytesMut {
    let mut stream = Stream::new(encoder);
    for chunk in chunks {
        stream.write(chunk);
    }
    stream.finish()
}

/// Returns the stream of a reader that encodes every other chunk itself, and takes over the bytes of
/// another reader for the rest.
fn shared(encoder: &dyn Fn() -> Box<dyn Encoder>, chunks: &[Chunk]) -> BytesMut {
    let mut reader = Stream::new(encoder());
    if !reader.is_shared() {
        return read(encoder(), chunks);
    }
    for (at, chunk) in chunks.iter().enumerate() {
        if at % 2 == 0 {
            reader.write(chunk);
        } else {
            let mut theirs = Stream::new(encoder());
            for before in &chunks[..at] {
                theirs.skip(before);
            }
            theirs.write(chunk);
            reader.take_over(chunk, &theirs.bytes());
        }
    }
    reader.finish()
}

fn prefix(encoder: Box<dyn Encoder>, chunks: &[Chunk], lsn: Lsn) -> BytesMut {
    let mut stream = Stream::new(encoder);
    for chunk in chunks.iter().filter_map(|chunk| chunk.up_to(lsn)) {
        stream.write(&chunk);
    }
    stream.bytes()
}

fn resumed(encoder: Box<dyn Encoder>, chunks: &[Chunk], lsn: Lsn) -> BytesMut {
    let mut stream = Stream::new(encoder);
    for chunk in chunks {
        if stream.is_stateful()
            && let Some(known) = chunk.up_to(lsn)
        {
            stream.skip(&known);
        }
        if let Some(rest) = chunk.after(lsn) {
            stream.write(&rest);
        }
    }
    stream.finish()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
