use std::time::Duration;

use unbroken::{log::SessionId, store::StoreError};

use super::{EndingTimes, SessionLook};
use crate::{
    Redis,
    link::CommandError,
    reply::{DecodeError, ScriptReply},
};

/// The finding of a look at a session that an index names.
#[derive(Debug)]
pub(crate) enum SessionProbe {
    /// A session.
    Present(SessionLook),
    /// A tombstone.
    Buried {
        /// The time for which it is kept.
        left: Duration,
        /// The ending of the session, if it still waits for its delivery.
        ending: Option<EndingTimes>,
    },
    /// Nothing.
    Absent,
    /// A key of the wrong type, or a value that can't be read.
    Unreadable,
}

impl Redis {
    /// Looks at a session that an index names, where one that can't be read must not hide the others.
    ///
    /// # Errors
    ///
    /// Returns an error only if the server did not answer.
    pub(crate) async fn probe(&self, id: &SessionId) -> Result<SessionProbe, StoreError> {
        let unreadable = |error: &(dyn std::error::Error + 'static)| {
            tracing::warn!(%id, error, "a session can't be read; remove its keys");
            Ok(SessionProbe::Unreadable)
        };
        match self.look_call(id).send(&self.inner.link).await {
            Ok(reply) => read(reply).or_else(|error| unreadable(&error)),
            Err(CommandError::Damaged(error)) => unreadable(&error),
            Err(error) => Err(error.into()),
        }
    }
}

fn read(mut reply: ScriptReply) -> Result<SessionProbe, DecodeError> {
    match reply.text()?.as_str() {
        "ok" => Ok(SessionProbe::Present(SessionLook::decode(reply)?)),
        "gone" => {
            reply.bytes()?;
            let left = reply.number::<i64>()?;
            let left = u64::try_from(left).unwrap_or(0);
            Ok(SessionProbe::Buried {
                left: Duration::from_millis(left),
                ending: EndingTimes::decode(&mut reply)?,
            })
        }
        "none" => Ok(SessionProbe::Absent),
        _ => Err(DecodeError),
    }
}
