use super::{
    refuse,
    serve::{Exchange, Served},
};
use crate::{
    access::Action,
    dialect::{Answer, Page, Read},
    session::{Chunk, ReadError},
};

/// The most bytes of records that a page has, unless its first record is larger.
const PAGE_BYTES: usize = 1024 * 1024;

impl Exchange {
    /// A session as a stream, after the client's cursor.
    pub(super) async fn read(&self, read: Read) -> Served {
        let session = self.session(&read.id, Action::Read).await?;
        self.reply(read.encoder)
            .after(read.after)
            .with(&session)
            .await
    }

    /// A page of a session.
    pub(super) async fn page(&self, page: Page, head_only: bool) -> Served {
        let session = self.session(&page.id, Action::Read).await?;
        let refused = |error: ReadError| refuse::read(&error, page.after);
        let mut reader = session.reader(page.after).await.map_err(refused)?;
        let mut records = Records::new(page.limit);
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
        if records.is_empty() && reader.at_end() {
            // The client has had it all: this is where the session learns so, if it hasn't yet.
            let _ = reader.next().await;
        }
        let next = records.chunks.last().map_or(page.after.lsn, Chunk::last);
        let session = self.view(&session, reader.status(), reader.tail());
        Ok(self.answer(&Answer::Page {
            session,
            records: &records.chunks,
            next,
        }))
    }
}

/// The records of a page, up to its bounds.
struct Records {
    chunks: Vec<Chunk>,
    left: usize,
    bytes: usize,
}

impl Records {
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
