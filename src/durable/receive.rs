use std::{error::Error, future::poll_fn, pin::pin, time::Duration};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http_body::Body;
use http_body_util::LengthLimitError;

use crate::{
    BoxError,
    dialect::{Problem, Refusal},
};

/// The whole body of a request, if it is small and fast enough.
pub(super) async fn receive<B>(body: B, max: usize, within: Duration) -> Result<Bytes, Refusal>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    let too_large = || {
        Refusal::new(
            Problem::BodyTooLarge,
            format!("a body may have {max} bytes; send a shorter conversation"),
        )
    };
    // What the client announces is refused before it is sent.
    if body.size_hint().lower() > max as u64 {
        return Err(too_large());
    }
    let read = async {
        let mut body = pin!(body);
        let mut whole = BytesMut::new();
        while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
            let frame = frame.map_err(|error| {
                let error = error.into();
                tracing::debug!(error = &*error as &dyn Error, "a body was cut");
                if error.is::<LengthLimitError>() {
                    // A layer outside has a limit of its own.
                    return too_large();
                }
                Refusal::new(
                    Problem::IncompleteBody,
                    "the body broke off; send the request again",
                )
            })?;
            if let Ok(data) = frame.into_data() {
                if data.remaining() > max - whole.len() {
                    return Err(too_large());
                }
                whole.put(data);
            }
        }
        Ok(whole.freeze())
    };
    tokio::time::timeout(within, read)
        .await
        .unwrap_or_else(|_| {
            Err(Refusal::new(
                Problem::BodyTooSlow,
                format!(
                    "the body must arrive within {} seconds; send the request again",
                    within.as_secs_f32()
                ),
            ))
        })
}
