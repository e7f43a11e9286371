//! Folds runs of text and of thinking into few events, and leaves out pieces of arguments, for readers
//! that are far behind.

use bytes::{BufMut, Bytes, BytesMut};

use super::{Encoder, Progress, SessionView};
use crate::chat::{TEXT_END, TextKind, has_kind, text_content};
use crate::log::{Chunk, ChunkBuilder, Epoch, Lsn};

/// The maximum size of a folded event, in bytes; a session's limit on events may lower it. A larger
/// one would delay the client's first event and save little.
pub(super) const MAX_BYTES: usize = 32 * 1024;

/// Writes folded events until its reader has caught up, then leaves records to the inner encoder.
///
/// The bytes also depend on how records arrive, so they are not shared with other readers. The
/// transcript is that of the log.
#[derive(Debug)]
pub(super) struct CompactingEncoder {
    encoder: Box<dyn Encoder>,
    runs: RunFolder,
    caught_up: bool,
}

impl CompactingEncoder {
    pub(super) fn new(encoder: Box<dyn Encoder>) -> Self {
        Self {
            encoder,
            runs: RunFolder::new(MAX_BYTES),
            caught_up: false,
        }
    }

    fn flush(&mut self, out: &mut BytesMut) {
        let encoder = &mut self.encoder;
        self.runs.end(&mut |records| encoder.encode(records, out));
    }
}

#[deny(clippy::missing_trait_methods)]
impl Encoder for CompactingEncoder {
    fn content_type(&self) -> &'static str {
        self.encoder.content_type()
    }

    fn preamble(&mut self, session: &SessionView<'_>, out: &mut BytesMut) {
        self.runs.max_bytes = session.event_bytes.min(MAX_BYTES);
        self.encoder.preamble(session, out);
    }

    fn is_stateful(&self) -> bool {
        self.encoder.is_stateful()
    }

    fn skip(&mut self, records: &Chunk) {
        self.encoder.skip(records);
    }

    fn encode(&mut self, records: &Chunk, out: &mut BytesMut) {
        let encoder = &mut self.encoder;
        if self.caught_up {
            encoder.encode(records, out);
        } else {
            self.runs
                .add(records, &mut |records| encoder.encode(records, out));
        }
    }

    fn shared_key(&self) -> Option<&'static str> {
        self.encoder.shared_key().filter(|_| self.caught_up)
    }

    fn heartbeat(&self) -> Option<Bytes> {
        self.encoder.heartbeat()
    }

    fn unavailable(&mut self, out: &mut BytesMut) {
        self.flush(out);
        self.encoder.unavailable(out);
    }

    fn trailer(&mut self, out: &mut BytesMut) {
        self.flush(out);
        self.encoder.trailer(out);
    }

    fn progress(&mut self, progress: &Progress, out: &mut BytesMut) {
        self.flush(out);
        self.caught_up |= progress.caught_up;
        self.encoder.progress(progress, out);
    }

    fn may_pause(&self) -> bool {
        self.encoder.may_pause()
    }

    fn lifetime(&self) -> Option<std::time::Duration> {
        self.encoder.lifetime()
    }
}

/// Folds runs of text and of thinking into single records, and leaves out pieces of arguments, which
/// the calls repeat.
///
/// A folded record has the LSN of the last record of its run, so a client that has it resumes after
/// the run.
#[derive(Debug)]
pub(super) struct RunFolder {
    max_bytes: usize,
    run: Option<PendingRun>,
    builder: ChunkBuilder,
}

/// Returns true for the record that ends the arguments of a call which doesn't come. A client may have their
/// beginning.
fn ends_input(record: &[u8]) -> bool {
    record.ends_with(br#""cut":true}"#)
}

#[derive(Debug)]
struct PendingRun {
    kind: TextKind,
    // The record so far, without its `TEXT_END`.
    record: BytesMut,
    last: Lsn,
    epoch: Epoch,
}

impl RunFolder {
    /// Creates a folder whose records have at most `max_bytes` bytes.
    pub(super) fn new(max_bytes: usize) -> Self {
        Self {
            max_bytes,
            run: None,
            builder: ChunkBuilder::new(),
        }
    }

    /// Adds records, and emits those that are complete.
    pub(super) fn add(&mut self, records: &Chunk, emit: &mut impl FnMut(&Chunk)) {
        // Records after this LSN that aren't folded are emitted as they are.
        let mut emitted = records.first().before();
        for record in records.records() {
            let before = record.lsn.before();
            if has_kind(record.bytes, "tool_input") && !ends_input(record.bytes) {
                if emitted < before {
                    emit_between(records, emitted, before, emit);
                }
                emitted = record.lsn;
                // The run goes on after it.
                if let Some(run) = &mut self.run
                    && (run.last, run.epoch) == (before, record.epoch)
                {
                    run.last = record.lsn;
                }
                continue;
            }
            let Some((kind, json)) = text_content(record.bytes) else {
                self.end(emit);
                continue;
            };
            if emitted < before {
                emit_between(records, emitted, before, emit);
            }
            emitted = record.lsn;
            let content = &json[1..json.len() - 1];
            match &mut self.run {
                Some(run)
                    if run.kind == kind
                        && run.epoch == record.epoch
                        && run.last == before
                        && run.record.len() + content.len() + TEXT_END.len() <= self.max_bytes =>
                {
                    run.record.put_slice(content);
                    run.last = record.lsn;
                }
                _ => {
                    self.end(emit);
                    let open = record.bytes.len() - TEXT_END.len();
                    self.run = Some(PendingRun {
                        kind,
                        record: record.bytes[..open].into(),
                        last: record.lsn,
                        epoch: record.epoch,
                    });
                }
            }
        }
        emit_between(records, emitted, records.last(), emit);
    }

    /// Emits the pending run.
    pub(super) fn end(&mut self, emit: &mut impl FnMut(&Chunk)) {
        let Some(run) = self.run.take() else {
            return;
        };
        let buffer = self.builder.buffer();
        buffer.put_slice(&run.record);
        buffer.put_slice(TEXT_END);
        self.builder.end_record();
        if let Some(record) = self.builder.take(run.last, run.epoch) {
            emit(&record);
        }
    }
}

fn emit_between(records: &Chunk, after: Lsn, up_to: Lsn, emit: &mut impl FnMut(&Chunk)) {
    let between = records.after(after).and_then(|rest| rest.up_to(up_to));
    if let Some(between) = between {
        emit(&between);
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::{
        chat::{ChatEvent, ToolInput},
        dialect::{Dialect, Intent, Native, Route, transcript},
        log::{Position, SessionId, Status},
    };

    fn chunk(first: u64, counter: u64, events: &[ChatEvent]) -> Chunk {
        let mut batch = ChunkBuilder::new();
        for event in events {
            batch.push(&event.to_json());
        }
        batch
            .take(Lsn::new(first), Epoch { counter, bits: 7 })
            .unwrap()
    }

    fn folded(chunks: &[Chunk], most: usize) -> Vec<Chunk> {
        let (mut runs, mut given) = (RunFolder::new(most), Vec::new());
        for chunk in chunks {
            runs.add(chunk, &mut |records| given.push(records.clone()));
        }
        runs.end(&mut |records| given.push(records.clone()));
        given
    }

    fn records(chunks: &[Chunk]) -> Vec<(u64, String)> {
        let records = chunks.iter().flat_map(Chunk::records);
        records
            .map(|it| (it.lsn.get(), String::from_utf8_lossy(it.bytes).into_owned()))
            .collect()
    }

    #[test]
    fn a_run_is_one_event_at_the_lsn_of_its_last_part() {
        let chunks = [
            chunk(1, 1, &[ChatEvent::thinking("a"), ChatEvent::thinking("b")]),
            chunk(3, 1, &[ChatEvent::thinking("c"), ChatEvent::text("d\n")]),
            chunk(5, 1, &[ChatEvent::text("e"), ChatEvent::complete()]),
        ];
        assert_eq!(
            records(&folded(&chunks, 1000))[..2],
            [
                (3, r#"{"type":"thinking","content":"abc"}"#.to_owned()),
                (5, r#"{"type":"text","content":"d\ne"}"#.to_owned()),
            ]
        );
        assert_eq!(folded(&chunks, 1000)[2].last(), Lsn::new(6));
    }

    #[test]
    fn records_between_runs_are_unchanged() {
        let events = [
            ChatEvent::custom("a", 1.into()),
            ChatEvent::custom("b", 2.into()),
            ChatEvent::text("c"),
            ChatEvent::custom("d", 3.into()),
            ChatEvent::text("e"),
        ];
        let chunks = [chunk(1, 1, &events)];
        assert_eq!(records(&folded(&chunks, 1000)), records(&chunks));
    }

    #[test]
    fn pieces_of_arguments_are_left_out_and_end_no_run() {
        let input = |delta: &str| {
            let event = serde_json::json!({"type": "tool_input", "id": "a", "delta": delta});
            serde_json::from_value::<ChatEvent>(event).unwrap()
        };
        let events = [
            input("{"),
            ChatEvent::text("a"),
            input("}"),
            ChatEvent::text("b"),
            ChatEvent::custom("c", 1.into()),
            input(""),
            ChatEvent::custom("d", 1.into()),
        ];
        let whole = [chunk(1, 1, &events)];
        let apart: Vec<_> = (1..)
            .zip(&events)
            .map(|(at, event)| chunk(at, 1, std::slice::from_ref(event)))
            .collect();
        for chunks in [&whole[..], &apart] {
            let folded = records(&folded(chunks, 1000));
            let lsns: Vec<_> = folded.iter().map(|(lsn, _)| *lsn).collect();
            assert_eq!(lsns, [4, 5, 7]);
            assert_eq!(folded[0].1, r#"{"type":"text","content":"ab"}"#);
        }
    }

    #[test]
    fn the_end_of_arguments_whose_call_never_comes_is_kept() {
        let piece = serde_json::json!({"type": "tool_input", "id": "a", "delta": r#""cut":true}"#});
        let events = [
            serde_json::from_value(piece).unwrap(),
            ChatEvent::text("a"),
            ToolInput::cut("a").into(),
        ];
        let folded = records(&folded(&[chunk(1, 1, &events)], 1000));
        let lsns: Vec<_> = folded.iter().map(|(lsn, _)| *lsn).collect();
        assert_eq!(lsns, [2, 3]);
    }

    #[test]
    fn a_run_ends_with_its_epoch_and_where_an_event_would_be_too_large() {
        let chunks = [
            chunk(1, 1, &[ChatEvent::text("a")]),
            chunk(2, 2, &[ChatEvent::text("b")]),
        ];
        assert_eq!(folded(&chunks, 1000).len(), 2);
        let one = ChatEvent::text("aaaa").to_json().len();
        let many = vec![ChatEvent::text("aaaa"); 10];
        let two = folded(&[chunk(1, 1, &many)], one + 4);
        assert_eq!(two.len(), 5);
        assert!(two.iter().all(|it| it.bytes() <= one + 4));
        // Records above the bound are left as they are.
        assert_eq!(folded(&[chunk(1, 1, &many)], 1).len(), 10);
    }

    #[test]
    fn a_pending_run_is_written_at_every_pause_and_end() {
        let id: SessionId = "0123456789abcdefghjkmnpqrs".parse().unwrap();
        let view = SessionView::new(&id, Status::Streaming, Lsn::ZERO);
        let uri = format!("/{id}?replay=compact");
        let said = |end: fn(&mut dyn Encoder, &mut BytesMut)| {
            let mut out = BytesMut::new();
            let (head, ()) = http::Request::get(&uri).body(()).unwrap().into_parts();
            let Ok(Route::Known(Intent::Read(read))) = Native::new().route(&head) else {
                panic!("{uri} is read");
            };
            let mut compact = read.encoder;
            compact.preamble(&view, &mut out);
            compact.encode(&chunk(1, 1, &[ChatEvent::text("a")]), &mut out);
            assert!(out.is_empty());
            end(&mut *compact, &mut out);
            String::from_utf8_lossy(&out).matches("\"lsn\":1,").count()
        };
        assert_eq!(said(Encoder::trailer), 1);
        assert_eq!(said(Encoder::unavailable), 1);
        assert_eq!(
            said(|it, out| it.progress(&Progress::new(Position::START), out)),
            1
        );
    }

    proptest! {
        #[test]
        fn folding_does_not_change_the_transcript(
            kinds in vec((0..4u8, "(\\PC|[\"\\\\\n\u{7}]){0,5}"), 1..40),
            cuts in vec(any::<bool>(), 1..8),
            most in 30..200usize,
        ) {
            let events = kinds.iter().map(|(kind, said)| match kind {
                0 => ChatEvent::thinking(said),
                1 => ChatEvent::tool_result("a", "b", said),
                _ => ChatEvent::text(said),
            });
            let events: Vec<_> = events.collect();
            let (mut chunks, mut from) = (Vec::new(), 0);
            for at in 0..events.len() {
                if at + 1 == events.len() || cuts[at % cuts.len()] {
                    chunks.push(chunk(from as u64 + 1, 1, &events[from..=at]));
                    from = at + 1;
                }
            }
            let given = folded(&chunks, most);
            prop_assert_eq!(transcript(&given), transcript(&chunks));
            let lsns: Vec<_> = records(&given).into_iter().map(|(lsn, _)| lsn).collect();
            prop_assert!(lsns.is_sorted_by(|a, b| a < b));
            prop_assert_eq!(lsns.last(), Some(&(events.len() as u64)));
        }
    }
}
