use std::{fmt, future::pending, sync::Arc, time::Duration};

use tokio::time::{Instant, timeout_at};

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
    /// Waits for the answer to the question `id` of this session; `None` if it was
    /// [closed](Self::close) instead, or if the session is over.
    ///
    /// Level-triggered: an answer that was given before the question was asked, or before the server
    /// that asks took the session over, counts too, and asking again for the same id gives the same
    /// answer. Dropping the future at any point loses nothing.
    fn answer<'a>(&'a self, id: &'a InputId) -> BoxFuture<'a, Option<InputAnswer>>;

    /// Takes no answer to the question `id` from then on: whoever brings one is told that it comes
    /// too late. Gives the answer that was taken before, if there is one.
    ///
    /// Dropping the future doesn't take it back.
    fn close<'a>(&'a self, id: &'a InputId) -> BoxFuture<'a, Option<InputAnswer>>;
}

impl Inputs {
    /// InputAnswers come from here.
    pub fn new(source: impl InputSource) -> Self {
        Self {
            source: Some(Arc::new(source)),
        }
    }

    /// Waits for the answer to the question `id`, for as long as it takes; `None` if it was
    /// [closed](Self::close) before, perhaps by a former owner of the session, or if there can be none
    /// since the session is over. Cancel-safe: whoever asks again gets the same answer.
    pub async fn answer(&self, id: &InputId) -> Option<InputAnswer> {
        match &self.source {
            Some(source) => source.answer(id).await,
            None => pending().await,
        }
    }

    /// Takes no answer to the question `id` from then on. Gives the one that was taken before, if
    /// there is one: it counts, since whoever gave it was told so. Dropping the future doesn't take
    /// it back.
    pub async fn close(&self, id: &InputId) -> Option<InputAnswer> {
        match &self.source {
            Some(source) => source.close(id).await,
            None => None,
        }
    }

    /// Waits for the answer to the question `id` for so long, and then [closes](Self::close) it:
    /// every answer that was taken counts, also one that was in the very last moment. Dropping the
    /// future before its time leaves the question open.
    ///
    /// ```
    /// use std::time::Duration;
    /// use unbroken::chat::{InputAnswers, InputAnswer, InputId};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
    /// let (answers, id) = (InputAnswers::new(), InputId::random());
    /// let waited = answers.inputs().answer_within(&id, Duration::from_secs(60)).await;
    /// assert!(waited.is_none());
    /// assert!(answers.submit(id, InputAnswer::decline()).is_err(), "too late");
    /// # }
    /// ```
    pub async fn answer_within(&self, id: &InputId, wait: Duration) -> Option<InputAnswer> {
        let Some(deadline) = Instant::now().checked_add(wait) else {
            return self.answer(id).await;
        };
        match timeout_at(deadline, self.answer(id)).await {
            Ok(answer) => answer,
            Err(_) => self.close(id).await,
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
