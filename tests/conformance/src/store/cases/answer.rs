use crate::store::{
    fixture::{CreatedSession, LEASE, StoreFixture},
    report::{CaseResult, CaseStop, ensure, ensure_eq, ensure_matches},
};
use unbroken::store::{
    AfterAppend, AnswerOutcome, DeleteMode, Seen, SessionState, StoreError, StoredAnswer, Token,
};

/// Stores an answer and returns the state after it.
async fn store_answer(
    store: &StoreFixture,
    session: &CreatedSession,
    name: &str,
    content: &str,
) -> Result<SessionState, CaseStop> {
    match store.answer(&session.id, answer(name, content)).await? {
        AnswerOutcome::Stored(state) => Ok(state),
        AnswerOutcome::Taken => Err(CaseStop::Failed(format!("{name} was taken"))),
    }
}

fn answer(name: &str, content: &str) -> StoredAnswer {
    StoredAnswer::decode(name, content.to_owned())
}

/// Returns the answers without the given number of first ones.
async fn answers_after(
    store: &StoreFixture,
    session: &CreatedSession,
    count: usize,
) -> Result<Vec<(String, String)>, CaseStop> {
    let text = |answer: StoredAnswer| {
        let content = String::from_utf8_lossy(&answer.encoded()).into_owned();
        (answer.name.to_string(), content)
    };
    let answers = store.answers(&session.id, count).await?;
    Ok(answers.into_iter().map(text).collect())
}

fn texts(answers: &[(&str, &str)]) -> Vec<(String, String)> {
    let own = |(name, content): &(&str, &str)| ((*name).to_owned(), (*content).to_owned());
    answers.iter().map(own).collect()
}

pub(crate) async fn an_answer_is_stored_for_the_owner(store: StoreFixture) -> CaseResult {
    let session = store.with_abc().await?;
    ensure_eq!(store.state(&session.id).await?.answers, 0, "answers before");
    ensure_eq!(
        answers_after(&store, &session, 0).await?,
        texts(&[]),
        "answers before"
    );
    let state = store_answer(&store, &session, "a name", "yes\u{0}\n").await?;
    ensure_eq!(state.answers, 1, "number of answers");
    ensure!(state.abort.is_none(), "an answer is no abort");
    ensure_eq!(store.state(&session.id).await?.answers, 1, "answers");
    // The log is unchanged and takes further records.
    store
        .push(&session, 4, &["d"], AfterAppend::Streaming)
        .await?;
    ensure_eq!(
        store.texts(&session.id, 0).await?,
        ["a", "b", "c", "d"],
        "records"
    );
    let is = answers_after(&store, &session, 0).await?;
    ensure_eq!(is, texts(&[("a name", "yes\u{0}\n")]), "answers");
    Ok(())
}

pub(crate) async fn answers_come_in_order_after_a_count(store: StoreFixture) -> CaseResult {
    let session = store.created().await?;
    let all = [("z", "1"), ("a", ""), ("m", "3"), ("0", "4")];
    for (name, content) in all {
        store_answer(&store, &session, name, content).await?;
    }
    for known in 0..=all.len() {
        let is = answers_after(&store, &session, known).await?;
        ensure_eq!(is, texts(&all[known..]), "answers");
    }
    ensure_eq!(
        answers_after(&store, &session, 9).await?,
        texts(&[]),
        "beyond the last"
    );
    Ok(())
}

pub(crate) async fn the_first_answer_stays(store: StoreFixture) -> CaseResult {
    let session = store.created().await?;
    store_answer(&store, &session, "a", "first").await?;
    let second = store.answer(&session.id, answer("a", "second")).await?;
    ensure_matches!(second, AnswerOutcome::Taken, "another answer");
    store_answer(&store, &session, "b", "second").await?;
    let is = answers_after(&store, &session, 0).await?;
    ensure_eq!(is, texts(&[("a", "first"), ("b", "second")]), "answers");
    ensure_eq!(store.state(&session.id).await?.answers, 2, "answers");
    Ok(())
}

pub(crate) async fn a_repeated_answer_is_stored_once(store: StoreFixture) -> CaseResult {
    let session = store.created().await?;
    for _ in 0..3 {
        let state = store_answer(&store, &session, "a", "yes").await?;
        ensure_eq!(state.answers, 1, "number of answers");
    }
    ensure_eq!(
        answers_after(&store, &session, 0).await?,
        texts(&[("a", "yes")]),
        "answers"
    );
    Ok(())
}

pub(crate) async fn racing_answers_have_one_winner(store: StoreFixture) -> CaseResult {
    let session = store.created().await?;
    let race = (0..8).map(|at: u32| {
        let (store, id) = (store.clone(), session.id.clone());
        tokio::spawn(async move { store.answer(&id, answer("a", &at.to_string())).await })
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
    let is = answers_after(&store, &session, 0).await?;
    ensure_eq!(is, texts(&[("a", winner)]), "answers");
    ensure_eq!(store.state(&session.id).await?.answers, 1, "answers");
    Ok(())
}

pub(crate) async fn answers_are_limited_by_count(store: StoreFixture) -> CaseResult {
    let session = store.created().await?;
    for at in 0..StoredAnswer::MAX_COUNT {
        store_answer(&store, &session, &at.to_string(), "").await?;
    }
    let more = store.answer(&session.id, answer("one more", "")).await;
    ensure_matches!(more, Err(StoreError::Full), "one more");
    // A repetition takes precedence over the limit.
    let state = store_answer(&store, &session, "0", "").await?;
    ensure_eq!(state.answers as usize, StoredAnswer::MAX_COUNT, "answers");
    let other = store.answer(&session.id, answer("0", "other")).await?;
    ensure_matches!(other, AnswerOutcome::Taken, "another one");
    Ok(())
}

pub(crate) async fn answers_are_limited_by_bytes(store: StoreFixture) -> CaseResult {
    let session = store.created().await?;
    let most = "x".repeat(StoredAnswer::MAX_BYTES - 3);
    let over = store
        .answer(&session.id, answer("abc", &format!("{most}x")))
        .await;
    ensure_matches!(over, Err(StoreError::Full), "a byte too many");
    let half = most.len() / 2;
    store_answer(&store, &session, "a", &most[..half]).await?;
    let over = store
        .answer(&session.id, answer("bc", &format!("{}x", &most[half..])))
        .await;
    ensure_matches!(
        over,
        Err(StoreError::Full),
        "a byte too many beside another"
    );
    store_answer(&store, &session, "bc", &most[half..]).await?;
    let is = answers_after(&store, &session, 1).await?;
    ensure_eq!(is, texts(&[("bc", &most[half..])]), "answers");
    let long = "n".repeat(StoredAnswer::MAX_NAME + 1);
    let other = store.created().await?;
    let named = store.answer(&other.id, answer(&long, "")).await;
    ensure_matches!(named, Err(StoreError::Full), "too long a name");
    store_answer(&store, &other, &long[1..], "").await?;
    Ok(())
}

pub(crate) async fn an_answer_outlives_the_lease(store: StoreFixture) -> CaseResult {
    let session = store.with_abc().await?;
    store_answer(&store, &session, "before", "1").await?;
    store.advance(LEASE + 1).await;
    store_answer(&store, &session, "without an owner", "2").await?;
    let claimed = store.claim_session(&session).await?;
    ensure_eq!(claimed.state.answers, 2, "what the claimant sees");
    let is = answers_after(&store, &session, 0).await?;
    let all = [("before", "1"), ("without an owner", "2")];
    ensure_eq!(is, texts(&all), "answers");
    Ok(())
}

pub(crate) async fn a_seal_discards_answers(store: StoreFixture) -> CaseResult {
    let session = store.with_abc().await?;
    store_answer(&store, &session, "a", "yes").await?;
    store.push(&session, 4, &["d"], store.seal(100)).await?;
    ensure_eq!(store.state(&session.id).await?.answers, 0, "answers");
    ensure_eq!(
        answers_after(&store, &session, 0).await?,
        texts(&[]),
        "answers"
    );
    for (name, content) in [("a", "yes"), ("a", "no"), ("b", "")] {
        let late = store.answer(&session.id, answer(name, content)).await;
        ensure_matches!(late, Err(StoreError::Sealed), "a late answer");
    }
    ensure_eq!(store.state(&session.id).await?.answers, 0, "answers");
    Ok(())
}

pub(crate) async fn a_recreated_session_has_no_answers(store: StoreFixture) -> CaseResult {
    let mut new = store.new_session();
    new.tombstone = store.steps(1);
    let session = store.created_from(new.clone()).await?;
    store_answer(&store, &session, "a", "yes").await?;
    store.delete(&session.id, DeleteMode::Now).await?;
    store.advance(2).await;
    new.token = Token::random();
    store.create(&session.id, new).await?;
    ensure_eq!(store.state(&session.id).await?.answers, 0, "answers");
    ensure_eq!(
        answers_after(&store, &session, 0).await?,
        texts(&[]),
        "answers"
    );
    store_answer(&store, &session, "a", "no").await?;
    Ok(())
}

pub(crate) async fn an_answer_wakes_the_owner(store: StoreFixture) -> CaseResult {
    for owner in [true, false] {
        let session = store.with_abc().await?;
        let mut seen = store.state(&session.id).await?.version();
        for (name, count) in [("a", 1), ("b", 2)] {
            let version = if owner {
                Seen::Owner(seen)
            } else {
                Seen::Reader(seen)
            };
            let waiter = store.waiter(&session.id, version).await;
            store_answer(&store, &session, name, "yes").await?;
            let state = waiter.woken_by("an answer").await??;
            ensure_eq!(state.answers, count, "answers");
            seen = state.version();
        }
    }
    Ok(())
}
