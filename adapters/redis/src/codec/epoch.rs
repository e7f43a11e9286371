use unbroken::log::Epoch;

use crate::reply::DecodeError;

/// Encodes an epoch in 16 bytes: the counter and the random bits, both big-endian.
pub(crate) fn encode_epoch(epoch: Epoch) -> [u8; 16] {
    (u128::from(epoch.counter) << 64 | u128::from(epoch.bits)).to_be_bytes()
}

pub(crate) fn decode_epoch(bytes: &[u8]) -> Result<Epoch, DecodeError> {
    let (counter, bits) = bytes.split_first_chunk::<8>().ok_or(DecodeError)?;
    Ok(Epoch {
        counter: u64::from_be_bytes(*counter),
        bits: u64::from_be_bytes(bits.try_into().map_err(|_| DecodeError)?),
    })
}

/// Decodes all epochs of a session, in order.
pub(crate) fn decode_epochs(bytes: &[u8]) -> Result<Vec<Epoch>, DecodeError> {
    bytes.chunks(16).map(decode_epoch).collect()
}
