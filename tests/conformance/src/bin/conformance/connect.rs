use std::{io, time::Duration};

use http::Uri;
use thiserror::Error;
use tokio::{
    net::TcpStream,
    time::{error::Elapsed, timeout},
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The error of a server that accepts no connection, for which every case would fail.
#[derive(Debug, Error)]
pub(crate) enum Unreachable {
    #[error("nothing listens at {0}: {1}")]
    Refused(String, #[source] io::Error),
    #[error("{0} accepts no connection within {CONNECT_TIMEOUT:?}")]
    Silent(String, #[source] Elapsed),
}

/// Checks that the server accepts a connection.
pub(crate) async fn connect(address: &Uri) -> Result<(), Unreachable> {
    let host = address.host().unwrap_or_default();
    let address_text = format!("{host}:{}", address.port_u16().unwrap_or(80));
    match timeout(CONNECT_TIMEOUT, TcpStream::connect(&address_text)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(Unreachable::Refused(address_text, error)),
        Err(elapsed) => Err(Unreachable::Silent(address_text, elapsed)),
    }
}
