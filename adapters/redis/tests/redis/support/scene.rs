use std::collections::BTreeMap;

use futures_util::future::try_join_all;
use unbroken::{
    log::{ChatId, Epoch, Owner, SessionId},
    store::{AfterAppend, Created, NewSession, Store, StoreError, Token},
};
use unbroken_redis::{
    Redis, RedisOptions,
    redis::{self, FromRedisValue, aio::MultiplexedConnection},
};

use super::{fixture, server::Server};

/// A store on a server of its own, and a connection that looks at its keys.
pub(crate) struct Scene {
    pub(crate) store: Redis,
    pub(crate) prefix: String,
    pub(crate) admin: MultiplexedConnection,
    pub(crate) server: Server,
}

/// The sets of a scope.
pub(crate) const SETS: [&str; 5] = ["streaming", "waiting", "complete", "aborted", "error"];

impl Scene {
    pub(crate) async fn new() -> Self {
        Self::with(super::options()).await
    }

    pub(crate) async fn with(options: RedisOptions) -> Self {
        let server = Server::start(&[]).await;
        let prefix = options.prefix.clone();
        Self {
            store: server.open(options).await,
            prefix,
            admin: super::connect(&server.url()).await,
            server,
        }
    }

    /// Sends a command on one key below the prefix.
    pub(crate) async fn key<T: FromRedisValue>(
        &mut self,
        verb: &str,
        key: &str,
        rest: &[&str],
    ) -> T {
        let mut command = redis::cmd(verb);
        command.arg(format!("{}{key}", self.prefix)).arg(rest);
        let answer = command.query_async(&mut self.admin).await;
        answer.expect("a command of a test works")
    }

    pub(crate) async fn members(&mut self, index: &str) -> Vec<String> {
        self.key("ZRANGE", index, &["0", "-1"]).await
    }

    /// Returns the sets of a scope that hold the session.
    pub(crate) async fn sets_with(&mut self, scope: &str, id: &SessionId) -> Vec<&'static str> {
        let mut sets = Vec::new();
        for set in SETS {
            let members = self.members(&format!("{{{scope}}}:{set}")).await;
            if members.iter().any(|member| member == id.as_str()) {
                sets.push(set);
            }
        }
        sets
    }

    /// Returns the keys that there are, without the prefix, and without the number of their layout.
    pub(crate) async fn keys(&mut self) -> Vec<String> {
        let all: Vec<String> = redis::cmd("KEYS")
            .arg("*")
            .query_async(&mut self.admin)
            .await
            .expect("KEYS works");
        let mut left = Vec::new();
        for key in all {
            // The engine drops an expired key when it scans it; an access makes it do so now.
            let key = key.strip_prefix(&self.prefix).expect("a key of the store");
            if key != "layout" && self.key::<u64>("EXISTS", key, &[]).await == 1 {
                left.push(key.to_owned());
            }
        }
        left.sort();
        left
    }

    /// Returns the number of calls of each command so far, those of scripts included.
    pub(crate) async fn commands(&mut self) -> BTreeMap<String, u64> {
        let mut info = redis::cmd("INFO");
        let info: String = info
            .arg("commandstats")
            .query_async(&mut self.admin)
            .await
            .expect("INFO works");
        let lines = info.lines().filter_map(|line| {
            let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            let calls = rest.split(',').next()?.parse().ok()?;
            // Neither what looks at the server, nor what keeps the subscription. The first call of a script is
            // repeated as an EVAL.
            let counts = !["info", "ping", "subscribe", "unsubscribe", "eval"].contains(&name);
            counts.then(|| (name.to_owned(), calls))
        });
        lines.collect()
    }

    /// Returns the commands that a call costs.
    pub(crate) async fn cost<T>(
        &mut self,
        call: impl AsyncFnOnce(Redis) -> Result<T, StoreError>,
    ) -> Result<(T, BTreeMap<String, u64>), StoreError> {
        let before = self.commands().await;
        let result = call(self.store.clone()).await?;
        let mut cost = self.commands().await;
        for (name, calls) in before {
            if let Some(now) = cost.get_mut(&name) {
                *now -= calls;
            }
        }
        cost.retain(|_, calls| *calls > 0);
        Ok((result, cost))
    }

    /// Creates sessions of an owner in a chat, many at once.
    pub(crate) async fn create(
        &self,
        owner: Option<&str>,
        chat: &str,
        count: usize,
    ) -> Result<Vec<(SessionId, Epoch)>, StoreError> {
        let mut made = Vec::new();
        while made.len() < count {
            let batch = (0..(count - made.len()).min(256)).map(|_| async {
                let (id, new) = (SessionId::random(), new(owner, chat));
                match self.store.create(&id, new).await? {
                    Created::Created(epoch) => Ok::<_, StoreError>((id, epoch)),
                    Created::Exists(_) => panic!("a random id was taken"),
                }
            });
            made.extend(try_join_all(batch).await?);
        }
        Ok(made)
    }

    /// Creates sessions of one token each that have ended.
    pub(crate) async fn create_ended(
        &self,
        owner: Option<&str>,
        chat: &str,
        count: usize,
        after: AfterAppend,
    ) -> Result<Vec<SessionId>, StoreError> {
        let made = self.create(owner, chat, count).await?;
        for batch in made.chunks(256) {
            let seals = batch.iter().map(|(id, epoch)| {
                let chunk = fixture::chunk(1, *epoch, &["a token"]);
                self.store.append(id, chunk, after.clone())
            });
            try_join_all(seals).await?;
        }
        Ok(made.into_iter().map(|(id, _)| id).collect())
    }
}

/// Creates the input of a session of an owner in a chat.
pub(crate) fn new(owner: Option<&str>, chat: &str) -> NewSession {
    let mut new = fixture::new_of("an owner");
    let meta = std::sync::Arc::make_mut(&mut new.meta);
    meta.owner = owner.map(Owner::new);
    meta.chat = Some(ChatId::new(chat));
    NewSession {
        token: Token::random(),
        ..new
    }
}
