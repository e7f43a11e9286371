use std::{fmt, future::pending, sync::Arc, time::Duration};

use tokio::time::{Instant, timeout_at};

use super::{InputAnswer, InputId};
use crate::BoxFuture;

/// A handle to the answers of a session's questions:
/// [`ChatRequest::inputs`](field@crate::chat::ChatRequest::inputs).
///
/// Cheap to clone. The default has no source: a wait there ends only when it is dropped or its time
/// is over.
#[derive(Clone, Default)]
pub struct Inputs {
    source: Option<Arc<dyn InputSource>>,
}

/// A source of answers, implemented by the layer that receives them.
pub trait InputSource: Send + Sync + 'static {
    /// Waits for the answer to the question `id` of this session. Returns `None` if the question
    /// was [closed](Self::close), or if the session is over.
    ///
    /// Level-triggered: an answer from before the question was asked, or from before this server
    /// took the session over, counts too. Waiting again for the same id returns the same answer.
    /// Cancel-safe: dropping the future loses nothing.
    fn answer<'a>(&'a self, id: &'a InputId) -> BoxFuture<'a, Option<InputAnswer>>;

    /// Closes the question `id`: later answers are refused. Returns the answer from before, if
    /// there is one.
    ///
    /// Dropping the future doesn't reopen the question.
    fn close<'a>(&'a self, id: &'a InputId) -> BoxFuture<'a, Option<InputAnswer>>;
}

impl Inputs {
    /// Creates inputs with this source.
    pub fn new(source: impl InputSource) -> Self {
        Self {
            source: Some(Arc::new(source)),
        }
    }

    /// Waits for the answer to the question `id` without a limit of time. Returns `None` if the
    /// question was [closed](Self::close), perhaps by a former owner of the session, or if the
    /// session is over.
    ///
    /// Cancel-safe: waiting again returns the same answer.
    pub async fn answer(&self, id: &InputId) -> Option<InputAnswer> {
        match &self.source {
            Some(source) => source.answer(id).await,
            None => pending().await,
        }
    }

    /// Closes the question `id`: later answers are refused. Returns the answer from before, if
    /// there is one; it counts, since its client was told so.
    ///
    /// Dropping the future doesn't reopen the question.
    pub async fn close(&self, id: &InputId) -> Option<InputAnswer> {
        match &self.source {
            Some(source) => source.close(id).await,
            None => None,
        }
    }

    /// Waits for the answer to the question `id` for at most `wait`, then [closes](Self::close) the
    /// question. An answer from the last moment still counts.
    ///
    /// Dropping the future before that leaves the question open.
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
