use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use crate::store::{
    cases::create::every_call,
    fixture::{CreatedSession, LEASE, StoreFixture},
    report::{CaseResult, CaseStop, ensure, ensure_eq, ensure_matches},
};
use unbroken::{
    log::{ChatId, Digest, Lsn, Owner, ServiceName, SessionId},
    store::{
        AbortRequest, AfterAppend, Created, DeleteMode, Filter, Holder, LeaseChange, NewSession,
        Seen, SessionMeta, StoreError, StoredAnswer, Token,
    },
};

async fn withdraw(store: &StoreFixture, session: &CreatedSession) -> Result<(), StoreError> {
    let how = DeleteMode::Withdrawn(session.epoch);
    store.delete(&session.id, how).await
}

/// Returns the data of a session that has everything that one can have.
fn rich(store: &StoreFixture, name: &str) -> NewSession {
    let mut new = store.new_session();
    let meta = Arc::make_mut(&mut new.meta);
    meta.chat = Some(ChatId::new(format!("chat of {name}")));
    meta.service = ServiceName::new(format!("service of {:?}", meta.owner));
    meta.outbox = Some(store.steps(100));
    new
}

/// Returns the ids that lists show of sessions like this one.
async fn listed(store: &StoreFixture, meta: &SessionMeta) -> Result<Vec<String>, CaseStop> {
    let (owner, chat) = (meta.owner.clone(), meta.chat.clone());
    let filter = Filter {
        owner: owner.clone(),
        ..Filter::default()
    };
    let mut found = store.list(&filter).await?.sessions;
    if let Some(chat) = &chat {
        found.extend(store.of_chat(owner.as_ref(), chat, 10).await?);
    }
    Ok(found.iter().map(|it| it.id.to_string()).collect())
}

pub(crate) async fn a_withdrawn_session_was_never_there(store: StoreFixture) -> CaseResult {
    let session = store.created_from(rich(&store, "one")).await?;
    let (id, meta) = (&session.id, &session.new.meta);
    store
        .push(&session, 1, &["a", "b", "c"], AfterAppend::Waiting)
        .await?;
    let answer = StoredAnswer::new("a name", Bytes::from_static(b"an answer"));
    store.answer(id, answer).await?;
    store.hold(id, Holder(1), store.steps(50)).await?;
    store.abort(id, AbortRequest::default()).await?;
    let before = store.eventually(async |it| listed(&it, meta).await, |it| it.len() == 2);
    ensure_eq!(before.await?.len(), 2, "lists before");
    withdraw(&store, &session).await?;
    for (call, error) in every_call(&store, id, session.epoch).await {
        ensure!(
            matches!(error, Some(StoreError::NotFound)),
            "{call} answered {error:?} instead of NotFound"
        );
    }
    ensure_eq!(listed(&store, meta).await?, [""; 0], "lists");
    store.advance(LEASE + 1).await;
    let orphans = store.orphans(1000).await?;
    ensure!(orphans.iter().all(|it| it.id != *id), "it is an orphan");
    let endings = store.endings(&meta.service, 9, Duration::ZERO).await?;
    ensure!(endings.is_empty(), "it has an ending: {endings:?}");
    Ok(())
}

pub(crate) async fn the_id_of_a_withdrawn_session_is_free(store: StoreFixture) -> CaseResult {
    let first = store.created_from(rich(&store, "one")).await?;
    store
        .push(&first, 1, &["a", "b", "c"], AfterAppend::Streaming)
        .await?;
    let answer = StoredAnswer::new("a name", Bytes::from_static(b"an answer"));
    store.answer(&first.id, answer).await?;
    withdraw(&store, &first).await?;
    // In the same scopes, with another request.
    let mut new = store.new_session();
    new.meta = Arc::new(SessionMeta {
        digest: Digest([9; 32]),
        ..(*first.new.meta).clone()
    });
    new.request = Bytes::from_static(b"another request");
    let created = store.create(&first.id, new.clone()).await?;
    let Created::Created(epoch) = created else {
        return Err(CaseStop::Failed(format!("not created: {created:?}")));
    };
    ensure!(epoch != first.epoch, "the epoch is that of the first one");
    let (owner, chat) = (new.meta.owner.as_ref(), ChatId::new("chat of one"));
    let of_chat = store.of_chat(owner, &chat, 1).await?;
    let found = of_chat.iter().any(|it| it.id == first.id);
    ensure!(found, "of_chat doesn't have the new session at once");
    let state = store.state(&first.id).await?;
    ensure_eq!(state.meta, new.meta, "meta");
    ensure_eq!((state.tail, state.answers), (Lsn::ZERO, 0), "its log");
    ensure_eq!(store.texts(&first.id, 0).await?, [""; 0], "records");
    store.advance(LEASE + 1).await;
    let is_orphan = async |it: StoreFixture| {
        let orphans = it.orphans(1000).await?;
        Ok(orphans.iter().any(|it| it.id == first.id))
    };
    let is_found = store.eventually(is_orphan, |is_orphan| *is_orphan).await?;
    ensure!(
        is_found,
        "the new session isn't found once its owner is lost"
    );
    let claimed = store.claim(&first.id, epoch, Token::random()).await?;
    ensure_eq!(claimed.request, new.request, "request");
    Ok(())
}

pub(crate) async fn only_the_owner_withdraws(store: StoreFixture) -> CaseResult {
    let session = store.with_abc().await?;
    store.advance(LEASE + 1).await;
    let claimed = store.claim_session(&session).await?;
    let refused = withdraw(&store, &session).await;
    ensure_matches!(refused, Err(StoreError::Fenced), "by the former owner");
    ensure_eq!(
        store.texts(&session.id, 0).await?,
        ["a", "b", "c"],
        "records"
    );
    let owner = CreatedSession {
        epoch: claimed.epoch,
        ..session
    };
    withdraw(&store, &owner).await?;
    let state = store.state(&owner.id).await;
    ensure_matches!(state, Err(StoreError::NotFound), "after the withdrawal");
    Ok(())
}

pub(crate) async fn a_session_without_a_lease_is_withdrawn(store: StoreFixture) -> CaseResult {
    let expired = store.with_abc().await?;
    let returned = store.with_abc().await?;
    let lease = [(returned.id.clone(), returned.epoch)];
    store.renew(&lease, LeaseChange::GiveBack).await.remove(0)?;
    store.advance(LEASE + 1).await;
    for session in [expired, returned] {
        withdraw(&store, &session).await?;
        let state = store.state(&session.id).await;
        ensure_matches!(state, Err(StoreError::NotFound), "after the withdrawal");
    }
    Ok(())
}

pub(crate) async fn a_sealed_session_is_not_withdrawn(store: StoreFixture) -> CaseResult {
    let session = store.sealed(100).await?;
    let refused = withdraw(&store, &session).await;
    ensure_matches!(refused, Err(StoreError::Sealed), "withdrawal");
    ensure_eq!(
        store.texts(&session.id, 0).await?,
        ["a", "b", "c"],
        "records"
    );
    let fenced = DeleteMode::Withdrawn(session.epoch.succeed());
    let refused = store.delete(&session.id, fenced).await;
    ensure_matches!(refused, Err(StoreError::Fenced), "at another epoch");
    Ok(())
}

pub(crate) async fn a_tombstone_is_not_withdrawn(store: StoreFixture) -> CaseResult {
    let deleted = store.with_abc().await?;
    store.delete(&deleted.id, DeleteMode::Now).await?;
    let expired = store.sealed(1).await?;
    store.advance(2).await;
    for session in [deleted, expired] {
        let refused = withdraw(&store, &session).await;
        ensure_matches!(refused, Err(StoreError::Gone(_)), "withdrawal");
        let again = store.create(&session.id, store.new_session()).await;
        ensure_matches!(again, Err(StoreError::Gone(_)), "create");
    }
    Ok(())
}

pub(crate) async fn a_repeated_withdrawal_is_not_found(store: StoreFixture) -> CaseResult {
    let session = store.with_abc().await?;
    withdraw(&store, &session).await?;
    let again = withdraw(&store, &session).await;
    ensure_matches!(again, Err(StoreError::NotFound), "repetition");
    let created = store.create(&session.id, store.new_session()).await?;
    ensure_matches!(created, Created::Created(_), "create");
    let again = withdraw(&store, &session).await;
    ensure_matches!(again, Err(StoreError::Fenced), "of a later session");
    ensure_eq!(store.state(&session.id).await?.tail, Lsn::ZERO, "tail");
    Ok(())
}

pub(crate) async fn a_withdrawal_wakes_waiters(store: StoreFixture) -> CaseResult {
    for owner in [true, false] {
        let session = store.with_abc().await?;
        let seen = store.state(&session.id).await?.version();
        let seen = if owner {
            Seen::Owner(seen)
        } else {
            Seen::Reader(seen)
        };
        let waiter = store.waiter(&session.id, seen).await;
        withdraw(&store, &session).await?;
        let answer = waiter.woken_by("a withdrawal").await?;
        ensure_matches!(answer, Err(StoreError::NotFound), "answer");
    }
    Ok(())
}

pub(crate) async fn a_withdrawal_and_a_seal_have_one_winner(store: StoreFixture) -> CaseResult {
    for _ in 0..20 {
        let session = store.with_abc().await?;
        let seal = store.seal(100);
        let (withdrawn, sealed) = tokio::join!(
            withdraw(&store, &session),
            store.push(&session, 4, &["d"], seal)
        );
        let state = store.state(&session.id).await;
        match (withdrawn, sealed) {
            (Ok(()), Err(StoreError::NotFound)) => {
                ensure_matches!(state, Err(StoreError::NotFound), "the withdrawn session");
            }
            (Err(StoreError::Sealed), Ok(())) => {
                ensure_eq!(state?.tail, Lsn::new(4), "tail of the sealed session");
            }
            other => return Err(CaseStop::Failed(format!("both or none: {other:?}"))),
        }
    }
    Ok(())
}

pub(crate) async fn a_withdrawn_session_of_a_chat_hides_no_other(
    store: StoreFixture,
) -> CaseResult {
    let owner = Owner::new(SessionId::random().as_str());
    let chat = ChatId::new("a chat of many");
    let mut all = Vec::new();
    for _ in 0..6 {
        let mut new = store.new_session();
        let meta = Arc::make_mut(&mut new.meta);
        (meta.owner, meta.chat) = (Some(owner.clone()), Some(chat.clone()));
        all.push(store.created_from(new).await?);
    }
    for session in &all[1..] {
        withdraw(&store, session).await?;
    }
    let found = store.of_chat(Some(&owner), &chat, 1).await?;
    let found: Vec<_> = found.into_iter().map(|it| it.id).collect();
    ensure_eq!(found, [all[0].id.clone()], "of_chat");
    withdraw(&store, &all[0]).await?;
    Ok(())
}
