use std::time::Duration;

use unbroken::{
    log::{Digest, ServiceName},
    store::{SessionMeta, Tombstone},
};

use crate::reply::{DecodeError, ScriptReply};

/// Encodes a name that may be missing: a plus sign and the name, or nothing.
pub(crate) fn encode_name(name: Option<&str>) -> String {
    name.map_or_else(String::new, |name| format!("+{name}"))
}

pub(crate) fn decode_name(bytes: &[u8]) -> Result<Option<&str>, DecodeError> {
    let text = std::str::from_utf8(bytes).map_err(|_| DecodeError)?;
    match text.strip_prefix('+') {
        None if !text.is_empty() => Err(DecodeError),
        name => Ok(name),
    }
}

/// Decodes the first fields of the result of `state` in `prelude.lua`.
pub(super) fn decode_meta(reply: &mut ScriptReply) -> Result<SessionMeta, DecodeError> {
    let digest = reply.bytes()?.try_into().map_err(|_| DecodeError)?;
    let (owner, chat) = (reply.bytes()?, reply.bytes()?);
    Ok(SessionMeta {
        owner: checked(decode_name(&owner)?)?,
        chat: checked(decode_name(&chat)?)?,
        service: ServiceName::try_from(reply.text()?).map_err(|_| DecodeError)?,
        digest: Digest(digest),
        format: reply.number()?,
        // Absent in a session without one, and in one that an earlier version wrote.
        outbox: reply.maybe_number()?.map(Duration::from_micros),
    })
}

/// Decodes a tombstone: the digest (32 bytes) and the owner.
pub(crate) fn decode_tombstone(bytes: &[u8]) -> Result<Tombstone, DecodeError> {
    let (digest, owner) = bytes.split_first_chunk().ok_or(DecodeError)?;
    Ok(Tombstone {
        owner: checked(decode_name(owner)?)?,
        digest: Digest(*digest),
    })
}

/// Returns the name, if it has the length of one.
pub(crate) fn checked<'a, T: TryFrom<&'a str>>(
    name: Option<&'a str>,
) -> Result<Option<T>, DecodeError> {
    name.map(T::try_from).transpose().map_err(|_| DecodeError)
}

#[cfg(test)]
mod tests {
    use unbroken::log::Owner;

    use super::*;

    #[test]
    fn names_are_decoded_as_they_were_encoded() {
        for name in [None, Some("+"), Some("ünïcode, and a space")] {
            let bytes = encode_name(name).into_bytes();
            assert_eq!(decode_name(&bytes).unwrap(), name);
            let tombstone = decode_tombstone(&[&[9; 32], &bytes[..]].concat()).unwrap();
            assert_eq!(tombstone.owner, name.map(Owner::new));
            assert_eq!(tombstone.digest, Digest([9; 32]));
        }
        assert!(decode_name(b"no plus").is_err());
        assert!(decode_name(b"+\xff").is_err());
        let too_long = [&[9; 32], &b"+"[..], &[b'n'; 129]].concat();
        let empty = [&[9; 32], &b"+"[..]].concat();
        for bad in [&b""[..], &[9; 31], &[9; 33], &too_long, &empty] {
            assert!(decode_tombstone(bad).is_err(), "{bad:?}");
        }
    }
}
