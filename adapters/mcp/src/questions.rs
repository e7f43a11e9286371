use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::{sync::watch, task::JoinSet};
use unbroken::tools::{Call, Question, Unanswered};

type Answer = Result<Value, Unanswered>;

/// The maximum number of questions of one call.
const MOST: usize = 20;

/// The questions of a call. A call that is sent again asks them again, and the user is asked once.
#[derive(Default)]
pub(crate) struct Questions {
    asked: Mutex<AskedQuestions>,
}

#[derive(Default)]
struct AskedQuestions {
    questions: Vec<AskedQuestion>,
    // They wait for the user, also when the connection is lost over which they came.
    waits: JoinSet<()>,
}

struct AskedQuestion {
    question: Question,
    answer: watch::Receiver<Option<Answer>>,
    // True if an equal question of the call that is sent now is this one.
    repeated: bool,
}

impl Questions {
    /// Prepares for a call that is sent again.
    pub(crate) fn repeat(&self) {
        for asked in &mut self.lock().questions {
            asked.repeated = true;
        }
    }

    /// Asks the user, unless the call asked so before. Returns `None` without a question if the call
    /// asked too often.
    pub(crate) async fn ask(&self, call: &Call, question: Question) -> Option<Answer> {
        let mut answer = self.begin(call, question)?;
        let given = answer.wait_for(Option::is_some).await;
        let given = given.ok().and_then(|given| given.clone());
        Some(given.unwrap_or(Err(Unanswered::Cancelled)))
    }

    fn begin(&self, call: &Call, question: Question) -> Option<watch::Receiver<Option<Answer>>> {
        let mut asked = self.lock();
        let mut questions = asked.questions.iter_mut();
        if let Some(before) = questions.find(|it| it.repeated && it.question == question) {
            before.repeated = false;
            return Some(before.answer.clone());
        }
        if asked.questions.len() >= MOST {
            return None;
        }
        let (give, answer) = watch::channel(None);
        asked.questions.push(AskedQuestion {
            question: question.clone(),
            answer: answer.clone(),
            repeated: false,
        });
        let call = call.clone();
        asked.waits.spawn(async move {
            let _ = give.send(Some(call.ask(question).await));
        });
        Some(answer)
    }

    fn lock(&self) -> MutexGuard<'_, AskedQuestions> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
