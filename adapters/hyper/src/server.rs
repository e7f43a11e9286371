use std::{error::Error, future::Future, sync::Arc};

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::{JoinError, JoinSet},
    time::{Instant, timeout, timeout_at},
};
use tower_service::Service;
use unbroken::BoxError;

use crate::{
    ConnectionError, Listener, Peer, Serve, ServerLimits, accept::Acceptor, limits::after,
    peer::WithPeer, serve_connection,
};

/// Serves until the signal, then stops in the order that [`Serve::with_graceful_shutdown`] documents.
pub(crate) async fn run<L, S, B>(server: Serve<L, S>)
where
    L: Listener,
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let Serve {
        listener,
        service,
        limits,
        mut signal,
        hand_over,
    } = server;
    let limits = Arc::new(limits);
    let slots = limits.connections.clamp(1, Semaphore::MAX_PERMITS);
    let slots = Arc::new(Semaphore::new(slots));
    let (stop, stopped) = watch::channel(());
    let mut connections = JoinSet::new();
    let mut acceptor = Acceptor::new(listener, slots);
    loop {
        let (handshake, peer, slot) = tokio::select! {
            biased;
            () = &mut signal => break,
            Some(ended) = connections.join_next() => {
                log_end(ended);
                continue;
            }
            accepted = acceptor.next() => accepted,
        };
        let service = WithPeer {
            service: service.clone(),
            peer: Peer(peer),
        };
        connections.spawn(connection(
            handshake,
            service,
            limits.clone(),
            stopped.clone(),
            slot,
        ));
    }
    drop((acceptor, service, stopped));
    let stopped_at = Instant::now();
    stop.send_replace(());

    let deadline = hand_over.iter().map(|(_, deadline)| *deadline).max();
    let deadline = deadline.unwrap_or(Serve::<L, S>::DEADLINE);
    // A session continues without a reader, so this may outlast the connections.
    let mut handing_over: JoinSet<()> = hand_over
        .into_iter()
        .map(|(sessions, deadline)| async move { sessions.shutdown(deadline).await })
        .collect();
    while handing_over.join_next().await.is_some() {}
    let last = after(
        Instant::now().max(after(stopped_at, deadline)),
        limits.flush_timeout,
    );
    let drain = async {
        while let Some(ended) = connections.join_next().await {
            log_end(ended);
        }
    };
    if timeout_at(last, drain).await.is_err() {
        tracing::info!(remaining = connections.len(), "cutting connections");
    }
    connections.shutdown().await;
}

async fn connection<I, S, B>(
    handshake: impl Future<Output = std::io::Result<I>>,
    service: S,
    limits: Arc<ServerLimits>,
    mut stop: watch::Receiver<()>,
    _slot: OwnedSemaphorePermit,
) -> Result<(), ConnectionError>
where
    I: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let io = tokio::select! {
        biased;
        _ = stop.changed() => return Ok(()),
        done = timeout(limits.head_timeout, handshake) => done
            .map_err(|_| ConnectionError::NoRequest)?
            .map_err(|error| ConnectionError::Http(error.into()))?,
    };
    let mut connection = serve_connection(io, service, &limits);
    tokio::select! {
        biased;
        ended = &mut connection => return ended,
        _ = stop.changed() => connection.graceful_shutdown(),
    }
    connection.await
}

fn log_end(ended: Result<Result<(), ConnectionError>, JoinError>) {
    match ended {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::debug!(error = &error as &dyn Error, "a connection failed");
        }
        Err(error) => tracing::error!(error = &error as &dyn Error, "a service panicked"),
    }
}
