use std::{collections::HashMap, fmt, sync::Arc};

use tokio::sync::watch;

use super::{InputAnswer, InputId, InputSource, Inputs};
use crate::BoxFuture;

/// A source of answers in the memory of this process, for tests and for applications that receive
/// answers themselves.
///
/// ```
/// use unbroken::chat::{InputAnswers, InputAnswer, InputId};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let answers = InputAnswers::new();
/// let (inputs, id) = (answers.inputs(), InputId::random());
///
/// answers.submit(id.clone(), InputAnswer::decline()).unwrap();
/// assert_eq!(inputs.answer(&id).await, Some(InputAnswer::decline()));
/// assert!(answers.submit(id, InputAnswer::cancel()).is_err(), "the first answer counts");
/// # }
/// ```
#[derive(Clone)]
pub struct InputAnswers {
    // `None` marks a closed question.
    given: Arc<watch::Sender<HashMap<InputId, Option<InputAnswer>>>>,
}

/// The error of an answer that comes after the first, or after the question was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the question was answered before, or is closed; the first answer counts")]
#[non_exhaustive]
pub struct AlreadyAnswered;

impl InputAnswers {
    /// Creates a source without answers.
    pub fn new() -> Self {
        Self {
            given: Arc::new(watch::Sender::new(HashMap::new())),
        }
    }

    /// Returns the inputs at which the answers are awaited.
    pub fn inputs(&self) -> Inputs {
        Inputs::new(self.clone())
    }

    /// Submits an answer. The question may be asked later.
    ///
    /// # Errors
    ///
    /// If the question was answered before, or [closed](Inputs::close).
    pub fn submit(&self, id: InputId, answer: InputAnswer) -> Result<(), AlreadyAnswered> {
        if self.put(id, Some(answer)) {
            Ok(())
        } else {
            Err(AlreadyAnswered)
        }
    }

    /// Stores the first answer, and returns false for any other.
    fn put(&self, id: InputId, answer: Option<InputAnswer>) -> bool {
        self.given.send_if_modified(|given| {
            let vacant = !given.contains_key(&id);
            if vacant {
                given.insert(id, answer);
            }
            vacant
        })
    }
}

impl InputSource for InputAnswers {
    fn answer<'a>(&'a self, id: &'a InputId) -> BoxFuture<'a, Option<InputAnswer>> {
        let mut given = self.given.subscribe();
        Box::pin(async move {
            if let Ok(given) = given.wait_for(|given| given.contains_key(id)).await {
                return given[id].clone();
            }
            // The sender is in `self`, so it isn't gone.
            std::future::pending().await
        })
    }

    fn close<'a>(&'a self, id: &'a InputId) -> BoxFuture<'a, Option<InputAnswer>> {
        self.put(id.clone(), None);
        self.answer(id)
    }
}

impl Default for InputAnswers {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for InputAnswers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InputAnswers")
            .field("given", &self.given.borrow().len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn an_answer_reaches_waits_before_and_after_it() {
        let answers = InputAnswers::new();
        let (inputs, id) = (answers.inputs(), InputId::random());
        let yes = InputAnswer::accept(json!({"name": "Ada"}));
        let given = async {
            tokio::task::yield_now().await;
            answers.submit(id.clone(), yes.clone()).unwrap();
        };
        let (first, ()) = tokio::join!(inputs.answer(&id), given);
        assert_eq!(first.as_ref(), Some(&yes));
        assert_eq!(inputs.answer(&id).await.as_ref(), Some(&yes));
        assert_eq!(
            answers.submit(id.clone(), InputAnswer::cancel()),
            Err(AlreadyAnswered)
        );
        assert_eq!(inputs.answer(&id).await, Some(yes));
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_with_a_limit_returns_an_answer_from_before_it() {
        let answers = InputAnswers::new();
        let (inputs, early, late) = (answers.inputs(), InputId::random(), InputId::random());
        answers
            .submit(early.clone(), InputAnswer::decline())
            .unwrap();
        let second = Duration::from_secs(1);
        let answer = inputs.answer_within(&early, second).await;
        assert_eq!(answer, Some(InputAnswer::decline()));
        assert_eq!(inputs.close(&early).await, Some(InputAnswer::decline()));
        assert_eq!(inputs.answer_within(&late, second).await, None);
        let given = answers.submit(late.clone(), InputAnswer::decline());
        assert_eq!(given, Err(AlreadyAnswered));
        assert_eq!(inputs.answer(&late).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_for_its_own_question_only() {
        let answers = InputAnswers::new();
        answers
            .submit(InputId::random(), InputAnswer::decline())
            .unwrap();
        let (inputs, other) = (answers.inputs(), InputId::random());
        let waited = tokio::time::timeout(Duration::from_secs(1), inputs.answer(&other));
        assert!(waited.await.is_err());
    }

    #[test]
    fn debug_does_not_show_content() {
        let answer = InputAnswer::accept(json!("a private matter"));
        assert!(!format!("{answer:?}").contains("private"));
    }
}
