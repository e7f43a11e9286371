use std::sync::Arc;

use unbroken::{
    log::{ChatId, Digest, Owner, ServiceName},
    store::SessionMeta,
};

use crate::reply::DecodeError;

/// Encodes metadata: the format (two bytes), the digest (32), then owner, chat and service, each as a
/// length (four bytes, all ones for `None`) and text.
pub(crate) fn encode_meta(meta: &SessionMeta) -> Vec<u8> {
    let mut bytes = meta.format.to_be_bytes().to_vec();
    bytes.extend(meta.digest.0);
    let names = [
        meta.owner.as_ref().map(Owner::as_str),
        meta.chat.as_ref().map(ChatId::as_str),
        Some(meta.service.as_str()),
    ];
    for name in names {
        let length = name.map_or(NONE, |name| u32::try_from(name.len()).unwrap_or(NONE - 1));
        bytes.extend(length.to_be_bytes());
        bytes.extend(name.unwrap_or_default().as_bytes());
    }
    bytes
}

const NONE: u32 = u32::MAX;

pub(crate) fn decode_meta(bytes: &[u8]) -> Result<SessionMeta, DecodeError> {
    let (format, bytes) = bytes.split_first_chunk().ok_or(DecodeError)?;
    let (digest, mut bytes) = bytes.split_first_chunk().ok_or(DecodeError)?;
    let (owner, chat) = (name(&mut bytes)?, name(&mut bytes)?);
    Ok(SessionMeta {
        owner: owner.map(Owner::new),
        chat: chat.map(ChatId::new),
        service: ServiceName::new(name(&mut bytes)?.ok_or(DecodeError)?),
        digest: Digest(*digest),
        format: u16::from_be_bytes(*format),
    })
}

fn name(bytes: &mut &[u8]) -> Result<Option<Arc<str>>, DecodeError> {
    let (length, rest) = bytes.split_first_chunk().ok_or(DecodeError)?;
    let length = u32::from_be_bytes(*length);
    if length == NONE {
        *bytes = rest;
        return Ok(None);
    }
    let length = usize::try_from(length).map_err(|_| DecodeError)?;
    let (text, rest) = rest.split_at_checked(length).ok_or(DecodeError)?;
    *bytes = rest;
    let text = std::str::from_utf8(text).map_err(|_| DecodeError)?;
    Ok(Some(text.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_decoded_as_it_was_encoded() {
        for owner in [None, Some("")] {
            for chat in [None, Some("a chat, ünïcode")] {
                let meta = SessionMeta {
                    owner: owner.map(Owner::new),
                    chat: chat.map(ChatId::new),
                    service: ServiceName::new("a service"),
                    digest: Digest([9; 32]),
                    format: 0xabcd,
                };
                let bytes = encode_meta(&meta);
                assert_eq!(decode_meta(&bytes).unwrap(), meta);
                for end in 0..bytes.len() {
                    assert!(decode_meta(&bytes[..end]).is_err(), "cut at {end}");
                }
            }
        }
    }
}
