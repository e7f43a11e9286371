//! Frames: each holds a part of one session, with a checksum over all of it.
//!
//! `crc32c | length of the rest | kind | number of the session | …`

use std::{sync::Arc, time::Duration};

use bytes::{Buf, BufMut, Bytes};
use unbroken::{
    log::{ChatId, Chunk, ChunkBuilder, Digest, Epoch, Lsn, Owner, SessionId},
    store::{
        SessionMeta, StoredAnswer, Tombstone,
        machine::{AnswerLog, SessionMachine},
    },
};

use crate::location::Extent;

/// The content of a frame.
#[derive(Debug)]
pub(crate) enum Frame<'a> {
    /// The whole session without its records.
    Base(SessionFrame<'a>),
    /// The state of the session.
    State(RawState<'a>),
    /// Records, and the state of the session after them.
    Append(RawRecords<'a>, RawState<'a>),
    /// Records that were written before, merged into one frame.
    Run(RawRecords<'a>),
    /// An answer.
    Answer(StoredAnswer),
    /// The tombstone of the session, in place of all its other frames.
    Tombstone(TombstoneFrame),
}

/// The content of a tombstone frame.
#[derive(Debug, Clone)]
pub(crate) struct TombstoneFrame {
    pub(crate) id: SessionId,
    pub(crate) tombstone: Tombstone,
    /// The time at which the tombstone ends.
    pub(crate) until: Duration,
}

/// The content of a base frame.
#[derive(Debug)]
pub(crate) struct SessionFrame<'a> {
    pub(crate) id: SessionId,
    pub(crate) meta: Arc<SessionMeta>,
    pub(crate) request: &'a [u8],
    pub(crate) answers: AnswerLog,
    pub(crate) machine: RawState<'a>,
}

/// An encoded state.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RawState<'a>(&'a [u8]);

/// Encoded records.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RawRecords<'a> {
    pub(crate) first: Lsn,
    pub(crate) epoch: Epoch,
    pub(crate) count: u32,
    lens: &'a [u8],
    data: &'a [u8],
}

const BASE: u8 = 1;
const STATE: u8 = 2;
const APPEND: u8 = 3;
const RUN: u8 = 4;
const ANSWER: u8 = 5;
const TOMBSTONE: u8 = 6;
/// A base whose session has an outbox, for the time after the meta.
const BASE_WITH_OUTBOX: u8 = 7;

const CHECKSUM: usize = 4;
const LENGTH: usize = 4;
/// The shortest frame: checksum, length, kind and number.
pub(crate) const SHORTEST: usize = CHECKSUM + LENGTH + 1 + 8;

impl RawState<'_> {
    pub(crate) fn machine(self, meta: Arc<SessionMeta>) -> Option<SessionMachine> {
        let mut from = self.0;
        let machine = SessionMachine::decode(&mut from, meta).ok()?;
        from.is_empty().then_some(machine)
    }
}

impl RawRecords<'_> {
    pub(crate) fn bytes(&self) -> usize {
        self.data.len()
    }

    pub(crate) fn chunk(&self) -> Option<Chunk> {
        let mut all = ChunkBuilder::new();
        all.buffer().reserve(self.data.len());
        let (mut lens, mut data) = (self.lens, self.data);
        while lens.has_remaining() {
            let (record, rest) = data.split_at_checked(lens.get_u32_le() as usize)?;
            all.push(record);
            data = rest;
        }
        all.take(self.first, self.epoch).filter(|_| data.is_empty())
    }
}

/// Returns the length of the frame at the beginning of `from`, if its length field is plausible.
pub(crate) fn length(from: &[u8]) -> Option<usize> {
    let mut from = from.get(CHECKSUM..)?;
    let len = CHECKSUM + LENGTH + usize::try_from(from.try_get_u32_le().ok()?).ok()?;
    (len >= SHORTEST).then_some(len)
}

/// Reads the frame at the beginning of `from` and the number of its session, if the frame is whole and
/// its checksum matches.
pub(crate) fn read(from: &[u8]) -> Option<(u64, Frame<'_>)> {
    let whole = from.get(..length(from)?)?;
    let (mut checksum, sealed) = whole.split_at(CHECKSUM);
    if checksum.get_u32_le() != crc32c::crc32c(sealed) {
        return None;
    }
    let mut from = &sealed[LENGTH..];
    let kind = from.get_u8();
    let number = from.get_u64_le();
    let frame = match kind {
        BASE | BASE_WITH_OUTBOX => {
            let id = string(&mut from)?.parse().ok()?;
            let mut meta = meta(&mut from)?;
            if kind == BASE_WITH_OUTBOX {
                meta.outbox = Some(span(&mut from)?);
            }
            let meta = Arc::new(meta);
            let request = bytes(&mut from)?;
            let answers = answers(&mut from)?;
            let machine = RawState(from);
            Frame::Base(SessionFrame {
                id,
                meta,
                request,
                answers,
                machine,
            })
        }
        STATE => Frame::State(RawState(from)),
        APPEND => Frame::Append(records(&mut from)?, RawState(from)),
        RUN => Frame::Run(records(&mut from).filter(|_| from.is_empty())?),
        ANSWER => Frame::Answer(answer(&mut from).filter(|_| from.is_empty())?),
        TOMBSTONE => Frame::Tombstone(tombstone(&mut from).filter(|_| from.is_empty())?),
        _ => return None,
    };
    Some((number, frame))
}

/// Reads the request of this session from its base, if the frame is one.
pub(crate) fn read_request(frame: &[u8], number: u64) -> Option<Bytes> {
    match read(frame)? {
        (owner, Frame::Base(base)) if owner == number => Some(Bytes::copy_from_slice(base.request)),
        _ => None,
    }
}

/// Reads the records of an extent of this session from its frame, if the frame has them.
pub(crate) fn read_extent(frame: &[u8], number: u64, extent: &Extent) -> Option<Chunk> {
    let (owner, frame) = read(frame)?;
    let (Frame::Append(records, _) | Frame::Run(records)) = frame else {
        return None;
    };
    let matches = owner == number && records.first == extent.first && records.count == extent.count;
    records
        .chunk()
        .filter(|chunk| matches && chunk.last() == extent.last())
}

/// Appends a frame to `to`, and returns its length.
pub(crate) fn write(to: &mut Vec<u8>, number: u64, body: &FrameBody<'_>) -> u32 {
    let start = to.len();
    to.put_bytes(0, CHECKSUM + LENGTH);
    to.put_u8(match body {
        FrameBody::Base { meta, .. } if meta.outbox.is_some() => BASE_WITH_OUTBOX,
        FrameBody::Base { .. } => BASE,
        FrameBody::State(_) => STATE,
        FrameBody::Append(..) => APPEND,
        FrameBody::Run(_) => RUN,
        FrameBody::Answer(_) => ANSWER,
        FrameBody::Tombstone(_) => TOMBSTONE,
    });
    to.put_u64_le(number);
    match body {
        FrameBody::Base {
            id,
            meta,
            request,
            machine,
        } => {
            put_bytes(to, id.as_str().as_bytes());
            put_meta(to, meta);
            if let Some(outbox) = meta.outbox {
                put_span(to, outbox);
            }
            put_bytes(to, request);
            put_answers(to, machine.answers());
            machine.encode(to);
        }
        FrameBody::State(machine) => machine.encode(to),
        FrameBody::Append(chunk, machine) => {
            put_records(to, std::slice::from_ref(chunk));
            machine.encode(to);
        }
        FrameBody::Run(chunks) => put_records(to, chunks),
        FrameBody::Answer(answer) => put_answer(to, answer),
        FrameBody::Tombstone(left) => put_tombstone(to, left),
    }
    let len = as_u32(to.len() - start);
    let body = len - as_u32(CHECKSUM + LENGTH);
    to[start + CHECKSUM..][..LENGTH].copy_from_slice(&body.to_le_bytes());
    let checksum = crc32c::crc32c(&to[start + CHECKSUM..]);
    to[start..][..CHECKSUM].copy_from_slice(&checksum.to_le_bytes());
    len
}

/// The content of a frame to write.
pub(crate) enum FrameBody<'a> {
    Base {
        id: &'a SessionId,
        meta: &'a SessionMeta,
        request: &'a Bytes,
        machine: &'a SessionMachine,
    },
    State(&'a SessionMachine),
    Append(&'a Chunk, &'a SessionMachine),
    /// Chunks that follow one another in one epoch.
    Run(&'a [Chunk]),
    Answer(&'a StoredAnswer),
    Tombstone(&'a TombstoneFrame),
}

fn put_records(to: &mut Vec<u8>, chunks: &[Chunk]) {
    let first = &chunks[0];
    to.put_u64_le(first.first().get());
    to.put_u64_le(first.epoch().counter);
    to.put_u64_le(first.epoch().bits);
    let (mut count, mut bytes) = (0, 0);
    for chunk in chunks {
        count += chunk.len();
        bytes += chunk.bytes();
    }
    to.put_u32_le(as_u32(count));
    to.put_u32_le(as_u32(bytes));
    for record in chunks.iter().flat_map(Chunk::records) {
        to.put_u32_le(as_u32(record.bytes.len()));
    }
    for record in chunks.iter().flat_map(Chunk::records) {
        to.put_slice(record.bytes);
    }
}

fn records<'a>(from: &mut &'a [u8]) -> Option<RawRecords<'a>> {
    let first = Lsn::new(from.try_get_u64_le().ok()?);
    let epoch = Epoch {
        counter: from.try_get_u64_le().ok()?,
        bits: from.try_get_u64_le().ok()?,
    };
    let count = from.try_get_u32_le().ok()?;
    let bytes = from.try_get_u32_le().ok()?;
    let lens = take(from, usize::try_from(count).ok()?.checked_mul(4)?)?;
    let data = take(from, usize::try_from(bytes).ok()?)?;
    (count > 0).then_some(RawRecords {
        first,
        epoch,
        count,
        lens,
        data,
    })
}

fn put_answers(to: &mut Vec<u8>, answers: &AnswerLog) {
    to.put_u32_le(as_u32(answers.as_slice().len()));
    for answer in answers.as_slice() {
        put_answer(to, answer);
    }
}

fn answers(from: &mut &[u8]) -> Option<AnswerLog> {
    let mut answers = AnswerLog::default();
    for _ in 0..from.try_get_u32_le().ok()? {
        answers.push(answer(from)?);
    }
    Some(answers)
}

fn put_answer(to: &mut Vec<u8>, answer: &StoredAnswer) {
    put_bytes(to, answer.name.as_bytes());
    put_bytes(to, &answer.encoded());
}

fn answer(from: &mut &[u8]) -> Option<StoredAnswer> {
    let name = string(from)?;
    Some(StoredAnswer::decode(
        name,
        Bytes::copy_from_slice(bytes(from)?),
    ))
}

fn put_tombstone(to: &mut Vec<u8>, left: &TombstoneFrame) {
    put_bytes(to, left.id.as_str().as_bytes());
    put_name(to, left.tombstone.owner.as_ref().map(Owner::as_str));
    to.put_slice(&left.tombstone.digest.0);
    to.put_u64_le(u64::try_from(left.until.as_nanos()).unwrap_or(u64::MAX));
}

fn tombstone(from: &mut &[u8]) -> Option<TombstoneFrame> {
    Some(TombstoneFrame {
        id: string(from)?.parse().ok()?,
        tombstone: Tombstone {
            owner: name(from).ok()?,
            digest: Digest(take(from, 32)?.try_into().ok()?),
        },
        until: Duration::from_nanos(from.try_get_u64_le().ok()?),
    })
}

fn put_meta(to: &mut Vec<u8>, meta: &SessionMeta) {
    put_name(to, meta.owner.as_ref().map(Owner::as_str));
    put_name(to, meta.chat.as_ref().map(ChatId::as_str));
    put_bytes(to, meta.service.as_str().as_bytes());
    to.put_slice(&meta.digest.0);
    to.put_u16_le(meta.format);
}

/// Reads all but the outbox.
fn meta(from: &mut &[u8]) -> Option<SessionMeta> {
    Some(SessionMeta {
        owner: name(from).ok()?,
        chat: name(from).ok()?,
        service: string(from)?.try_into().ok()?,
        digest: Digest(take(from, 32)?.try_into().ok()?),
        format: from.try_get_u16_le().ok()?,
        outbox: None,
    })
}

fn put_span(to: &mut Vec<u8>, span: Duration) {
    to.put_u64_le(span.as_secs());
    to.put_u32_le(span.subsec_nanos());
}

fn span(from: &mut &[u8]) -> Option<Duration> {
    let seconds = from.try_get_u64_le().ok()?;
    let nanos = from.try_get_u32_le().ok()?;
    (nanos < 1_000_000_000).then(|| Duration::new(seconds, nanos))
}

fn put_name(to: &mut Vec<u8>, name: Option<&str>) {
    to.put_u8(u8::from(name.is_some()));
    put_bytes(to, name.unwrap_or_default().as_bytes());
}

/// Reads what `put_name` wrote; `Err` if the bytes are something else.
fn name<T: for<'a> TryFrom<&'a str>>(from: &mut &[u8]) -> Result<Option<T>, ()> {
    let is = from.try_get_u8().map_err(drop)? == 1;
    let name = string(from).ok_or(())?;
    is.then(|| name.try_into()).transpose().map_err(drop)
}

fn string<'a>(from: &mut &'a [u8]) -> Option<&'a str> {
    std::str::from_utf8(bytes(from)?).ok()
}

fn put_bytes(to: &mut Vec<u8>, bytes: &[u8]) {
    to.put_u32_le(as_u32(bytes.len()));
    to.put_slice(bytes);
}

fn bytes<'a>(from: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = from.try_get_u32_le().ok()?;
    take(from, usize::try_from(len).ok()?)
}

fn take<'a>(from: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, rest) = from.split_at_checked(len)?;
    *from = rest;
    Some(taken)
}

fn as_u32(len: usize) -> u32 {
    u32::try_from(len).expect("a frame has less than 4 GiB")
}
