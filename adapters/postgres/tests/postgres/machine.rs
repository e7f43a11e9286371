use std::{
    env,
    future::Future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use libtest_mimic::{Completion, Failed, Trial};
use tokio::runtime::Runtime;
use unbroken_postgres::{
    Postgres, PostgresOptions,
    tokio_postgres::{self, Client, NoTls},
};

/// The environment of the tests: a runtime, and a server if there is one. Clones share it.
#[derive(Clone)]
pub(crate) struct Machine {
    runtime: Arc<Runtime>,
    /// The URL of the server.
    pub(crate) url: String,
    missing: Option<String>,
    schemas: Arc<Mutex<Vec<String>>>,
    count: Arc<AtomicU32>,
    kept: Arc<Mutex<Vec<Box<dyn Send>>>>,
}

pub(crate) type Checked = Result<(), Box<dyn std::error::Error + Send + Sync>>;

impl Machine {
    pub(crate) fn new() -> Self {
        let url = env::var("POSTGRES_URL")
            .unwrap_or_else(|_| "postgres://postgres@127.0.0.1:5432/test".to_owned());
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
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
            count: Arc::default(),
            kept: Arc::default(),
        }
    }

    /// Creates a test that needs the server.
    pub(crate) fn trial<Fut>(
        &self,
        name: impl Into<String>,
        test: impl FnOnce(Self) -> Fut + Send + 'static,
    ) -> Trial
    where
        Fut: Future<Output = Checked> + Send + 'static,
    {
        let machine = self.clone();
        Trial::ignorable_test(name, move || {
            if let Some(reason) = &machine.missing {
                return ignored(reason);
            }
            // On a task, so that it runs beside the tasks of the store.
            let runtime = machine.runtime.clone();
            let test = runtime.spawn(test(machine));
            match runtime.block_on(test) {
                Ok(Ok(())) => Ok(Completion::Completed),
                Ok(Err(error)) => Err(Failed::from(format!("{error}: {error:?}"))),
                Err(panic) => Err(Failed::from(format!("panicked: {panic}"))),
            }
        })
    }

    /// Returns a unique name of a schema, which is dropped at the end of the run.
    pub(crate) fn schema(&self) -> String {
        let name = format!(
            "test_{}_{}",
            std::process::id(),
            self.count.fetch_add(1, SeqCst)
        );
        self.schemas.lock().unwrap().push(name.clone());
        name
    }

    /// Returns options with a unique schema.
    pub(crate) fn options(&self) -> PostgresOptions {
        PostgresOptions::new().schema(self.schema()).pool_size(6)
    }

    /// Opens a store in a unique schema.
    pub(crate) async fn store(&self) -> Postgres {
        Postgres::open(&self.url, self.options())
            .await
            .expect("a store opens")
    }

    /// Keeps a value until the last test has ended.
    pub(crate) fn keep(&self, it: impl Send + 'static) {
        self.kept.lock().unwrap().push(Box::new(it));
    }

    pub(crate) async fn client(&self) -> Client {
        connect(&self.url).await.expect("a connection")
    }

    pub(crate) fn clean_up(&self) {
        self.kept.lock().unwrap().clear();
        let schemas = self.schemas.lock().unwrap();
        if self.missing.is_some() || schemas.is_empty() {
            return;
        }
        self.runtime.block_on(async {
            let client = self.client().await;
            for schema in schemas.iter() {
                let drop = format!("DROP SCHEMA IF EXISTS \"{schema}\" CASCADE");
                if let Err(error) = client.batch_execute(&drop).await {
                    eprintln!("{schema} could not be dropped: {error}");
                }
            }
        });
    }
}

pub(crate) async fn connect(url: &str) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// Creates a test that is ignored for a reason.
pub(crate) fn ignored(reason: &str) -> Result<Completion, Failed> {
    if env::var_os("CI").is_some() {
        return Err(Failed::from(format!("{reason}, and this is CI")));
    }
    Ok(Completion::ignored_with(reason.to_owned()))
}
