use std::{process::Command, sync::OnceLock, thread, time::Duration};

use unbroken_redis::{Redis, RedisOptions};

use super::server;

/// Three primaries.
pub(crate) struct Cluster {
    servers: server::Shared,
}

/// The cluster that tests share, until the end of the run.
pub(crate) fn shared() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| {
        let arguments: &[&str] = &["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"];
        let servers = server::Shared::start(&[arguments; 3]);
        let addresses = servers.urls().iter();
        let addresses: Vec<_> = addresses
            .map(|url| url.trim_start_matches("redis://"))
            .collect();
        let created = cli(&["--cluster", "create"], &addresses, &["--cluster-yes"]);
        assert!(created.contains("All 16384 slots covered"), "{created}");
        // Each server must learn the slots of the others.
        let port = addresses[0]
            .rsplit(':')
            .next()
            .expect("an address has a port");
        for _ in 0..200 {
            let agreed = addresses.iter().all(|address| {
                let port = address.rsplit(':').next().expect("an address has a port");
                cli(&["-p", port], &["cluster"], &["info"]).contains("cluster_state:ok")
            });
            if agreed {
                return Cluster { servers };
            }
            thread::sleep(Duration::from_millis(50));
        }
        panic!("{}", cli(&["-p", port], &["cluster"], &["info"]));
    })
}

fn cli(first: &[&str], second: &[&str], third: &[&str]) -> String {
    let mut command = Command::new("redis-cli");
    let output = command.args(first).args(second).args(third).output();
    let output = output.expect("redis-cli is installed with redis-server");
    let said = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&said).into_owned()
}

impl Cluster {
    pub(crate) fn urls(&self) -> &[String] {
        self.servers.urls()
    }

    pub(crate) async fn open(&self, options: RedisOptions) -> Redis {
        let opened = Redis::open_cluster(self.servers.urls(), options).await;
        opened.expect("our own cluster opens")
    }
}
