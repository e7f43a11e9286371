use super::{
    caller::Caller,
    full_log::ReadUntil,
    lookup::Lookup,
    question_wait, refusals,
    responder::{Responder, Served},
};
use crate::{
    access::Action,
    dialect::{FullLog, Page, Read, ReadFrom, Refusal, ResponseData},
    log::{Chunk, Lsn, Position},
    session::{ReadError, Session},
};

/// The most bytes of records in a page, unless its first record is larger.
const PAGE_BYTES: usize = 1024 * 1024;

/// A request to read a session: as a stream, a page, or its full log.
#[derive(Clone, Copy)]
pub(super) struct ReadRequest<'a> {
    caller: &'a Caller,
    responder: &'a Responder,
}

impl<'a> ReadRequest<'a> {
    pub(super) const fn new(caller: &'a Caller, responder: &'a Responder) -> Self {
        Self { caller, responder }
    }

    /// Streams a session from the client's cursor on.
    pub(super) async fn stream(self, read: Read) -> Served {
        let lookup = Lookup::new(self.caller);
        let lookup = lookup.ended_within(read.ended_within);
        let found = lookup.find(&read.session, Action::Read).await?;
        let found = match &read.wait {
            Some(wait) => question_wait::run(self.caller, found, wait).await?,
            None => found,
        };
        let Some(session) = found else {
            return Ok(self.responder.document(&ResponseData::Idle));
        };
        let after = self.position(&session, read.from).await?;
        self.responder
            .stream(read.encoder)
            .after(after)
            .inclusive(read.inclusive)
            .respond(&session)
            .await
    }

    /// Responds with the full log of a session.
    pub(super) async fn full_log(self, log: FullLog) -> Served {
        let lookup = Lookup::new(self.caller);
        let Some(session) = lookup.find(&log.session, Action::Read).await? else {
            return Ok(self.responder.document(&ResponseData::Idle));
        };
        let until = if log.wait_for_end {
            ReadUntil::End
        } else {
            ReadUntil::Current
        };
        self.responder.full_log(&session, until, false).await
    }

    /// Returns the position after which a read begins: the client's cursor, or the last record in the
    /// store.
    async fn position(self, session: &Session, from: ReadFrom) -> Result<Position, Refusal> {
        if let ReadFrom::After(position) = from {
            return Ok(position);
        }
        let tail = match self.caller.sessions().state(session.id()).await {
            Ok(state) => state.tail,
            Err(error) => {
                let absent = self.caller.absent(session.id(), Action::Read, &error);
                return Err(absent.await);
            }
        };
        if tail == Lsn::ZERO {
            return Ok(Position::START);
        }
        // The last record is read for the tag of the epoch that wrote it.
        let before = Position::after(tail.before());
        let refused = |error: ReadError| refusals::read(&error, before);
        let mut reader = session.reader(before).await.map_err(refused)?;
        reader.next().await.transpose().map_err(refused)?;
        Ok(reader.position())
    }

    /// Responds with a page of a session. `head_only` never waits for the first event.
    pub(super) async fn page(self, page: Page, head_only: bool) -> Served {
        let lookup = Lookup::new(self.caller).ended_within(page.ended_within);
        let Some(session) = lookup.find(&page.session, Action::Read).await? else {
            return Ok(self.responder.document(&ResponseData::Idle));
        };
        let after = self.position(&session, page.from).await?;
        let refused = |error: ReadError| refusals::read(&error, after);
        let mut reader = session.reader(after).await.map_err(refused)?;
        let known = if page.include_known {
            up_to(&session, after.lsn).await.map_err(refused)?
        } else {
            Vec::new()
        };
        let mut records = PageRecords::new(page.limit);
        // Up to the tail of this moment, also where that has to be fetched from the store.
        let tail = reader.tail();
        while reader.position().lsn < tail && !records.is_full() {
            match reader.next().await {
                Some(Ok(batch)) => records.push(batch.chunk()),
                // This page holds what precedes the unreadable record; the next page is refused.
                Some(Err(_)) if !records.is_empty() => break,
                Some(Err(error)) => return Err(refused(error)),
                None => break,
            }
        }
        if records.is_empty() && !reader.at_end() && !head_only && !page.wait.is_zero() {
            let first = tokio::time::timeout(page.wait, reader.next()).await;
            if let Ok(Some(batch)) = first {
                records.push(batch.map_err(refused)?.chunk());
            }
        }
        let has_everything = records.is_empty() && reader.at_end() && page.from != ReadFrom::Now;
        if has_everything {
            // Reading past the end records that the terminal event was delivered.
            let _ = reader.next().await;
        }
        let next = records.chunks.last().map_or(after, |chunk| {
            Position::tagged(chunk.last(), chunk.epoch().tag())
        });
        let view = self
            .responder
            .view(&session, reader.status(), reader.tail());
        Ok(self.responder.document(&ResponseData::Page {
            session: view,
            known: &known,
            records: &records.chunks,
            next,
            context: &page.context,
        }))
    }
}

/// Reads the records of a session up to `lsn`.
async fn up_to(session: &Session, lsn: Lsn) -> Result<Vec<Chunk>, ReadError> {
    let mut records = Vec::new();
    if lsn == Lsn::ZERO {
        return Ok(records);
    }
    let mut reader = session.reader(Position::START).await?;
    while reader.position().lsn < lsn {
        let Some(batch) = reader.next().await else {
            break;
        };
        records.extend(batch?.chunk().up_to(lsn));
    }
    Ok(records)
}

/// The records of a page, within its limits of count and bytes.
struct PageRecords {
    chunks: Vec<Chunk>,
    left: usize,
    bytes: usize,
}

impl PageRecords {
    fn new(limit: usize) -> Self {
        Self {
            chunks: Vec::new(),
            left: limit,
            bytes: 0,
        }
    }

    fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    fn is_full(&self) -> bool {
        self.left == 0 || self.bytes >= PAGE_BYTES
    }

    fn push(&mut self, chunk: &Chunk) {
        if self.is_full() {
            return;
        }
        let last = chunk.first().plus(self.left as u64).before();
        if let Some(chunk) = chunk.head(PAGE_BYTES - self.bytes).up_to(last) {
            self.left -= chunk.len();
            self.bytes += chunk.bytes();
            self.chunks.push(chunk);
        }
    }
}
