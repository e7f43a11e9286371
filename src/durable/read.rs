use super::{
    exchange::{Exchange, Served},
    refusals,
};
use crate::{
    access::Action,
    dialect::{Page, Read, ReadFrom, Refusal, ResponseData},
    log::{Chunk, Lsn, Position},
    session::{ReadError, Session},
};

/// The most bytes of records that a page has, unless its first record is larger.
const PAGE_BYTES: usize = 1024 * 1024;

impl Exchange {
    /// A session as a stream, after the client's cursor.
    pub(super) async fn read(&self, read: Read) -> Served {
        let Some(session) = self.find(&read.session, Action::Read).await? else {
            return Ok(self.answer(&ResponseData::Idle));
        };
        let after = self.position(&session, read.from).await?;
        self.reply(read.encoder)
            .after(after)
            .inclusive(read.inclusive)
            .with(&session)
            .await
    }

    /// Returns the position after which a read begins.
    async fn position(&self, session: &Session, from: ReadFrom) -> Result<Position, Refusal> {
        if let ReadFrom::After(position) = from {
            return Ok(position);
        }
        let tail = match self.config.sessions.state(session.id()).await {
            Ok(state) => state.tail,
            Err(error) => return Err(self.absent(session.id(), Action::Read, &error).await),
        };
        if tail == Lsn::ZERO {
            return Ok(Position::START);
        }
        // Read, for the tag of the epoch that wrote the last record.
        let before = Position::after(tail.before());
        let refused = |error: ReadError| refusals::read(&error, before);
        let mut reader = session.reader(before).await.map_err(refused)?;
        reader.next().await.transpose().map_err(refused)?;
        Ok(reader.position())
    }

    /// A page of a session.
    pub(super) async fn page(&self, page: Page, head_only: bool) -> Served {
        let Some(session) = self.find(&page.session, Action::Read).await? else {
            return Ok(self.answer(&ResponseData::Idle));
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
        // What the log holds by now, however far it must be fetched.
        let tail = reader.tail();
        while reader.position().lsn < tail && !records.is_full() {
            match reader.next().await {
                Some(Ok(batch)) => records.push(batch.chunk()),
                // What follows can't be read: the next page says so, this one has what is before.
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
        // Who asks for nothing of it hasn't had it.
        let had_all = records.is_empty() && reader.at_end() && page.from != ReadFrom::Now;
        if had_all {
            // The client has had it all: this is where the session learns so, if it hasn't yet.
            let _ = reader.next().await;
        }
        let next = records.chunks.last().map_or(after, |chunk| {
            Position::tagged(chunk.last(), chunk.epoch().tag())
        });
        let session = self.view(&session, reader.status(), reader.tail());
        Ok(self.answer(&ResponseData::Page {
            session,
            known: &known,
            records: &records.chunks,
            next,
            context: &page.context,
        }))
    }
}

/// A session's records up to one that it has.
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

/// The records of a page, up to its bounds.
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
