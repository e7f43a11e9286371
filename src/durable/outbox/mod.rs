//! The delivery of endings to a handler of the application.

mod delivery;

use std::{fmt, future::Future, sync::Arc, time::Duration};

pub(super) use self::delivery::LayerEndings;
use super::{
    SessionEnded,
    hooks::{Hook, hook},
};
use crate::{BoxError, BoxFuture};

/// The handler that takes an ending, or fails.
type Deliver = Arc<dyn Fn(SessionEnded) -> BoxFuture<'static, Result<(), BoxError>> + Send + Sync>;

/// A handler to which the ending of every session of a layer is delivered at least once, whichever server
/// is alive.
///
/// The seal of a session puts its ending into the store, and it stays there until a handler has taken it. A
/// server with this layer takes it soon after the seal. If that server dies before the handler is done, or if the
/// handler fails, the ending is delivered again, by any server with a layer of the same
/// [name](super::DurableLayer::service_name). [`DurableLayer::on_end`](super::DurableLayer::on_end) is simpler,
/// but is lost with its server.
///
/// ```
/// use unbroken::{
///     DurableLayer, Sessions,
///     access::AnyoneWithTheId,
///     durable::{Outbox, SessionEnded},
/// };
///
/// # #[derive(Clone)] struct Ledger;
/// # impl Ledger { async fn charge_once(&self, _: &str, _: u64) -> Result<(), std::io::Error> { Ok(()) } }
/// # let ledger = Ledger;
/// let outbox = Outbox::new(move |ended: SessionEnded| {
///     let ledger = ledger.clone();
///     async move {
///         let tokens = ended.transcript.usage().map_or(0, |usage| usage.output_tokens);
///         // The key makes exactly one of at least one: a second delivery changes nothing.
///         ledger.charge_once(&ended.ending_id, tokens).await
///     }
/// });
/// let durable = DurableLayer::new(Sessions::in_memory(), AnyoneWithTheId::new()).outbox(outbox);
/// ```
///
/// # Webhooks
///
#[cfg_attr(
    feature = "webhook",
    doc = "[`Outbox::webhook`] sends each ending to a URL, signed by the specification Standard Webhooks."
)]
#[cfg_attr(
    not(feature = "webhook"),
    doc = "With the feature `webhook`, `Outbox::webhook` sends each ending to a URL, signed by the specification Standard Webhooks."
)]
///
/// # Retries
///
/// After a failure the ending comes again: after 1 second, then 2, 4 and so on, up to 10 minutes and an eighth, on
/// whichever server looks first. A handler that panics, or takes longer than [`timeout`](Self::timeout), has failed. The delivery that
/// would be the last before the end of [`keep`](Self::keep) is followed by [`on_give_up`](Self::on_give_up). If no
/// server with the layer is alive until then, the store drops the ending.
///
/// The handler must hold no [`Sessions`](crate::session::Sessions) over which its layer stands, or neither is freed
/// before a shutdown.
///
/// # What is kept
///
/// The log and the request of a session are kept until its ending is delivered, also past its
/// [retention](crate::session::Retention). While a handler fails, they pile up in the store: choose
/// [`keep`](Self::keep) by what it can hold. If the session is deleted before, they go, and its ending is delivered
/// with [`deleted`](field@SessionEnded::deleted) and what its terminal event tells, such as the usage.
#[derive(Clone)]
pub struct Outbox {
    deliver: Deliver,
    give_up: Option<Hook<SessionEnded>>,
    keep: Duration,
    timeout: Duration,
}

impl Outbox {
    /// The default of [`keep`](Self::keep).
    pub(super) const KEEP: Duration = Duration::from_secs(3 * 24 * 60 * 60);

    /// Creates an outbox whose endings this handler takes.
    pub fn new<F, R, E>(deliver: F) -> Self
    where
        F: Fn(SessionEnded) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError>,
    {
        let deliver = Arc::new(deliver);
        Self {
            deliver: Arc::new(move |ended| {
                let deliver = deliver.clone();
                Box::pin(async move { deliver(ended).await.map_err(Into::into) })
            }),
            give_up: None,
            keep: Self::KEEP,
            timeout: Duration::from_secs(30),
        }
    }

    /// Creates an outbox whose endings are sent to a webhook.
    ///
    /// ```
    /// use unbroken::durable::{Outbox, Webhook};
    ///
    /// # fn main() -> Result<(), unbroken::durable::WebhookError> {
    /// # let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"; // from the environment
    /// let webhook = Webhook::new("https://billing.example.com/endings", secret)?;
    /// let outbox = Outbox::webhook(webhook).on_give_up(|ended| async move {
    ///     eprintln!("{} was not delivered for 3 days", ended.id);
    /// });
    /// # Ok(()) }
    /// ```
    ///
    /// [`Webhook`](super::Webhook) describes what is sent. A delivery has 10 seconds more than an
    /// [attempt](super::WebhookBuilder::timeout), and 30 seconds at least.
    #[cfg(feature = "webhook")]
    #[cfg_attr(docsrs, doc(cfg(feature = "webhook")))]
    pub fn webhook(webhook: super::Webhook) -> Self {
        let timeout = webhook.timeout().saturating_add(Duration::from_secs(10));
        let outbox = Self::new(move |ended: SessionEnded| {
            let webhook = webhook.clone();
            async move { webhook.deliver(&ended).await }
        });
        let timeout = timeout.max(outbox.timeout);
        outbox.timeout(timeout)
    }

    /// Sets the longest time for which an ending waits for its delivery after the seal. Default 3 days.
    ///
    /// It is stored with each session at its start.
    pub fn keep(mut self, keep: Duration) -> Self {
        self.keep = keep;
        self
    }

    /// Sets the longest time of one delivery. Default 30 seconds.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets a hook for an ending whose last delivery has failed, such as one that keeps it elsewhere. It has as
    /// much time as a delivery. Default: it is only traced, as an error.
    pub fn on_give_up<F, R>(mut self, run: F) -> Self
    where
        F: Fn(SessionEnded) -> R + Send + Sync + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        self.give_up = Some(hook(run));
        self
    }

    /// Returns the time for which an ending waits.
    pub(super) fn kept_for(&self) -> Duration {
        self.keep
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox")
            .field("keep", &self.keep)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
