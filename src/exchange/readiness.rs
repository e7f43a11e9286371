use std::{future::poll_fn, task::Poll, time::Duration};

use tower_service::Service;

/// Waits until a service takes a request, for this time at most; with zero it asks once. `Pending` if the service
/// takes none. Cancel safe.
pub(crate) async fn ready<R, S>(service: &mut S, within: Duration) -> Poll<Result<(), S::Error>>
where
    S: Service<R>,
{
    if within.is_zero() {
        return poll_fn(|cx| Poll::Ready(service.poll_ready(cx))).await;
    }
    let ready = poll_fn(|cx| service.poll_ready(cx));
    match tokio::time::timeout(within, ready).await {
        Ok(ready) => Poll::Ready(ready),
        Err(_) => Poll::Pending,
    }
}
