//! The servers that are opened or refused, and the durability that is reported.

use libtest_mimic::{Failed, Trial};
use unbroken::store::{Durability, Store, StoreError};
use unbroken_conformance::{Verdict, store::CASES};
use unbroken_redis::{Redis, RedisOpenError};

use crate::support::{
    self, fixture,
    server::{self, Server},
    trial,
};

pub(crate) fn trials() -> Vec<Trial> {
    let missing = server::missing();
    let missing = missing.as_ref();
    let mut trials = vec![
        trial("a_server_that_may_evict_is_refused", missing, evicts),
        trial(
            "a_server_that_hides_its_configuration_is_opened_by_option",
            missing,
            hidden,
        ),
        trial("durability_follows_the_settings", missing, durability),
        trial("these_permissions_are_enough", missing, permissions),
        trial(
            "a_user_that_may_not_publish_is_refused",
            missing,
            no_channels,
        ),
        trial(
            "an_append_above_the_bulk_length_of_the_server_is_too_large",
            missing,
            bulk_length,
        ),
        trial("credentials_are_used_and_never_shown", missing, credentials),
    ];
    #[cfg(feature = "cluster")]
    trials.push(trial(
        "a_node_of_a_cluster_is_not_opened_alone",
        missing,
        || async {
            let url = &support::cluster::shared().urls()[0];
            let refused = Redis::open(url, support::options()).await;
            assert!(
                matches!(refused, Err(RedisOpenError::IsCluster)),
                "{refused:?}"
            );
            Ok(())
        },
    ));
    #[cfg(feature = "tls")]
    trials.push(trial(
        "a_certificate_that_the_application_trusts_is_enough",
        missing,
        tls,
    ));
    trials.push(trial("a_malformed_url_is_refused", None, || async {
        for url in ["", "http://127.0.0.1", "redis://:secret@host:port"] {
            let refused = Redis::open(url, support::options()).await;
            assert!(
                matches!(refused, Err(RedisOpenError::Url(_))),
                "{refused:?}"
            );
            assert!(!format!("{refused:?}").contains("secret"));
        }
        Ok(())
    }));
    trials
}

async fn evicts() -> Result<(), Failed> {
    for (memory, policy, opens) in [
        ("100mb", "allkeys-lru", false),
        ("100mb", "volatile-ttl", false),
        ("100mb", "volatile-random", false),
        ("100mb", "noeviction", true),
        ("0", "allkeys-lru", true),
    ] {
        let server = Server::start(&["--maxmemory", memory, "--maxmemory-policy", policy]).await;
        let opened = Redis::open(&server.url(), support::options()).await;
        match opened {
            Ok(_) => assert!(opens, "{policy} with {memory} was opened"),
            Err(RedisOpenError::Evicts { policy: is }) => {
                assert!(!opens, "{policy} with {memory} was refused");
                assert_eq!(is, policy);
                let options = support::options().allow_eviction(true);
                fixture::created(&server.open(options).await).await;
            }
            Err(error) => panic!("{error:?}"),
        }
    }
    Ok(())
}

async fn hidden() -> Result<(), Failed> {
    let rules = ["on", ">pw", "~*", "&*", "+@all", "-config", "-info"];
    let user = [&["--user", "app"][..], &rules].concat();
    let server = Server::start(&user).await;
    let url = format!("redis://app:pw@127.0.0.1:{}", server.port);
    let refused = Redis::open(&url, support::options()).await;
    assert!(
        matches!(refused, Err(RedisOpenError::EvictionUnknown)),
        "{refused:?}"
    );
    let opened = Redis::open(&url, support::options().allow_eviction(true)).await?;
    assert_eq!(opened.durability(), Durability::Process);
    fixture::created(&opened).await;
    let options = support::options()
        .allow_eviction(true)
        .durability(Durability::Host);
    let opened = Redis::open(&url, options).await?;
    assert_eq!(opened.durability(), Durability::Host);

    // INFO is enough.
    let server = Server::start(&["--rename-command", "CONFIG", ""]).await;
    let opened = server.open(support::options()).await;
    assert_eq!(opened.durability(), Durability::Process);
    Ok(())
}

async fn bulk_length() -> Result<(), Failed> {
    const MOST: usize = 1 << 20;
    let server = Server::start(&["--proto-max-bulk-len", "1mb"]).await;
    let store = server.open(support::options()).await;
    let (id, epoch) = fixture::created(&store).await;
    // The number of records and the size of the one take four bytes.
    let fits = "a".repeat(MOST - 4);
    fixture::push(&store, &id, epoch, 1, &[&fits]).await?;
    for bytes in [MOST - 3, MOST, MOST + 1] {
        let refused = fixture::push(&store, &id, epoch, 2, &[&"a".repeat(bytes)]).await;
        assert!(
            matches!(refused, Err(StoreError::TooLarge { max: MOST })),
            "{bytes}: {refused:?}"
        );
    }
    fixture::push(&store, &id, epoch, 2, &["b"]).await?;
    assert_eq!(fixture::texts(&store, &id).await, [&*fits, "b"]);
    Ok(())
}

async fn no_channels() -> Result<(), Failed> {
    let user = ["--user", "app", "on", ">pw", "~*", "resetchannels", "+@all"];
    let server = Server::start(&user).await;
    let url = format!("redis://app:pw@127.0.0.1:{}", server.port);
    let refused = Redis::open(&url, support::options()).await;
    assert!(
        matches!(refused, Err(RedisOpenError::NotPermitted(_))),
        "{refused:?}"
    );
    Ok(())
}

async fn durability() -> Result<(), Failed> {
    for (append_only, fsync, expected) in [
        ("yes", "always", Durability::Host),
        ("yes", "everysec", Durability::Process),
        ("yes", "no", Durability::Process),
        ("no", "always", Durability::Process),
    ] {
        let server = Server::start(&["--appendonly", append_only, "--appendfsync", fsync]).await;
        let store = server.open(support::options()).await;
        assert_eq!(store.durability(), expected, "{append_only} {fsync}");
    }
    Ok(())
}

async fn credentials() -> Result<(), Failed> {
    let server = Server::start(&["--requirepass", "s3cr3t"]).await;
    let url = |password: &str| format!("redis://:{password}@127.0.0.1:{}", server.port);
    let store = Redis::open(&url("s3cr3t"), support::options()).await?;
    fixture::created(&store).await;
    let shown = format!("{store:?}");
    assert!(
        shown.contains("127.0.0.1") && !shown.contains("s3cr3t"),
        "{shown}"
    );
    let refused = Redis::open(&url("wr0ng"), support::options()).await;
    assert!(
        matches!(refused, Err(RedisOpenError::Unreachable(_))),
        "{refused:?}"
    );
    assert!(!format!("{refused:?}").contains("wr0ng"));
    let refused = Redis::open(&server.url(), support::options()).await;
    assert!(
        matches!(refused, Err(RedisOpenError::Unreachable(_))),
        "{refused:?}"
    );
    Ok(())
}

/// The list in the documentation of the crate.
const PERMISSIONS: &str = "+eval +evalsha +info +config|get +ping +hello +subscribe \
    +unsubscribe +publish +time +exists +type +get +set +unlink +pexpireat +pttl +hget +hgetall +hmget +hset \
    +xadd +xrange +zadd +zcard +zrange +zrem +zscore +zrangebyscore +zrevrange +zrevrangebyscore \
    +zremrangebyscore";

async fn permissions() -> Result<(), Failed> {
    let options = support::options();
    let keys = [
        format!("~{}*", options.prefix),
        format!("&{}*", options.prefix),
    ];
    let mut user = vec!["--user", "app", "on", ">pw", &keys[0], &keys[1]];
    user.extend(PERMISSIONS.split_whitespace());
    let server = Server::start(&user).await;
    let url = format!("redis://app:pw@127.0.0.1:{}", server.port);
    let harness = crate::conformance::Real::new(options, move |options| {
        let url = url.clone();
        async move { Redis::open(&url, options).await.expect("the server opens") }
    });
    let cases = CASES.iter().filter(|case| {
        // One case of each operation; all cases would take too long.
        [
            "a_returned_lease_can_be_claimed_at_once",
            "a_hold_keeps_a_session",
            "delete_released_respects_other_holders",
            "a_position_of_another_epoch_is_rewound",
            "an_append_wakes_waiters",
            "a_list_is_newest_first",
            "orphans_are_unsealed_sessions_without_a_lease",
            "a_sweep_removes_what_has_expired",
            "an_abort_wakes_the_owner",
        ]
        .contains(&case.name)
    });
    let harness = std::sync::Arc::new(harness);
    let findings = cases.map(|case| case.run_on_real_clock(harness.clone()));
    let findings = futures_util::future::join_all(findings).await;
    assert_eq!(findings.len(), 9);
    for finding in findings {
        assert_eq!(finding.verdict, Verdict::Passed, "{finding}");
    }
    Ok(())
}

#[cfg(feature = "tls")]
async fn tls() -> Result<(), Failed> {
    use unbroken::store::StoreExt;
    use unbroken_redis::redis::{Client, TlsCertificates};

    let folder = std::env::temp_dir().join(format!("unbroken-redis-tls-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let (key, certificate) = (path("key.pem"), path("cert.pem"));
    let created = std::process::Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
        ])
        .args(["-nodes", "-days", "2", "-subj", "/CN=localhost"])
        .args(["-addext", "subjectAltName=DNS:localhost"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-keyout", &key, "-out", &certificate])
        .output()?;
    assert!(
        created.status.success(),
        "{}",
        String::from_utf8_lossy(&created.stderr)
    );
    let port = server::free_port().to_string();
    let arguments = [
        ["--tls-port", &port],
        ["--tls-cert-file", &certificate],
        ["--tls-key-file", &key],
        ["--tls-auth-clients", "no"],
    ];
    let _server = Server::start(&arguments.concat()).await;
    let url = format!("rediss://localhost:{port}");

    let trusted = TlsCertificates {
        client_tls: None,
        root_cert: Some(std::fs::read(&certificate)?),
    };
    let client = Client::build_with_tls(url.as_str(), trusted)?;
    let store = Redis::with_client(client, support::options()).await?;
    let (id, epoch) = fixture::created(&store).await;
    fixture::push(&store, &id, epoch, 1, &["a"]).await?;
    assert_eq!(fixture::texts(&store, &id).await, ["a"]);
    let seen = store.state(&id).await?.version();
    let waiter = store.changed(&id, seen.into(), std::time::Duration::from_secs(60));
    let push = async {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        fixture::push(&store, &id, epoch, 2, &["b"]).await
    };
    let (woken, pushed) = futures_util::future::join(waiter, push).await;
    pushed?;
    assert_eq!(
        woken?.tail.get(),
        2,
        "the subscription is encrypted as well"
    );

    let refused = Redis::open(&url, support::options()).await;
    assert!(
        matches!(refused, Err(RedisOpenError::Unreachable(_))),
        "{refused:?}"
    );
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}
