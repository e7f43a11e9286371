use crate::store::{
    fixture::{CreatedSession, LEASE, StoreFixture},
    report::{CaseStop, ensure, ensure_eq, ensure_matches},
};
use unbroken::store::{
    AfterAppend, AnswerOutcome, DeleteMode, Seen, SessionState, StoreError, StoredAnswer, Token,
};

/// Answers, and how the session stands then.
async fn stored(
    bed: &StoreFixture,
    made: &CreatedSession,
    name: &str,
    content: &str,
) -> Result<SessionState, CaseStop> {
    match bed.answer(&made.id, answer(name, content)).await? {
        AnswerOutcome::Stored(state) => Ok(state),
        AnswerOutcome::Taken => Err(CaseStop::Failed(format!("{name} was taken"))),
    }
}

fn answer(name: &str, content: &str) -> StoredAnswer {
    StoredAnswer::new(name, content.to_owned())
}

/// What is answered, but for the first so many.
async fn after(
    bed: &StoreFixture,
    made: &CreatedSession,
    count: usize,
) -> Result<Vec<(String, String)>, CaseStop> {
    let text = |answer: StoredAnswer| {
        let content = String::from_utf8_lossy(answer.encoded()).into_owned();
        (answer.name.to_string(), content)
    };
    let answers = bed.answers(&made.id, count).await?;
    Ok(answers.into_iter().map(text).collect())
}

fn texts(answers: &[(&str, &str)]) -> Vec<(String, String)> {
    let own = |(name, content): &(&str, &str)| ((*name).to_owned(), (*content).to_owned());
    answers.iter().map(own).collect()
}

pub(in crate::store) async fn an_answer_is_stored_for_the_owner(
    bed: StoreFixture,
) -> Result<(), CaseStop> {
    let made = bed.with_abc().await?;
    ensure_eq!(bed.now(&made.id).await?.answers, 0, "answers before");
    ensure_eq!(after(&bed, &made, 0).await?, texts(&[]), "answers before");
    let state = stored(&bed, &made, "a name", "yes\u{0}\n").await?;
    ensure_eq!(state.answers, 1, "answers told");
    ensure!(state.abort.is_none(), "an answer is no abort");
    ensure_eq!(bed.now(&made.id).await?.answers, 1, "answers");
    // Nothing of the log changes, and it goes on.
    bed.push(&made, 4, &["d"], AfterAppend::Streaming).await?;
    ensure_eq!(
        bed.texts(&made.id, 0).await?,
        ["a", "b", "c", "d"],
        "records"
    );
    let is = after(&bed, &made, 0).await?;
    ensure_eq!(is, texts(&[("a name", "yes\u{0}\n")]), "answers");
    Ok(())
}

pub(in crate::store) async fn answers_come_in_order_after_those_that_are_known(
    bed: StoreFixture,
) -> Result<(), CaseStop> {
    let made = bed.made().await?;
    let all = [("z", "1"), ("a", ""), ("m", "3"), ("0", "4")];
    for (name, content) in all {
        stored(&bed, &made, name, content).await?;
    }
    for known in 0..=all.len() {
        let is = after(&bed, &made, known).await?;
        ensure_eq!(is, texts(&all[known..]), "answers");
    }
    ensure_eq!(after(&bed, &made, 9).await?, texts(&[]), "beyond the last");
    Ok(())
}

pub(in crate::store) async fn the_first_answer_stays(bed: StoreFixture) -> Result<(), CaseStop> {
    let made = bed.made().await?;
    stored(&bed, &made, "a", "first").await?;
    let second = bed.answer(&made.id, answer("a", "second")).await?;
    ensure_matches!(second, AnswerOutcome::Taken, "another answer");
    stored(&bed, &made, "b", "second").await?;
    let is = after(&bed, &made, 0).await?;
    ensure_eq!(is, texts(&[("a", "first"), ("b", "second")]), "answers");
    ensure_eq!(bed.now(&made.id).await?.answers, 2, "answers");
    Ok(())
}

pub(in crate::store) async fn the_same_answer_again_is_stored_once(
    bed: StoreFixture,
) -> Result<(), CaseStop> {
    let made = bed.made().await?;
    for _ in 0..3 {
        let state = stored(&bed, &made, "a", "yes").await?;
        ensure_eq!(state.answers, 1, "answers told");
    }
    ensure_eq!(
        after(&bed, &made, 0).await?,
        texts(&[("a", "yes")]),
        "answers"
    );
    Ok(())
}

pub(in crate::store) async fn racing_answers_have_one_winner(
    bed: StoreFixture,
) -> Result<(), CaseStop> {
    let made = bed.made().await?;
    let race = (0..8).map(|at: u32| {
        let (bed, id) = (bed.clone(), made.id.clone());
        tokio::spawn(async move { bed.answer(&id, answer("a", &at.to_string())).await })
    });
    let race: Vec<_> = race.collect();
    let mut won = Vec::new();
    for (task, at) in race.into_iter().zip(0..) {
        let failed = |panic: tokio::task::JoinError| CaseStop::Failed(panic.to_string());
        if let AnswerOutcome::Stored(_) = task.await.map_err(failed)?? {
            won.push(at.to_string());
        }
    }
    let [winner] = &won[..] else {
        return Err(CaseStop::Failed(format!("{won:?} won, not one of them")));
    };
    let is = after(&bed, &made, 0).await?;
    ensure_eq!(is, texts(&[("a", winner)]), "answers");
    ensure_eq!(bed.now(&made.id).await?.answers, 1, "answers");
    Ok(())
}

pub(in crate::store) async fn a_session_takes_so_many_answers_and_no_more(
    bed: StoreFixture,
) -> Result<(), CaseStop> {
    let made = bed.made().await?;
    for at in 0..StoredAnswer::MAX_COUNT {
        stored(&bed, &made, &at.to_string(), "").await?;
    }
    let more = bed.answer(&made.id, answer("one more", "")).await;
    ensure_matches!(more, Err(StoreError::Full), "one more");
    // A repetition comes before that.
    let state = stored(&bed, &made, "0", "").await?;
    ensure_eq!(state.answers as usize, StoredAnswer::MAX_COUNT, "answers");
    let other = bed.answer(&made.id, answer("0", "other")).await?;
    ensure_matches!(other, AnswerOutcome::Taken, "another one");
    Ok(())
}

pub(in crate::store) async fn a_session_takes_so_many_bytes_of_answers_and_no_more(
    bed: StoreFixture,
) -> Result<(), CaseStop> {
    let made = bed.made().await?;
    let most = "x".repeat(StoredAnswer::MAX_BYTES - 3);
    let over = bed
        .answer(&made.id, answer("abc", &format!("{most}x")))
        .await;
    ensure_matches!(over, Err(StoreError::Full), "a byte too many");
    let half = most.len() / 2;
    stored(&bed, &made, "a", &most[..half]).await?;
    let over = bed
        .answer(&made.id, answer("bc", &format!("{}x", &most[half..])))
        .await;
    ensure_matches!(
        over,
        Err(StoreError::Full),
        "a byte too many beside another"
    );
    stored(&bed, &made, "bc", &most[half..]).await?;
    let is = after(&bed, &made, 1).await?;
    ensure_eq!(is, texts(&[("bc", &most[half..])]), "answers");
    let long = "n".repeat(StoredAnswer::MAX_NAME + 1);
    let other = bed.made().await?;
    let named = bed.answer(&other.id, answer(&long, "")).await;
    ensure_matches!(named, Err(StoreError::Full), "too long a name");
    stored(&bed, &other, &long[1..], "").await?;
    Ok(())
}

pub(in crate::store) async fn an_answer_outlives_its_owner(
    bed: StoreFixture,
) -> Result<(), CaseStop> {
    let made = bed.with_abc().await?;
    stored(&bed, &made, "before", "1").await?;
    bed.pass(LEASE + 1).await;
    stored(&bed, &made, "without an owner", "2").await?;
    let claimed = bed.claim(&made.id, made.epoch, Token::random()).await?;
    ensure_eq!(claimed.state.answers, 2, "what the claimant sees");
    let is = after(&bed, &made, 0).await?;
    let all = [("before", "1"), ("without an owner", "2")];
    ensure_eq!(is, texts(&all), "answers");
    Ok(())
}

pub(in crate::store) async fn answers_go_with_the_seal(bed: StoreFixture) -> Result<(), CaseStop> {
    let made = bed.with_abc().await?;
    stored(&bed, &made, "a", "yes").await?;
    bed.push(&made, 4, &["d"], bed.seal(100)).await?;
    ensure_eq!(bed.now(&made.id).await?.answers, 0, "answers");
    ensure_eq!(after(&bed, &made, 0).await?, texts(&[]), "answers");
    for (name, content) in [("a", "yes"), ("a", "no"), ("b", "")] {
        let late = bed.answer(&made.id, answer(name, content)).await;
        ensure_matches!(late, Err(StoreError::Sealed), "a late answer");
    }
    ensure_eq!(bed.now(&made.id).await?.answers, 0, "answers");
    Ok(())
}

pub(in crate::store) async fn a_new_session_has_no_answers_of_the_former(
    bed: StoreFixture,
) -> Result<(), CaseStop> {
    let mut what = bed.what();
    what.tombstone = bed.steps(1);
    let made = bed.made_from(what.clone()).await?;
    stored(&bed, &made, "a", "yes").await?;
    bed.delete(&made.id, DeleteMode::Now).await?;
    bed.pass(2).await;
    what.token = Token::random();
    bed.create(&made.id, what).await?;
    ensure_eq!(bed.now(&made.id).await?.answers, 0, "answers");
    ensure_eq!(after(&bed, &made, 0).await?, texts(&[]), "answers");
    stored(&bed, &made, "a", "no").await?;
    Ok(())
}

pub(in crate::store) async fn an_answer_wakes_the_owner(bed: StoreFixture) -> Result<(), CaseStop> {
    for owner in [true, false] {
        let made = bed.with_abc().await?;
        let mut seen = bed.now(&made.id).await?.version();
        for (name, count) in [("a", 1), ("b", 2)] {
            let version = if owner {
                Seen::Owner(seen)
            } else {
                Seen::Reader(seen)
            };
            let waiter = bed.waiter(&made.id, version).await;
            stored(&bed, &made, name, "yes").await?;
            let state = waiter.told("an answer").await??;
            ensure_eq!(state.answers, count, "answers");
            seen = state.version();
        }
    }
    Ok(())
}
