use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use genai::chat::{ChatFrameSink, FrameCtx, RawFrameRef};
use unbroken::chat::Liveness;

/// A frame of a server: an event of its stream.
#[derive(Debug)]
pub(crate) struct ServerFrame {
    pub(crate) name: Option<String>,
    pub(crate) data: String,
}

/// The frames that genai has read and that aren't decoded yet.
///
/// genai hands a frame over while its stream is polled, so no more are kept than one poll reads.
#[derive(Clone)]
pub(crate) struct Frames {
    liveness: Liveness,
    heard: Arc<Mutex<HeardFrames>>,
}

#[derive(Debug, Default)]
struct HeardFrames {
    queue: VecDeque<ServerFrame>,
    has_data: bool,
    // True after something without data: a comment, or a line of another form than a stream has.
    has_other: bool,
}

impl Frames {
    pub(crate) fn new(liveness: Liveness) -> Self {
        Self {
            liveness,
            heard: Arc::default(),
        }
    }

    /// Takes the frames, in order.
    pub(crate) fn take(&self) -> VecDeque<ServerFrame> {
        std::mem::take(&mut self.heard().queue)
    }

    /// Returns true if something came and none of it was the data of an event.
    pub(crate) fn are_no_stream(&self) -> bool {
        let heard = self.heard();
        heard.has_other && !heard.has_data
    }

    fn heard(&self) -> MutexGuard<'_, HeardFrames> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ChatFrameSink for Frames {
    fn on_frame(&self, _: &FrameCtx, frame: RawFrameRef<'_>) {
        self.liveness.heard();
        let mut heard = self.heard();
        if frame.data.is_empty() && frame.event != Some("error") {
            heard.has_other = true;
            return;
        }
        heard.has_data = true;
        heard.queue.push_back(ServerFrame {
            name: frame.event.map(str::to_owned),
            data: frame.data.to_owned(),
        });
    }
}
