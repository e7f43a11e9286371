use std::borrow::Cow;

use unbroken::{
    log::SessionId,
    store::{AnswerOutcome, StoreError, StoredAnswer},
};

use crate::{
    Redis,
    codec::{decode_answer, decode_state},
    reply::DecodeError,
};

/// Stores and reads the answers of a session.
impl Redis {
    pub(crate) async fn answer_now(
        &self,
        id: &SessionId,
        answer: StoredAnswer,
    ) -> Result<AnswerOutcome, StoreError> {
        let keys = &self.inner.keys;
        let scripts = &self.inner.scripts;
        // An answer that can never fit isn't sent. The script still checks the other errors first.
        let max_count = if answer.fits(0, 0) {
            StoredAnswer::MAX_COUNT
        } else {
            0
        };
        let content = if max_count == 0 {
            Cow::Borrowed(&[][..])
        } else {
            answer.encoded()
        };
        let call = scripts
            .answer
            .on([keys.session(id), keys.tombstone(id), keys.answers(id)])
            .arg(answer.name.as_bytes())
            .arg(&content[..])
            .arg(max_count)
            .arg(StoredAnswer::MAX_BYTES)
            .arg(keys.records(id))
            .arg(keys.turns(id));
        let (word, mut reply) = self.call(call).await?;
        match word.as_str() {
            "ok" => Ok(AnswerOutcome::Stored(decode_state(reply.inner()?)?)),
            "taken" => Ok(AnswerOutcome::Taken),
            _ => Err(DecodeError.into()),
        }
    }

    pub(crate) async fn answers_now(
        &self,
        id: &SessionId,
        after: usize,
    ) -> Result<Vec<StoredAnswer>, StoreError> {
        let keys = &self.inner.keys;
        let scripts = &self.inner.scripts;
        let call = scripts
            .answers
            .on([keys.session(id), keys.tombstone(id), keys.answers(id)]);
        let mut all = self.call_ok(call).await?.inner()?;
        let mut answers = Vec::new();
        while !all.is_empty() {
            answers.push(decode_answer(&all.text()?, &all.bytes()?)?);
        }
        answers.sort_unstable_by_key(|(place, _)| *place);
        let answers = answers.into_iter().skip(after);
        Ok(answers.map(|(_, answer)| answer).collect())
    }
}
