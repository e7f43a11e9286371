use bytes::BytesMut;
use http::{Request, header::ACCEPT};
use unbroken::{
    dialect::{Dialect, Encoder, Intent, Progress, Route, SessionView},
    log::{Chunk, Lsn, Position, SessionId, Status},
};

/// Returns the encoder of a dialect for a read of a session.
pub(crate) fn reading(dialect: &dyn Dialect, uri: &str, accept: &str) -> Box<dyn Encoder> {
    let request = Request::get(uri).header(ACCEPT, accept).body(());
    let (head, ()) = request.unwrap().into_parts();
    match dialect.route(&head) {
        Ok(Route::Known(Intent::Read(read))) => read.encoder,
        other => panic!("{uri} is not read as a stream: {other:?}"),
    }
}

/// A stream that is being written.
pub(crate) struct Stream {
    encoder: Box<dyn Encoder>,
    out: BytesMut,
}

impl Stream {
    pub(crate) fn new(mut encoder: Box<dyn Encoder>) -> Self {
        let id: SessionId = crate::ID.parse().unwrap();
        let view = SessionView::new(&id, Status::Streaming, Lsn::ZERO);
        // Every connection has a preamble, so it is not compared.
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

    /// Writes a frame with these records.
    pub(crate) fn write(&mut self, chunk: &Chunk) {
        self.encoder.encode(chunk, &mut self.out);
        let at = Position::tagged(chunk.last(), chunk.epoch().tag());
        self.encoder.progress(&Progress::new(at), &mut self.out);
    }

    /// Takes over the bytes that the encoder of another reader wrote for these records.
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
