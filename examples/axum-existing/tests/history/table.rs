//! The table by itself.

use axum_existing::history::ChatTable;
use libtest_mimic::Trial;
use serde_json::{Map, json};
use unbroken::{
    dialect::ChatMessage,
    durable::{ChatExchange, History as _},
    log::{ChatId, Owner, SessionId},
};

use crate::database::{Database, Schema};

pub(crate) fn trials(database: &Database) -> Vec<Trial> {
    vec![
        database.trial("a_delivery_that_is_repeated_changes_nothing", repeated),
        database.trial("deliveries_at_once_are_one_row", at_once),
        database.trial("an_older_exchange_that_comes_late_undoes_nothing", late),
        database.trial("a_chat_has_the_exchanges_of_its_owner_only", owners),
        database.trial("a_character_that_databases_refuse_is_kept", null_character),
        database.trial("a_table_that_exists_is_opened_again", opened_twice),
    ]
}

fn exchange(number: u64, ids: &[&str]) -> ChatExchange {
    let said = Map::from_iter([("of".to_owned(), json!(number))]);
    let messages = ids.iter().map(|id| ChatMessage::new(*id, said.clone()));
    ChatExchange::new(
        format!("{number:032}"),
        SessionId::random(),
        number,
        messages,
    )
}

fn names() -> (Owner, ChatId) {
    (Owner::new("ann"), ChatId::new("c"))
}

async fn append(table: &ChatTable, exchange: &ChatExchange) {
    let (owner, chat) = names();
    table.append(Some(&owner), &chat, exchange).await.unwrap();
}

async fn conversation(table: &ChatTable) -> Vec<(String, u64)> {
    let (owner, chat) = names();
    let exchanges = table.load(Some(&owner), &chat).await.unwrap();
    let messages = ChatExchange::conversation(exchanges).into_iter();
    let shown = messages.map(|it| (it.id, it.fields["of"].as_u64().unwrap()));
    shown.collect()
}

fn of(messages: &[(&str, u64)]) -> Vec<(String, u64)> {
    let messages = messages.iter();
    messages.map(|(id, of)| ((*id).to_owned(), *of)).collect()
}

async fn repeated(schema: Schema) {
    let table = schema.table().await;
    let first = exchange(1, &["u1", "a1"]);
    append(&table, &first).await;
    // Only the key counts.
    let mut other = exchange(1, &["u9", "a9"]);
    other.ending_id.clone_from(&first.ending_id);
    append(&table, &other).await;
    append(&table, &first).await;
    assert_eq!(schema.rows().await, 1);
    assert_eq!(conversation(&table).await, of(&[("u1", 1), ("a1", 1)]));
    // The control: another ending is another row.
    other.ending_id = "9".repeat(32);
    append(&table, &other).await;
    assert_eq!(schema.rows().await, 2);
}

async fn at_once(schema: Schema) {
    let table = schema.table().await;
    let first = exchange(1, &["u1", "a1"]);
    let running: Vec<_> = (0..16)
        .map(|_| {
            let (table, first) = (table.clone(), first.clone());
            tokio::spawn(async move { append(&table, &first).await })
        })
        .collect();
    for run in running {
        run.await.unwrap();
    }
    assert_eq!(schema.rows().await, 1);
}

async fn late(schema: Schema) {
    let table = schema.table().await;
    append(&table, &exchange(3, &["u1", "a3"])).await;
    assert_eq!(conversation(&table).await, of(&[("u1", 3), ("a3", 3)]));
    for older in [exchange(2, &["u2", "a2"]), exchange(1, &["u1", "a1"])] {
        append(&table, &older).await;
    }
    assert_eq!(conversation(&table).await, of(&[("u1", 3), ("a3", 3)]));
    append(&table, &exchange(4, &["u4", "a4"])).await;
    append(&table, &exchange(3, &["u1", "a3"])).await;
    let expected = [("u1", 3), ("a3", 3), ("u4", 4), ("a4", 4)];
    assert_eq!(conversation(&table).await, of(&expected));
    assert_eq!(schema.rows().await, 4);
}

async fn owners(schema: Schema) {
    let table = schema.table().await;
    append(&table, &exchange(1, &["u1", "a1"])).await;
    let (ann, c) = names();
    let (ben, d) = (Owner::new("ben"), ChatId::new("d"));
    for (owner, chat, count) in [(&ann, &c, 1), (&ben, &c, 0), (&ann, &d, 0)] {
        let exchanges = table.load(Some(owner), chat).await.unwrap();
        assert_eq!(exchanges.len(), count, "{owner:?} {chat:?}");
    }
}

async fn null_character(schema: Schema) {
    let table = schema.table().await;
    let mut first = exchange(1, &["u1"]);
    let text = "a\0b\u{10ffff}\\u0000";
    first.messages[0].fields.insert("text".into(), text.into());
    append(&table, &first).await;
    let (owner, chat) = names();
    let exchanges = table.load(Some(&owner), &chat).await.unwrap();
    assert_eq!(exchanges, [first]);
}

async fn opened_twice(schema: Schema) {
    let first = schema.table().await;
    append(&first, &exchange(1, &["u1", "a1"])).await;
    let second = schema.table().await;
    assert_eq!(conversation(&second).await, conversation(&first).await);
    assert_eq!(conversation(&second).await.len(), 2);
}
