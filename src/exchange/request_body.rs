use std::{
    error::Error,
    future::poll_fn,
    iter,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http_body::Body;
use http_body_util::LengthLimitError;

use crate::{
    BoxError,
    dialect::{Problem, Refusal},
    session::Sessions,
};

/// The longest wait for the next bytes of a body that is drained.
const DRAIN_IDLE: Duration = Duration::from_secs(1);
/// The longest time that a body is drained.
const DRAIN_TOTAL: Duration = Duration::from_secs(30);

/// The body of a request, which is read within limits or drained.
pub(crate) struct IncomingBody<B> {
    body: Pin<Box<B>>,
    whole: bool,
}

impl<B> IncomingBody<B>
where
    B: Body,
    B::Data: Buf,
    B::Error: Into<BoxError>,
{
    pub(crate) fn new(body: B) -> Self {
        Self {
            body: Box::pin(body),
            whole: false,
        }
    }

    /// Reads the whole body, if it has at most `max` bytes and arrives in time.
    pub(crate) async fn read(&mut self, max: usize, within: Duration) -> Result<Bytes, Refusal> {
        // Refused by the announced length, before the client sends the body.
        if self.body.size_hint().lower() > max as u64 {
            return Err(too_large(max));
        }
        let whole = tokio::time::timeout(within, self.read_all(max)).await;
        let whole = whole.unwrap_or_else(|_| {
            let seconds = within.as_secs_f32();
            Err(Refusal::new(
                Problem::BodyTooSlow,
                format!("the body must arrive within {seconds} seconds; send the request again"),
            ))
        })?;
        self.whole = true;
        Ok(whole)
    }

    async fn read_all(&mut self, max: usize) -> Result<Bytes, Refusal> {
        let mut whole = BytesMut::new();
        while let Some(frame) = poll_fn(|cx| self.body.as_mut().poll_frame(cx)).await {
            let frame = frame.map_err(|error| {
                let error = error.into();
                tracing::debug!(error = &*error as &dyn Error, "a body was cut");
                if is_length_limit(&*error) {
                    // The limit of an outer layer.
                    return too_large(max);
                }
                Refusal::new(
                    Problem::IncompleteBody,
                    "the body broke off; send the request again",
                )
            })?;
            if let Ok(data) = frame.into_data() {
                if data.remaining() > max - whole.len() {
                    return Err(too_large(max));
                }
                whole.put(data);
            }
        }
        Ok(whole.freeze())
    }

    /// Reads and discards up to `max` bytes of the rest of the body, on a task beside the response.
    /// Stops once the server shuts down.
    ///
    /// A connection that is closed while a part of the request is unread is reset. A sender that is
    /// still sending, such as a proxy, would never see the response.
    pub(crate) fn drain(mut self, max: usize, sessions: Sessions)
    where
        B: Send + 'static,
        B::Data: Send,
    {
        if self.whole || self.body.is_end_stream() || self.is_at_end() {
            return;
        }
        tokio::spawn(async move {
            let mut left = max;
            let read = async {
                while !sessions.is_closing() {
                    let frame = poll_fn(|cx| self.body.as_mut().poll_frame(cx));
                    let Ok(Some(Ok(frame))) = tokio::time::timeout(DRAIN_IDLE, frame).await else {
                        break;
                    };
                    let bytes = frame.data_ref().map_or(0, Buf::remaining);
                    match left.checked_sub(bytes) {
                        Some(rest) => left = rest,
                        None => break,
                    }
                }
            };
            let _ = tokio::time::timeout(DRAIN_TOTAL, read).await;
        });
    }

    /// Returns true if the end of the body is ready. Some frameworks don't report it in
    /// `is_end_stream` for an empty body.
    fn is_at_end(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        matches!(
            self.body.as_mut().poll_frame(&mut cx),
            Poll::Ready(None | Some(Err(_)))
        )
    }
}

fn too_large(max: usize) -> Refusal {
    Refusal::new(
        Problem::BodyTooLarge,
        format!("a body may have {max} bytes; send a shorter one"),
    )
}

/// Finds the error of a length limit among the sources: frameworks wrap the errors of bodies.
fn is_length_limit(error: &(dyn Error + 'static)) -> bool {
    iter::successors(Some(error), |&error| error.source()).any(<dyn Error>::is::<LengthLimitError>)
}

#[cfg(test)]
mod tests {
    use http_body_util::{Full, Limited};

    use super::*;

    #[tokio::test]
    async fn the_length_limit_of_an_outer_layer_is_refused_as_too_large_also_behind_a_wrapper() {
        let limited = || Limited::new(Full::new(Bytes::from_static(b"too long")), 3);
        let second = Duration::from_secs(1);
        let bare = IncomingBody::new(limited()).read(100, second).await;
        assert_eq!(bare.unwrap_err().problem, Problem::BodyTooLarge);
        let wrapped = IncomingBody::new(axum::body::Body::new(limited()))
            .read(100, second)
            .await;
        assert_eq!(wrapped.unwrap_err().problem, Problem::BodyTooLarge);
    }
}
