use bytes::BytesMut;
use http::{Request, header::ACCEPT};
use unbroken::{
    dialect::{Dialect, Encoder, Intent, Progress, Route, SessionView},
    log::{Chunk, Lsn, Position, SessionId, Status},
};

/// The encoder that a dialect gives to who reads a session.
pub(crate) fn reading(dialect: &dyn Dialect, uri: &str, accept: &str) -> Box<dyn Encoder> {
    let request = Request::get(uri).header(ACCEPT, accept).body(());
    let (head, ()) = request.unwrap().into_parts();
    match dialect.route(&head) {
        Ok(Route::Known(Intent::Read(read))) => read.encoder,
        other => panic!("{uri} is not read as a stream: {other:?}"),
    }
}

/// A stream under way.
pub(crate) struct Stream {
    encoder: Box<dyn Encoder>,
    out: BytesMut,
}

impl Stream {
    pub(crate) fn new(mut encoder: Box<dyn Encoder>) -> Self {
        let id: SessionId = crate::ID.parse().unwrap();
        let view = SessionView::new(&id, Status::Streaming, Lsn::ZERO);
        // What stands before everything else comes with each connection.
        encoder.preamble(&view, &mut BytesMut::new());
        Self {
            encoder,
            out: BytesMut::new(),
        }
    }

    pub(crate) fn is_stateful(&self) -> bool {
        self.encoder.is_stateful()
    }

    pub(crate) fn is_shared(&self) -> bool {
        self.encoder.shared_key().is_some()
    }

    pub(crate) fn skip(&mut self, chunk: &Chunk) {
        self.encoder.skip(chunk);
    }

    /// Writes a frame of it.
    pub(crate) fn write(&mut self, chunk: &Chunk) {
        self.encoder.encode(chunk, &mut self.out);
        let at = Position::tagged(chunk.last(), chunk.epoch().tag());
        self.encoder.progress(&Progress::new(at), &mut self.out);
    }

    /// What another reader's encoder wrote for all of them.
    pub(crate) fn take_over(&mut self, chunk: &Chunk, bytes: &[u8]) {
        self.encoder.skip(chunk);
        self.out.extend_from_slice(bytes);
    }

    pub(crate) fn finish(mut self) -> BytesMut {
        self.encoder.trailer(&mut self.out);
        self.out
    }

    pub(crate) fn bytes(self) -> BytesMut {
        self.out
    }
}
