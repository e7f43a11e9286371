use std::{error::Error, io, sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep_until},
};

use crate::Listener;

const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Accepts clients while fewer than the limit are connected, and retries after errors.
#[derive(Debug)]
pub(crate) struct Acceptor<L> {
    listener: L,
    slots: Arc<Semaphore>,
    pause: Option<AcceptPause>,
}

/// A pause after an error that isn't of a single client. It ends at a point in time, so that a call
/// which replaces a cancelled one waits for the rest of it.
#[derive(Debug, Clone, Copy)]
struct AcceptPause {
    length: Duration,
    until: Instant,
}

impl<L: Listener> Acceptor<L> {
    pub(crate) fn new(listener: L, slots: Arc<Semaphore>) -> Self {
        Self {
            listener,
            slots,
            pause: None,
        }
    }

    /// Waits for the next client and for a free slot. Cancel safe.
    pub(crate) async fn next(&mut self) -> (L::Handshake, L::Peer, OwnedSemaphorePermit) {
        let slot = self.slots.clone().acquire_owned().await;
        let slot = slot.expect("the semaphore is never closed");
        loop {
            if let Some(pause) = self.pause {
                sleep_until(pause.until).await;
            }
            match self.listener.accept().await {
                Ok((handshake, peer)) => {
                    self.pause = None;
                    return (handshake, peer, slot);
                }
                Err(error) if is_of_one_client(&error) => {}
                Err(error) => {
                    let length = self
                        .pause
                        .map_or(FIRST_PAUSE, |pause| (2 * pause.length).min(LONGEST_PAUSE));
                    tracing::error!(error = &error as &dyn Error, pause = ?length, "can't accept clients");
                    let until = Instant::now() + length;
                    self.pause = Some(AcceptPause { length, until });
                }
            }
        }
    }
}

/// Returns true if the error is of a single client, so that the next can be accepted at once.
fn is_of_one_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests {
    use std::future::{Ready, ready};

    use tokio::{io::DuplexStream, time::Instant};

    use super::*;

    /// A listener that returns these errors, then a client.
    struct FailingListener(Vec<io::Error>);

    impl Listener for FailingListener {
        type Io = DuplexStream;
        type Handshake = Ready<io::Result<DuplexStream>>;
        type Peer = ();

        async fn accept(&mut self) -> io::Result<(Self::Handshake, ())> {
            match self.0.pop() {
                Some(error) => Err(error),
                None => Ok((ready(Ok(tokio::io::duplex(1).0)), ())),
            }
        }
    }

    async fn accepted_after(errors: impl IntoIterator<Item = io::Error>) -> Duration {
        let slots = Arc::new(Semaphore::new(1));
        let mut acceptor = Acceptor::new(FailingListener(errors.into_iter().collect()), slots);
        let began = Instant::now();
        drop(acceptor.next().await);
        assert!(acceptor.pause.is_none());
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn without_file_descriptors_it_pauses_and_goes_on() {
        let emfile = || io::Error::from_raw_os_error(24);
        let once = accepted_after([emfile()]).await;
        assert!(once >= FIRST_PAUSE && once < 2 * FIRST_PAUSE, "{once:?}");
        let often = accepted_after((0..100).map(|_| emfile())).await;
        assert!(often > 90 * LONGEST_PAUSE && often < 100 * LONGEST_PAUSE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_ends_although_calls_are_cancelled() {
        let emfile = || io::Error::from_raw_os_error(24);
        let errors = (0..10).map(|_| emfile()).collect();
        let mut acceptor = Acceptor::new(FailingListener(errors), Arc::new(Semaphore::new(1)));
        let began = Instant::now();
        // A server cancels the call each time that a connection ends.
        while tokio::time::timeout(FIRST_PAUSE / 2, acceptor.next())
            .await
            .is_err()
        {
            assert!(began.elapsed() < 10 * LONGEST_PAUSE, "it never accepts");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_has_disconnected_delays_no_other() {
        let gone = || io::Error::from(io::ErrorKind::ConnectionAborted);
        assert_eq!(
            accepted_after((0..100).map(|_| gone())).await,
            Duration::ZERO
        );
    }
}
