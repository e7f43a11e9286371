use tokio_postgres::{
    Socket,
    tls::{MakeTlsConnect, TlsConnect},
};

/// A connector for TLS that a pool can use: `tokio_postgres::NoTls`, and those of the crates
/// `tokio-postgres-rustls`, `postgres-native-tls` and `postgres-openssl`. Implemented for every type
/// with the bounds.
pub trait Tls:
    MakeTlsConnect<
        Socket,
        Stream: Send + Sync + 'static,
        TlsConnect: TlsConnect<Socket, Future: Send> + Send + Sync,
    > + Clone
    + Send
    + Sync
    + 'static
{
}

impl<T> Tls for T where
    T: MakeTlsConnect<
            Socket,
            Stream: Send + Sync + 'static,
            TlsConnect: TlsConnect<Socket, Future: Send> + Send + Sync,
        > + Clone
        + Send
        + Sync
        + 'static
{
}

/// Creates a connector with the root certificates of the system. It names the crypto provider, as
/// rustls does not choose one if the program has two.
#[cfg(feature = "tls")]
pub(crate) fn system() -> Result<tokio_postgres_rustls::MakeRustlsConnect, crate::PostgresOpenError>
{
    use std::sync::Arc;

    use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};

    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let error = found.errors.into_iter().next();
        let error = error.map_or_else(|| "the system has no root certificates".into(), Into::into);
        return Err(crate::PostgresOpenError::Tls(error));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| crate::PostgresOpenError::Tls(error.into()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(tokio_postgres_rustls::MakeRustlsConnect::new(config))
}
