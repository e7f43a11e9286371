//! The sessions of a chat of one owner are found at the same cost, whatever other owners do.

use std::num::NonZeroUsize;

use libtest_mimic::{Failed, Trial};
use unbroken::{
    log::{ChatId, Outcome, Owner, SessionId},
    store::{AfterAppend, DeleteMode, Filter, Listed, Seal, StatusFilter, Store},
};

use crate::support::{fixture, scene::Scene, server, trial};

pub(crate) fn trials() -> Vec<Trial> {
    let missing = server::missing();
    let missing = missing.as_ref();
    vec![
        trial(
            "sessions_of_others_in_a_chat_of_the_same_name_neither_hide_nor_slow_it",
            missing,
            others,
        ),
        trial(
            "a_page_of_a_list_costs_what_it_holds_for_every_filter",
            missing,
            pages,
        ),
        trial(
            "owners_and_chats_with_any_bytes_are_kept_apart",
            missing,
            apart,
        ),
        trial("a_session_is_in_the_set_of_its_status", missing, statuses),
        trial("a_chat_is_read_past_entries_that_lag", missing, lagging),
        trial(
            "a_page_goes_on_behind_entries_of_the_same_microsecond",
            missing,
            same_time,
        ),
    ]
}

fn ids(listed: &[Listed]) -> Vec<SessionId> {
    listed.iter().map(|it| it.id.clone()).collect()
}

async fn others() -> Result<(), Failed> {
    let mut it = Scene::new().await;
    let (mine, chat) = (Owner::new("me"), ChatId::new("chat"));
    let ended = it
        .create_ended(Some("me"), "chat", 3, fixture::sealed())
        .await?;
    let (running, _) = it.create(Some("me"), "chat", 1).await?.remove(0);
    let (unowned, _) = it.create(None, "chat", 1).await?.remove(0);
    let filters: Vec<_> = [
        None,
        Some(StatusFilter::Streaming),
        Some(StatusFilter::Waiting),
    ]
    .map(|status| Filter {
        owner: Some(mine.clone()),
        chat: Some(chat.clone()),
        status,
        limit: NonZeroUsize::new(2),
        ..Filter::default()
    })
    .into();
    let mut costs = Vec::new();
    for _ in 0..2 {
        let mut cost = Vec::new();
        let (found, one) = it
            .cost(async |store| store.of_chat(Some(&mine), &chat, 1).await)
            .await?;
        assert_eq!(ids(&found), std::slice::from_ref(&running));
        cost.push(one);
        let (found, all) = it
            .cost(async |store| store.of_chat(Some(&mine), &chat, 9).await)
            .await?;
        assert_eq!(found[0].id, running);
        let mut newest: Vec<_> = ids(&found)[1..].to_vec();
        newest.sort();
        let mut expected = ended.clone();
        expected.sort();
        assert_eq!(newest, expected);
        cost.push(all);
        let (found, none) = it
            .cost(async |store| store.of_chat(None, &chat, 1).await)
            .await?;
        assert_eq!(ids(&found), std::slice::from_ref(&unowned));
        cost.push(none);
        let (found, nothing) = it
            .cost(async |store| store.of_chat(Some(&Owner::new("stranger")), &chat, 5).await)
            .await?;
        assert_eq!(ids(&found), []);
        cost.push(nothing);
        for filter in &filters {
            let (_, page) = it.cost(async |store| store.list(filter).await).await?;
            cost.push(page);
        }
        costs.push(cost);
        if costs.len() == 1 {
            // More than any number that a look-up could stop at.
            it.create_ended(Some("other"), "chat", 4400, fixture::sealed())
                .await?;
            it.create(Some("other"), "chat", 200).await?;
        }
    }
    assert_eq!(costs[1], costs[0]);
    // The look-up that a page load makes: one range of two sets, one look.
    let calls = costs[0][0].get("evalsha").copied();
    assert_eq!(calls, Some(2), "{:?}", costs[0][0]);
    Ok(())
}

async fn pages() -> Result<(), Failed> {
    let mut it = Scene::new().await;
    let seal = |outcome| AfterAppend::Seal(Seal::new(outcome, fixture::LONG));
    let few = it
        .create_ended(Some("me"), "mine", 3, seal(Outcome::Aborted))
        .await?;
    let filters: Vec<_> = [(0, 0), (1, 0), (0, 1), (1, 1)]
        .map(|(owner, chat)| Filter {
            owner: (owner == 1).then(|| Owner::new("me")),
            chat: (chat == 1).then(|| ChatId::new("mine")),
            status: Some(StatusFilter::Aborted),
            limit: NonZeroUsize::new(2),
            ..Filter::default()
        })
        .into();
    let mut costs = Vec::new();
    for _ in 0..2 {
        for filter in &filters {
            let mut filter = filter.clone();
            let mut found = Vec::new();
            loop {
                let (page, cost) = it.cost(async |store| store.list(&filter).await).await?;
                found.extend(ids(&page.sessions));
                costs.push((filter.after.is_some(), cost));
                filter.after = page.next;
                if filter.after.is_none() {
                    break;
                }
            }
            found.sort();
            let mut expected = few.clone();
            expected.sort();
            assert_eq!(found, expected);
        }
        // Newer ones with every other name and status, of which none belongs to a page.
        for (owner, chat) in [("me", "mine"), ("me", "other"), ("other", "mine")] {
            it.create_ended(Some(owner), chat, 300, seal(Outcome::Complete))
                .await?;
        }
    }
    let (before, after) = costs.split_at(costs.len() / 2);
    assert_eq!(after, before);
    assert_eq!(before.len(), 8);
    Ok(())
}

/// Names that would meet in one key if they were joined as they are.
async fn apart() -> Result<(), Failed> {
    let it = Scene::new().await;
    let names = [
        "a",
        "a/b",
        "b",
        "/",
        "}",
        "{a}",
        "a}:streaming",
        "%2f",
        "a/chat/b",
        "all",
        "ü",
    ];
    let mut made = Vec::new();
    for owner in [None].into_iter().chain(names.map(Some)) {
        for chat in names {
            let (id, _) = it.create(owner, chat, 1).await?.remove(0);
            made.push((owner, chat, id));
        }
    }
    for (owner, chat, id) in &made {
        let owner = owner.map(Owner::new);
        let chat = ChatId::new(*chat);
        let found = it.store.of_chat(owner.as_ref(), &chat, 10).await?;
        assert_eq!(ids(&found), std::slice::from_ref(id), "{owner:?} {chat}");
        assert_eq!(found[0].state.meta.owner, owner);
    }
    for (name, count) in names.map(|name| (name, names.len())) {
        let by_owner = Filter {
            owner: Some(Owner::new(name)),
            ..Filter::default()
        };
        let by_chat = Filter {
            chat: Some(ChatId::new(name)),
            ..Filter::default()
        };
        assert_eq!(
            it.store.list(&by_owner).await?.sessions.len(),
            count,
            "{name}"
        );
        assert_eq!(
            it.store.list(&by_chat).await?.sessions.len(),
            count + 1,
            "{name}"
        );
    }
    Ok(())
}

async fn statuses() -> Result<(), Failed> {
    let mut it = Scene::new().await;
    let (id, epoch) = it.create(Some("me"), "c", 1).await?.remove(0);
    let mut lsn = 0;
    for (after, set) in [
        (AfterAppend::Streaming, "streaming"),
        (AfterAppend::Waiting, "waiting"),
        (AfterAppend::Waiting, "waiting"),
        (AfterAppend::Streaming, "streaming"),
        (AfterAppend::Waiting, "waiting"),
        (fixture::sealed(), "complete"),
    ] {
        lsn += 1;
        it.store
            .append(&id, fixture::chunk(lsn, epoch, &["a"]), after)
            .await?;
        for scope in ["all", "owner/me", "chat/c", "owner/me/chat/c"] {
            assert_eq!(it.sets_with(scope, &id).await, [set], "{scope} after {lsn}");
        }
    }
    let member = format!("{id}/+me/+c");
    assert_eq!(it.members("{all}:open").await, [""; 0]);
    assert_eq!(it.members("{all}:due").await, [member]);
    it.store.delete(&id, DeleteMode::Now).await?;
    let tombstone = format!("{{{id}}}:tombstone");
    assert_eq!(it.keys().await, [tombstone, "{all}:tombstones".to_owned()]);
    Ok(())
}

/// More entries that lag than one page has.
async fn lagging() -> Result<(), Failed> {
    let mut it = Scene::new().await;
    let (owner, chat) = (Owner::new("me"), ChatId::new("c"));
    let (oldest, _) = it.create(Some("me"), "c", 1).await?.remove(0);
    let ended = it
        .create_ended(Some("me"), "c", 150, fixture::sealed())
        .await?;
    let gone = it.create(Some("me"), "c", 150).await?;
    // As if the writes of these seals and deletions had been lost.
    let mine = "{owner/me/chat/c}";
    for id in &ended {
        let score: String = it
            .key("ZSCORE", &format!("{mine}:complete"), &[id.as_str()])
            .await;
        let _: u64 = it
            .key("ZREM", &format!("{mine}:complete"), &[id.as_str()])
            .await;
        let _: u64 = it
            .key("ZADD", &format!("{mine}:streaming"), &[&score, id.as_str()])
            .await;
    }
    for (id, _) in &gone {
        let score: String = it
            .key("ZSCORE", &format!("{mine}:streaming"), &[id.as_str()])
            .await;
        it.store.delete(id, DeleteMode::Now).await?;
        let _: u64 = it
            .key("ZADD", &format!("{mine}:streaming"), &[&score, id.as_str()])
            .await;
    }
    let found = it.store.of_chat(Some(&owner), &chat, 2).await?;
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].id, oldest, "it runs");
    assert!(found[1].state.status.outcome().is_some());
    assert_eq!(
        it.members(&format!("{mine}:streaming")).await,
        [oldest.as_str()]
    );
    assert_eq!(it.members(&format!("{mine}:complete")).await.len(), 150);
    let all = it.store.of_chat(Some(&owner), &chat, 1000).await?;
    assert_eq!(all.len(), 151);
    let ages: Vec<_> = all[1..].iter().map(|it| it.state.age).collect();
    assert!(ages.is_sorted());
    // An entry that was already right costs nothing more.
    let (_, cost) = it
        .cost(async |store| store.of_chat(Some(&owner), &chat, 1).await)
        .await?;
    assert_eq!(cost.get("evalsha"), Some(&2), "{cost:?}");
    Ok(())
}

async fn same_time() -> Result<(), Failed> {
    let mut it = Scene::new().await;
    let made = it.create(Some("me"), "c", 300).await?;
    for (id, _) in &made {
        let _: u64 = it
            .key(
                "ZADD",
                "{owner/me}:streaming",
                &["1700000000000000", id.as_str()],
            )
            .await;
    }
    for limit in [1, 7, 128, 300] {
        let mut filter = Filter {
            owner: Some(Owner::new("me")),
            status: Some(StatusFilter::Streaming),
            limit: NonZeroUsize::new(limit),
            ..Filter::default()
        };
        let mut found = Vec::new();
        loop {
            let page = it.store.list(&filter).await?;
            found.extend(ids(&page.sessions));
            filter.after = page.next;
            if filter.after.is_none() {
                break;
            }
        }
        let mut expected: Vec<_> = made.iter().map(|(id, _)| id.clone()).collect();
        expected.sort_by(|one, other| other.cmp(one));
        assert_eq!(found, expected, "pages of {limit}");
    }
    Ok(())
}
