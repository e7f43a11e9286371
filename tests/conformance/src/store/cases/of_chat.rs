use std::{sync::Arc, time::Duration};

use crate::store::{
    fixture::{CreatedSession, StoreFixture},
    report::{CaseResult, CaseStop, ensure, ensure_eq},
};
use unbroken::{
    log::{ChatId, Outcome, Owner, SessionId},
    store::{AfterAppend, DeleteMode, Filter, Seal, SessionMeta},
};

/// The owners and the chat of a case, which no other case uses.
struct ChatScene {
    store: StoreFixture,
    owner: Owner,
    stranger: Owner,
    chat: ChatId,
}

impl ChatScene {
    fn new(store: StoreFixture) -> Self {
        let name = SessionId::random;
        Self {
            store,
            owner: Owner::new(name().as_str()),
            stranger: Owner::new(name().as_str()),
            chat: ChatId::new(name().as_str()),
        }
    }

    async fn create_in(
        &self,
        owner: Option<&Owner>,
        chat: Option<&ChatId>,
    ) -> Result<CreatedSession, CaseStop> {
        let mut new = self.store.new_session();
        new.meta = Arc::new(SessionMeta {
            owner: owner.cloned(),
            chat: chat.cloned(),
            ..SessionMeta::clone(&new.meta)
        });
        // Some engines order by milliseconds.
        tokio::time::sleep(Duration::from_millis(3)).await;
        self.store.created_from(new).await
    }

    async fn create(&self, owner: Option<&Owner>) -> Result<CreatedSession, CaseStop> {
        self.create_in(owner, Some(&self.chat)).await
    }

    async fn running(&self) -> Result<SessionId, CaseStop> {
        Ok(self.create(Some(&self.owner)).await?.id)
    }

    async fn sealed(&self, outcome: Outcome) -> Result<SessionId, CaseStop> {
        let created = self.create(Some(&self.owner)).await?;
        let keep = self.store.steps(100);
        let seal = AfterAppend::Seal(Seal::new(outcome, keep));
        self.store.push(&created, 1, &["z"], seal).await?;
        Ok(created.id)
    }

    /// Returns the chat's sessions of an owner, once they are those expected or a list has had time
    /// enough to catch up.
    async fn found(
        &self,
        owner: Option<&Owner>,
        limit: usize,
        expected: &[&SessionId],
    ) -> Result<Vec<SessionId>, CaseStop> {
        let query = |store: StoreFixture| async move {
            let listed = store.of_chat(owner, &self.chat, limit).await?;
            Ok(listed.into_iter().map(|it| it.id).collect::<Vec<_>>())
        };
        let done = |found: &Vec<SessionId>| found.iter().eq(expected.iter().copied());
        self.store.eventually(query, done).await
    }

    /// Checks that the chat of an owner has these sessions.
    async fn ensure(
        &self,
        owner: Option<&Owner>,
        limit: usize,
        expected: &[&SessionId],
        what: &str,
    ) -> CaseResult {
        let found = self.found(owner, limit, expected).await?;
        let expected: Vec<_> = expected.iter().map(|&id| id.clone()).collect();
        ensure!(
            found == expected,
            "{what}: {found:?} where {expected:?} were to be listed"
        );
        Ok(())
    }
}

pub(crate) async fn a_chat_has_the_sessions_of_its_owner_only(store: StoreFixture) -> CaseResult {
    let scene = ChatScene::new(store);
    let (owner, stranger) = (Some(&scene.owner), Some(&scene.stranger));
    let other_chat = ChatId::new(SessionId::random().as_str());
    let own = scene.create(owner).await?.id;
    let foreign = scene.create(stranger).await?.id;
    let elsewhere = scene.create_in(owner, Some(&other_chat)).await?.id;
    let without = scene.create_in(owner, None).await?.id;
    let all = scene.found(owner, 9, &[&own]).await?;
    for (id, what) in [
        (&foreign, "a session of another owner"),
        (&elsewhere, "a session of another chat"),
        (&without, "a session without a chat"),
    ] {
        ensure!(!all.contains(id), "{what} is listed");
    }
    ensure_eq!(all, [own], "sessions of the chat");
    scene
        .ensure(stranger, 9, &[&foreign], "sessions of the other owner")
        .await
}

/// Returns names of owners and chats as long as they may be, of bytes that a store could take for its own.
fn odd_names() -> Vec<String> {
    let random = SessionId::random();
    let pieces = [
        "n", "/", "{}", "%", "%2F", ":", "*", "?[a]", " ", "\0", "\n", "\\", "'", "\"", "ü", "💬",
        "..", "A", "a",
    ];
    pieces
        .map(|piece| {
            let mut name = format!("{random}{piece}");
            while name.len() + piece.len() <= ChatId::MAX_LEN {
                name.push_str(piece);
            }
            name.extend(std::iter::repeat_n('z', ChatId::MAX_LEN - name.len()));
            name
        })
        .into()
}

pub(crate) async fn names_of_any_bytes_tell_owners_and_chats_apart(
    store: StoreFixture,
) -> CaseResult {
    let mut scene = ChatScene::new(store);
    let mut created = Vec::new();
    for name in odd_names() {
        let (owner, chat) = (Owner::new(name.as_str()), ChatId::new(name));
        let id = scene.create_in(Some(&owner), Some(&chat)).await?.id;
        created.push((owner, chat, id));
    }
    for (owner, chat, id) in &created {
        let state = scene.store.state(id).await?;
        ensure_eq!(state.meta.owner.as_ref(), Some(owner), "owner");
        ensure_eq!(state.meta.chat.as_ref(), Some(chat), "chat");
        scene.chat = chat.clone();
        let what = format!("sessions of the chat {chat:?}");
        scene.ensure(Some(owner), 9, &[id], &what).await?;
        let filter = Filter {
            owner: Some(owner.clone()),
            ..Filter::default()
        };
        let query = |store: StoreFixture| {
            let filter = filter.clone();
            async move {
                let listed = store.list(&filter).await?.sessions;
                Ok(listed.into_iter().map(|it| it.id).collect::<Vec<_>>())
            }
        };
        let expected = std::slice::from_ref(id);
        let listed = scene.store.eventually(query, |found| found == expected);
        ensure_eq!(listed.await?, expected, "sessions of the owner");
    }
    Ok(())
}

pub(crate) async fn sessions_of_others_hide_none(store: StoreFixture) -> CaseResult {
    let scene = ChatScene::new(store);
    let own = scene.running().await?;
    for at in 0..12 {
        let owner = (at % 2 == 0).then_some(&scene.stranger);
        scene.create(owner).await?;
    }
    let owner = Some(&scene.owner);
    for limit in [1, 2] {
        scene
            .ensure(owner, limit, &[&own], "sessions of the chat")
            .await?;
    }
    Ok(())
}

pub(crate) async fn a_chat_without_an_owner_has_sessions_without_an_owner(
    store: StoreFixture,
) -> CaseResult {
    let scene = ChatScene::new(store);
    let without = scene.create(None).await?.id;
    let with = scene.running().await?;
    scene
        .ensure(None, 9, &[&without], "sessions without an owner")
        .await?;
    let owner = Some(&scene.owner);
    scene
        .ensure(owner, 9, &[&with], "sessions of the owner")
        .await
}

pub(crate) async fn running_sessions_of_a_chat_come_first(store: StoreFixture) -> CaseResult {
    let scene = ChatScene::new(store);
    let first = scene.running().await?;
    let complete = scene.sealed(Outcome::Complete).await?;
    let second = scene.running().await?;
    let aborted = scene.sealed(Outcome::Aborted).await?;
    let owner = Some(&scene.owner);
    let all = [&second, &first, &aborted, &complete];
    scene.ensure(owner, 9, &all, "sessions of the chat").await?;
    for limit in [0, 1, 3, 4] {
        let what = format!("first {limit} sessions of the chat");
        scene.ensure(owner, limit, &all[..limit], &what).await?;
    }
    Ok(())
}

pub(crate) async fn a_waiting_session_of_a_chat_counts_as_running(
    store: StoreFixture,
) -> CaseResult {
    let scene = ChatScene::new(store);
    let owner = Some(&scene.owner);
    let streaming = scene.running().await?;
    let waiting = scene.create(owner).await?;
    let waits = AfterAppend::Waiting;
    scene.store.push(&waiting, 1, &["a"], waits).await?;
    let ended = scene.sealed(Outcome::Complete).await?;
    let all = [&waiting.id, &streaming, &ended];
    scene
        .ensure(owner, 9, &all, "sessions of the chat, one waiting")
        .await?;
    let goes_on = AfterAppend::Streaming;
    scene.store.push(&waiting, 2, &["b"], goes_on).await?;
    scene
        .ensure(owner, 9, &all, "sessions of the chat, none waiting")
        .await?;
    let sealed = scene.store.seal(100);
    scene.store.push(&waiting, 3, &["c"], sealed).await?;
    scene
        .ensure(
            owner,
            9,
            &[&streaming, &ended, &waiting.id],
            "once it ended",
        )
        .await
}

pub(crate) async fn deleted_and_expired_sessions_of_a_chat_are_not_found(
    store: StoreFixture,
) -> CaseResult {
    let scene = ChatScene::new(store);
    let owner = Some(&scene.owner);
    let kept = scene.sealed(Outcome::Complete).await?;
    let deleted = [
        scene.running().await?,
        scene.sealed(Outcome::Complete).await?,
    ];
    let expired = scene.create(owner).await?;
    let seal = scene.store.seal(1);
    scene.store.push(&expired, 1, &["z"], seal).await?;
    for id in &deleted {
        scene.store.delete(id, DeleteMode::Now).await?;
    }
    scene.store.advance(2).await;
    scene
        .ensure(owner, 9, &[&kept], "sessions of the chat")
        .await?;
    while scene.store.sweep(100).await? > 0 {}
    scene
        .ensure(owner, 9, &[&kept], "sessions of the chat, once swept")
        .await
}
