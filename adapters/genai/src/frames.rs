use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
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
    // `None` if frames are only signs of life.
    queue: Option<Arc<Mutex<VecDeque<ServerFrame>>>>,
}

impl Frames {
    pub(crate) fn new(liveness: Liveness, keeps: bool) -> Self {
        Self {
            liveness,
            queue: keeps.then(Arc::default),
        }
    }

    /// Takes the frames, in order.
    pub(crate) fn take(&self) -> VecDeque<ServerFrame> {
        match &self.queue {
            Some(queue) => {
                let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
                std::mem::take(&mut *queue)
            }
            None => VecDeque::new(),
        }
    }
}

impl ChatFrameSink for Frames {
    fn on_frame(&self, _: &FrameCtx, frame: RawFrameRef<'_>) {
        self.liveness.heard();
        if let Some(queue) = &self.queue
            && !frame.data.is_empty()
        {
            let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
            queue.push_back(ServerFrame {
                name: frame.event.map(str::to_owned),
                data: frame.data.to_owned(),
            });
        }
    }
}
