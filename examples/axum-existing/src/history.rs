//! The conversations of the users, in a table of the application.

use deadpool_postgres::{Config, Pool, Runtime};
use tokio_postgres::NoTls;
use unbroken::{
    BoxError, BoxFuture,
    durable::{ChatExchange, History},
    log::{ChatId, Owner},
};

const SCHEMA: &str = include_str!("history.sql");
const APPEND: &str = "INSERT INTO chat_exchanges (ending_id, owner, chat, number, exchange) \
                      VALUES ($1, $2, $3, $4, $5::text::json) ON CONFLICT (ending_id) DO NOTHING";
const LOAD: &str = "SELECT exchange::text FROM chat_exchanges WHERE owner = $1 AND chat = $2 \
                    ORDER BY number DESC LIMIT 500";

/// The table `chat_exchanges` of a `PostgreSQL` database.
#[derive(Debug, Clone)]
pub struct ChatTable {
    pool: Pool,
}

impl ChatTable {
    /// Connects to a database, and creates the table if it has none. Applications that migrate their schema
    /// otherwise have `history.sql` among their migrations.
    ///
    /// # Errors
    ///
    /// Returns an error if the URL is none, or if the database can't be reached.
    pub async fn open(url: &str) -> Result<Self, BoxError> {
        let mut config = Config::new();
        config.url = Some(url.to_owned());
        let pool = config.create_pool(Some(Runtime::Tokio1), NoTls)?;
        pool.get().await?.batch_execute(SCHEMA).await?;
        Ok(Self { pool })
    }
}

impl History for ChatTable {
    fn append<'a>(
        &'a self,
        owner: Option<&'a Owner>,
        chat: &'a ChatId,
        exchange: &'a ChatExchange,
    ) -> BoxFuture<'a, Result<(), BoxError>> {
        Box::pin(async move {
            let client = self.pool.get().await?;
            let append = client.prepare_cached(APPEND).await?;
            let number = i64::try_from(exchange.number)?;
            let json = serde_json::to_string(exchange)?;
            let (owner, chat) = (name_of(owner), chat.as_str());
            client
                .execute(
                    &append,
                    &[&exchange.ending_id, &owner, &chat, &number, &json],
                )
                .await?;
            Ok(())
        })
    }

    fn load<'a>(
        &'a self,
        owner: Option<&'a Owner>,
        chat: &'a ChatId,
    ) -> BoxFuture<'a, Result<Vec<ChatExchange>, BoxError>> {
        Box::pin(async move {
            let client = self.pool.get().await?;
            let load = client.prepare_cached(LOAD).await?;
            let (owner, chat) = (name_of(owner), chat.as_str());
            let rows = client.query(&load, &[&owner, &chat]).await?;
            let exchanges = rows.into_iter().map(|row| {
                let json: String = row.try_get(0)?;
                Ok(serde_json::from_str(&json)?)
            });
            exchanges.collect()
        })
    }
}

/// Returns the user. The chat's policy lets no request without one pass.
fn name_of(owner: Option<&Owner>) -> &str {
    owner.map_or("", Owner::as_str)
}
