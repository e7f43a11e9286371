use std::time::Duration;

use super::StoredEnding;
use crate::{BoxError, BoxFuture};

/// A handler to which the endings of a service are delivered, each at least once.
///
/// Register it with [`Sessions::on_ending`](crate::session::Sessions::on_ending) under the name of the service,
/// on every server that is to deliver. A session has an ending to deliver if it was started with
/// [`SessionSpec::outbox`](crate::session::SessionSpec::outbox). The handler must not hold a
/// [`Sessions`](crate::session::Sessions), or neither is freed before a shutdown, which drops the handler.
///
/// An ending comes again if the handler fails, panics or takes too long, if the server dies before the
/// store knows that it was delivered, and if the store loses that. So a handler has to do nothing the second time:
/// the session's id and [`sealed_by`](field@StoredEnding::sealed_by) tell. An id alone doesn't, since it can be used
/// again after its tombstone.
pub trait EndingHandler: Send + Sync + 'static {
    /// Takes an ending. It is taken once the future returns `Ok`.
    ///
    /// # Errors
    ///
    /// Any error. The ending comes again, on this server or another, after a pause that grows from one second to
    /// ten minutes, and varies by an eighth. The error is traced.
    ///
    /// # Cancellation
    ///
    /// The future is dropped after [`timeout`](Self::timeout), and when the server ends.
    fn deliver(&self, ending: StoredEnding) -> BoxFuture<'_, Result<(), BoxError>>;

    /// Takes an ending whose last delivery has failed: the store would drop it before the next one. It doesn't come
    /// again once the future is done. Default: it is only traced.
    fn give_up(&self, ending: StoredEnding) -> BoxFuture<'_, ()> {
        drop(ending);
        Box::pin(std::future::ready(()))
    }

    /// Returns the longest time of a delivery. Default 30 seconds.
    fn timeout(&self) -> Duration {
        Duration::from_secs(30)
    }
}
