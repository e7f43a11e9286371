use unbroken::store::StoredAnswer;

use crate::reply::DecodeError;

/// Decodes an answer and its place in the order, as `answer.lua` writes them.
pub(crate) fn decode_answer(
    name: &str,
    stored: &[u8],
) -> Result<(usize, StoredAnswer), DecodeError> {
    let colon = stored.iter().position(|&byte| byte == b':');
    let (place, content) = stored.split_at(colon.ok_or(DecodeError)?);
    let place = std::str::from_utf8(place).map_err(|_| DecodeError)?;
    let place = place.parse().map_err(|_| DecodeError)?;
    Ok((place, StoredAnswer::decode(name, content[1..].to_vec())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_decoded_with_its_place() {
        let (place, answer) = decode_answer("a:b", b"12:c:\xff").unwrap();
        assert_eq!((place, &*answer.name), (12, "a:b"));
        assert_eq!(&answer.encoded()[..], b"c:\xff");
        assert_eq!(
            decode_answer("a", b"0:").unwrap(),
            (0, StoredAnswer::closed("a"))
        );
        for bad in [&b""[..], b"12", b":x", b"x:y", b"-1:y"] {
            assert!(decode_answer("a", bad).is_err(), "{bad:?}");
        }
    }
}
