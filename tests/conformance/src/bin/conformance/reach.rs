use std::{io, time::Duration};

use http::Uri;
use thiserror::Error;
use tokio::{
    net::TcpStream,
    time::{error::Elapsed, timeout},
};

const PATIENCE: Duration = Duration::from_secs(5);

/// Nobody to test. Every case would fail for the same reason.
#[derive(Debug, Error)]
pub(crate) enum Unreachable {
    #[error("nothing listens at {0}: {1}")]
    Refused(String, #[source] io::Error),
    #[error("{0} doesn't answer within {PATIENCE:?}")]
    Silent(String, #[source] Elapsed),
}

/// Whether anything listens there.
pub(crate) async fn reach(address: &Uri) -> Result<(), Unreachable> {
    let host = address.host().unwrap_or_default();
    let place = format!("{host}:{}", address.port_u16().unwrap_or(80));
    match timeout(PATIENCE, TcpStream::connect(&place)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(Unreachable::Refused(place, error)),
        Err(elapsed) => Err(Unreachable::Silent(place, elapsed)),
    }
}
