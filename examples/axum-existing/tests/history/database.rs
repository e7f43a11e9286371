use std::{
    env,
    future::Future,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum_existing::history::ChatTable;
use libtest_mimic::{Completion, Failed, Trial};
use tokio::runtime::Runtime;
use tokio_postgres::{Client, NoTls};

/// A database, if there is one, and a runtime. Clones share them.
#[derive(Clone)]
pub(crate) struct Database {
    runtime: Arc<Runtime>,
    url: String,
    missing: Option<String>,
    schemas: Arc<Mutex<Vec<String>>>,
}

/// A schema of a test.
#[derive(Clone)]
pub(crate) struct Schema {
    url: String,
}

impl Database {
    pub(crate) fn new() -> Self {
        let url = env::var("POSTGRES_URL")
            .unwrap_or_else(|_| "postgres://postgres@127.0.0.1:5432/test".to_owned());
        let runtime = Runtime::new().expect("a runtime");
        let missing = runtime.block_on(async {
            let connected = tokio::time::timeout(Duration::from_secs(30), connect(&url)).await;
            match connected {
                Ok(Ok(_)) => None,
                Ok(Err(error)) => Some(format!("no PostgreSQL: {error}")),
                Err(_) => Some("PostgreSQL didn't answer".to_owned()),
            }
        });
        Self {
            runtime: Arc::new(runtime),
            url,
            missing,
            schemas: Arc::default(),
        }
    }

    /// Creates a test with a schema of its own.
    pub(crate) fn trial<F>(
        &self,
        name: &'static str,
        test: impl FnOnce(Schema) -> F + Send + 'static,
    ) -> Trial
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let database = self.clone();
        Trial::ignorable_test(name, move || {
            if let Some(reason) = &database.missing {
                return match env::var_os("CI") {
                    Some(_) => Err(Failed::from(reason)),
                    None => Ok(Completion::ignored_with(reason)),
                };
            }
            let runtime = database.runtime.clone();
            let run = runtime.spawn(async move { test(database.schema().await).await });
            match runtime.block_on(run) {
                Ok(()) => Ok(Completion::Completed),
                Err(panic) => Err(Failed::from(panic.to_string())),
            }
        })
    }

    async fn schema(&self) -> Schema {
        let name = {
            let mut schemas = self.schemas.lock().unwrap();
            let name = format!("history_{}_{}", std::process::id(), schemas.len());
            schemas.push(name.clone());
            name
        };
        let client = connect(&self.url).await.unwrap();
        let create = format!("CREATE SCHEMA {name}");
        client.batch_execute(&create).await.unwrap();
        let joint = if self.url.contains('?') { '&' } else { '?' };
        let options = format!("options=-csearch_path%3D{name}");
        Schema {
            url: format!("{}{joint}{options}", self.url),
        }
    }

    pub(crate) fn clean_up(&self) {
        let schemas = self.schemas.lock().unwrap();
        if schemas.is_empty() {
            return;
        }
        self.runtime.block_on(async {
            let client = connect(&self.url).await.expect("a connection");
            for schema in schemas.iter() {
                let drop = format!("DROP SCHEMA IF EXISTS {schema} CASCADE");
                client.batch_execute(&drop).await.expect("it is dropped");
            }
        });
    }
}

impl Schema {
    pub(crate) async fn table(&self) -> ChatTable {
        ChatTable::open(&self.url).await.unwrap()
    }

    /// Returns the number of rows.
    pub(crate) async fn rows(&self) -> i64 {
        let client = self.client().await;
        let count = "SELECT count(*) FROM chat_exchanges";
        client.query_one(count, &[]).await.unwrap().get(0)
    }

    pub(crate) async fn client(&self) -> Client {
        connect(&self.url).await.unwrap()
    }
}

async fn connect(url: &str) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}
