use std::{fmt, future::pending, sync::Arc};

use super::{InputAnswer, InputId};
use crate::BoxFuture;

/// Where answers to questions come from: [`ChatRequest::inputs`](field@crate::chat::ChatRequest::inputs).
///
/// Cheap to clone. The default never answers; a question there waits until whoever asked gives up.
#[derive(Clone, Default)]
pub struct Inputs {
    source: Option<Arc<dyn InputSource>>,
}

/// What gives the answers: kept by whoever takes them in.
pub trait InputSource: Send + Sync + 'static {
    /// Waits for the answer to the question `id` of this session.
    ///
    /// Level-triggered: an answer that was given before the question was asked, or before the server
    /// that asks took the session over, counts too, and asking again for the same id gives the same
    /// answer. Dropping the future at any point loses nothing.
    fn answer<'a>(&'a self, id: &'a InputId) -> BoxFuture<'a, InputAnswer>;
}

impl Inputs {
    /// Answers come from here.
    pub fn new(source: impl InputSource) -> Self {
        Self {
            source: Some(Arc::new(source)),
        }
    }

    /// Waits for the answer to the question `id`, for as long as it takes. Cancel-safe: whoever asks
    /// again gets the same answer.
    pub async fn answer(&self, id: &InputId) -> InputAnswer {
        match &self.source {
            Some(source) => source.answer(id).await,
            None => pending().await,
        }
    }
}

impl fmt::Debug for Inputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inputs")
            .field("answers", &self.source.is_some())
            .finish()
    }
}
