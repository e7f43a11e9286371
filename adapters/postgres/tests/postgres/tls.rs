//! Connections with TLS, to a server with a self-signed certificate.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use libtest_mimic::Trial;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, pem::PemObject},
};
use tokio_postgres_rustls::MakeRustlsConnect;
use unbroken::store::{AfterAppend, Store, StoreExt};
use unbroken_postgres::{
    Postgres, PostgresOpenError, PostgresOptions,
    tokio_postgres::{Config, config::SslMode},
};

use crate::{
    fixture::{chunk, session, texts},
    machine::{Checked, Machine, connect, ignored},
    tools::Server,
};

pub(crate) fn trials(machine: &Machine) -> Vec<Trial> {
    let name = "a_certificate_that_the_application_trusts_is_enough";
    match Server::programs() {
        Some(bin) => vec![machine.trial(name, move |_| trusted(bin))],
        None => vec![Trial::ignorable_test(name, || {
            ignored("initdb is not installed")
        })],
    }
}

async fn trusted(bin: PathBuf) -> Checked {
    let server = Server::start(bin).await?;
    let certificate = server.encrypt().await?;
    let config = |host: &str| {
        let mut config = Config::new();
        config
            .host(host)
            .hostaddr([127, 0, 0, 1].into())
            .port(server.port())
            .user("postgres")
            .dbname("postgres")
            .ssl_mode(SslMode::Require);
        config
    };
    let store = Postgres::open_with(
        config("localhost"),
        trusts(&certificate)?,
        PostgresOptions::new(),
    )
    .await?;
    let (id, epoch) = session(&store).await?;
    store
        .append(&id, chunk(1, epoch, &["a"]), AfterAppend::Streaming)
        .await?;
    assert_eq!(texts(&store, &id).await?, ["a"]);
    // All connections of the store are encrypted, and the one that listens receives notifications.
    let plain = "SELECT count(*) FROM pg_stat_activity JOIN pg_stat_ssl USING (pid) \
        WHERE NOT ssl AND client_addr IS NOT NULL AND pid <> pg_backend_pid()";
    let listening = "SELECT count(*) FROM pg_stat_activity JOIN pg_stat_ssl USING (pid) \
        WHERE ssl AND application_name LIKE '%(listening)'";
    let admin = connect(&server.url()).await?;
    let mut tries = 50;
    while admin.query_one(listening, &[]).await?.get::<_, i64>(0) == 0 {
        tries -= 1;
        assert!(tries > 0, "nobody listens over TLS");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(admin.query_one(plain, &[]).await?.get::<_, i64>(0), 0);
    let seen = store.state(&id).await?.version();
    let waiter = store.changed(&id, seen.into(), Duration::from_secs(60));
    let append = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        store
            .append(&id, chunk(2, epoch, &["b"]), AfterAppend::Streaming)
            .await
    };
    let began = Instant::now();
    let (woken, appended) = tokio::join!(waiter, append);
    appended?;
    let took = began.elapsed();
    assert!(took < Duration::from_secs(1), "polled after {took:?}");
    assert_eq!(woken?.tail.get(), 2);

    // For another name, or with the certificates of the system alone, it is not trusted.
    let other = Postgres::open_with(
        config("elsewhere"),
        trusts(&certificate)?,
        PostgresOptions::new(),
    )
    .await;
    assert!(
        matches!(other, Err(PostgresOpenError::Unavailable(_))),
        "{other:?}"
    );
    let url = server.url().replace("127.0.0.1", "localhost") + "?sslmode=require";
    let system = Postgres::open(&url, PostgresOptions::new()).await;
    assert!(
        matches!(
            system,
            Err(PostgresOpenError::Unavailable(_) | PostgresOpenError::Tls(_))
        ),
        "{system:?}"
    );
    Ok(())
}

fn trusts(pem: &[u8]) -> Result<MakeRustlsConnect, Box<dyn std::error::Error + Send + Sync>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pem)?)?;
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}
