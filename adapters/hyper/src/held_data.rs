use std::io::IoSlice;

use bytes::Buf;

use crate::response_buffer::ResponseStream;

/// The data of a frame, which counts in its connection's buffer until it is dropped.
#[derive(Debug)]
pub(crate) struct HeldData<D> {
    data: D,
    held: Option<HeldBytes>,
}

#[derive(Debug)]
struct HeldBytes {
    stream: ResponseStream,
    bytes: usize,
}

impl<D: Buf> HeldData<D> {
    /// Creates data that counts for `stream`, if it is one of HTTP/2, which must have been
    /// [settled](ResponseStream::settle).
    pub(crate) fn new(data: D, stream: Option<&ResponseStream>) -> Self {
        let bytes = data.remaining();
        let held = stream.cloned().map(|stream| HeldBytes { stream, bytes });
        Self { data, held }
    }
}

impl<D: Buf> Buf for HeldData<D> {
    fn remaining(&self) -> usize {
        self.data.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.data.chunk()
    }

    fn chunks_vectored<'a>(&'a self, to: &mut [IoSlice<'a>]) -> usize {
        self.data.chunks_vectored(to)
    }

    fn advance(&mut self, count: usize) {
        self.data.advance(count);
        if let Some(held) = &self.held {
            held.stream.progress();
        }
    }
}

impl Drop for HeldBytes {
    fn drop(&mut self) {
        self.stream.release(self.bytes);
    }
}
