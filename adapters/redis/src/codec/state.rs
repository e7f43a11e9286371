use std::{sync::Arc, time::Duration};

use unbroken::{
    log::{ErrorCode, Lsn, Outcome, Status},
    store::{AbortRequest, Lease, SessionState},
};

use super::{decode_epoch, meta::decode_meta};
use crate::reply::{DecodeError, ScriptReply};

/// Decodes the result of `state` in `prelude.lua`.
pub(crate) fn decode_state(mut reply: ScriptReply) -> Result<SessionState, DecodeError> {
    Ok(SessionState {
        meta: Arc::new(decode_meta(&mut reply)?),
        epoch: decode_epoch(&reply.bytes()?)?,
        attempts: reply.number()?,
        tail: Lsn::new(reply.number()?),
        status: decode_status(&reply.text()?)?,
        abort: reply.maybe_bytes()?.map(decode_abort).transpose()?,
        lease: match reply.number::<i64>()? {
            0 => Lease::Expired,
            left => match u64::try_from(left) {
                Ok(left) => Lease::Held(Duration::from_micros(left)),
                Err(_) => Lease::Free,
            },
        },
        age: Duration::from_micros(reply.number()?),
        answers: reply.number()?,
        ended: u64::try_from(reply.number::<i64>()?)
            .ok()
            .map(Duration::from_micros),
    })
}

/// Encodes a status as its word, with the code of an error.
pub(crate) fn encode_status(status: Status) -> String {
    match status {
        Status::Ended(Outcome::Error(code)) => format!("{ERROR}{code}"),
        other => other.as_str().to_owned(),
    }
}

const ERROR: &str = "error:";

fn decode_status(word: &str) -> Result<Status, DecodeError> {
    Ok(match word {
        "streaming" => Status::Streaming,
        "waiting" => Status::Waiting,
        "complete" => Status::Ended(Outcome::Complete),
        "aborted" => Status::Ended(Outcome::Aborted),
        other => {
            let code = other.strip_prefix(ERROR).ok_or(DecodeError)?;
            let code = ErrorCode::from_word(code).ok_or(DecodeError)?;
            Status::Ended(Outcome::Error(code))
        }
    })
}

/// Encodes an abort request as a sign, with the reason if there is one.
pub(crate) fn encode_abort(abort: &AbortRequest) -> String {
    match &abort.reason {
        None => "-".to_owned(),
        Some(reason) => format!("+{reason}"),
    }
}

pub(crate) fn decode_abort(bytes: Vec<u8>) -> Result<AbortRequest, DecodeError> {
    let text = String::from_utf8(bytes).map_err(|_| DecodeError)?;
    Ok(AbortRequest {
        reason: match text.split_at_checked(1).ok_or(DecodeError)? {
            ("+", reason) => Some(reason.into()),
            _ => None,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_and_aborts_survive_their_bytes() {
        let errors = ErrorCode::ALL.iter().map(|&code| Outcome::Error(code));
        let ended = errors.chain([Outcome::Complete, Outcome::Aborted]);
        let open = [Status::Streaming, Status::Waiting];
        for status in ended.map(Status::Ended).chain(open) {
            assert_eq!(decode_status(&encode_status(status)).unwrap(), status);
        }
        for reason in [None, Some("".into()), Some("+ünough".into())] {
            let abort = AbortRequest { reason };
            let bytes = encode_abort(&abort).into_bytes();
            assert_eq!(decode_abort(bytes).unwrap(), abort);
        }
    }
}
