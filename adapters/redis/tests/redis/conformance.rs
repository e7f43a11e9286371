//! The conformance suite, on several kinds of server.

use std::{future::Future, sync::Arc, time::Duration};

use libtest_mimic::{Failed, Trial};
use unbroken::{
    BoxFuture,
    log::{Lsn, SessionId},
    store::{Durability, Store},
};
use unbroken_conformance::{
    Verdict,
    store::{CASES, Harness, StoreCase},
};
use unbroken_redis::{RedisOptions, redis};

use crate::support::{self, server};

pub(crate) fn trials() -> Vec<Trial> {
    let (machine, own) = (support::missing_server(), server::missing());
    let mut trials = Vec::new();
    for case in CASES {
        let name = |way: &str| format!("{way}::{}", case.name);
        trials.push(support::trial(name("suite"), machine.as_ref(), || {
            on_machine(case, support::open)
        }));
        trials.push(support::trial(
            name("behind_an_arc"),
            machine.as_ref(),
            || {
                on_machine(case, |options| async {
                    Arc::new(support::open(options).await) as Arc<dyn Store>
                })
            },
        ));
        trials.push(support::trial(
            name("every_write_on_disk"),
            own.as_ref(),
            || {
                check(
                    case,
                    support::options(),
                    server::on_disk().urls(),
                    |options| async {
                        let store = server::on_disk().open(options).await;
                        assert_eq!(store.durability(), Durability::Host);
                        store
                    },
                )
            },
        ));
        #[cfg(feature = "cluster")]
        trials.push(support::trial(name("cluster"), own.as_ref(), || {
            let urls = crate::support::cluster::shared().urls();
            check(case, support::options(), urls, |options| async {
                crate::support::cluster::shared().open(options).await
            })
        }));
    }
    trials
}

/// A harness of stores with a real clock.
pub(crate) struct Real<F> {
    open: F,
    options: RedisOptions,
    // The URL of the server or of the cluster; none if records are not to be corrupted.
    urls: Vec<String>,
}

/// The largest append, of the harness and of the options.
const MAX_APPEND: usize = 100_000;

impl<F> Real<F> {
    pub(crate) fn new(options: RedisOptions, open: F) -> Self {
        let options = options.max_append_bytes(MAX_APPEND);
        Self {
            open,
            options,
            urls: Vec::new(),
        }
    }

    fn at(self, urls: &[String]) -> Self {
        let urls = urls.to_vec();
        Self { urls, ..self }
    }
}

impl<F, Fut, S> Harness for Real<F>
where
    F: Fn(RedisOptions) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = S> + Send + 'static,
    S: Store,
{
    fn store(&self) -> BoxFuture<'_, Arc<dyn Store>> {
        let opened = (self.open)(self.options.clone());
        Box::pin(async move { Arc::new(opened.await) as Arc<dyn Store> })
    }

    fn step(&self) -> Duration {
        Duration::from_millis(400)
    }

    fn max_append_bytes(&self) -> Option<usize> {
        Some(MAX_APPEND)
    }

    fn corrupt<'a>(&'a self, id: &'a SessionId, lsn: Lsn) -> BoxFuture<'a, bool> {
        Box::pin(async move {
            let log = format!("{}{{{id}}}:log", self.options.prefix);
            let mut delete = redis::cmd("XDEL");
            delete.arg(log).arg(format!("{lsn}-1"));
            let deleted: u64 = match &self.urls[..] {
                [] => return false,
                [url] => delete.query_async(&mut support::connect(url).await).await,
                #[cfg(feature = "cluster")]
                urls => {
                    let client = redis::cluster::ClusterClient::new(urls.to_vec());
                    let cluster = client.expect("URLs").get_async_connection().await;
                    delete.query_async(&mut cluster.expect("a cluster")).await
                }
                #[cfg(not(feature = "cluster"))]
                _ => return false,
            }
            .expect("XDEL works");
            deleted == 1
        })
    }
}

/// Runs on the server of the machine, and removes its keys.
async fn on_machine<F, Fut, S>(case: &'static StoreCase, open: F) -> Result<(), Failed>
where
    F: Fn(RedisOptions) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = S> + Send + 'static,
    S: Store,
{
    let options = support::options();
    let prefix = options.prefix.clone();
    let checked = check(case, options, &[support::url()], open).await;
    support::clean(&prefix).await;
    checked
}

async fn check<F, Fut, S>(
    case: &'static StoreCase,
    options: RedisOptions,
    urls: &[String],
    open: F,
) -> Result<(), Failed>
where
    F: Fn(RedisOptions) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = S> + Send + 'static,
    S: Store,
{
    let harness = Real::new(options, open).at(urls);
    let finding = case.run_on_real_clock(Arc::new(harness)).await;
    match finding.verdict {
        Verdict::Passed => Ok(()),
        _ => Err(Failed::from(finding.to_string())),
    }
}
