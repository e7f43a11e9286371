use unbroken::{
    log::SessionId,
    store::{AnswerOutcome, Store, StoreError, StoreExt, StoredAnswer},
};

use super::{BrokenStore, ContractRule};

impl<S: Store> BrokenStore<S> {
    pub(super) async fn answer_broken(
        &self,
        id: &SessionId,
        answer: StoredAnswer,
    ) -> Result<AnswerOutcome, StoreError> {
        match self.broken() {
            Some(ContractRule::AnswerStored) => {
                let state = self.inner().state(id).await?;
                return match state.status.outcome() {
                    Some(_) => Err(StoreError::Sealed),
                    None => Ok(AnswerOutcome::Stored(state)),
                };
            }
            Some(ContractRule::AnswerAgain) => {
                let stored = self.inner().answers(id, 0).await?;
                if stored.iter().any(|it| it.name == answer.name) {
                    return Ok(AnswerOutcome::Taken);
                }
            }
            _ => {}
        }
        let outcome = self.inner().answer(id, answer.clone()).await;
        match (self.broken(), outcome) {
            (Some(ContractRule::AnswerFirst), Ok(_)) => self.overlay(id, |overlay| {
                overlay.replaced.insert(answer.name, answer.content);
            }),
            (Some(ContractRule::AnswerUnsealed), Err(StoreError::Sealed))
            | (Some(ContractRule::AnswerFits), Err(StoreError::Full)) => {
                self.overlay(id, |overlay| overlay.answers.push(answer));
            }
            (_, Ok(AnswerOutcome::Taken)) => return Ok(AnswerOutcome::Taken),
            (_, outcome) => {
                outcome?;
            }
        }
        let state = self.inner().state(id).await?;
        Ok(AnswerOutcome::Stored(self.shown(id, state)))
    }

    pub(super) async fn answers_broken(
        &self,
        id: &SessionId,
        after: usize,
    ) -> Result<Vec<StoredAnswer>, StoreError> {
        let mut answers = self.inner().answers(id, 0).await?;
        self.overlay(id, |overlay| {
            answers.extend(overlay.answers.iter().cloned());
            for answer in &mut answers {
                if let Some(content) = overlay.replaced.get(&answer.name) {
                    answer.content = content.clone();
                }
            }
        });
        let known = if self.breaks(ContractRule::AnswersAfter) {
            0
        } else {
            after
        };
        Ok(answers.into_iter().skip(known).collect())
    }
}
