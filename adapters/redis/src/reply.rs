use redis::Value;
use unbroken::{log::Lsn, store::StoreError};

/// The reply of a script, read value by value.
#[derive(Debug)]
pub(crate) struct ScriptReply {
    values: std::vec::IntoIter<Value>,
}

/// An error of a reply that no script of this version makes.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error(
    "Redis holds or returned a value that this version can't read; check that no other program writes under the prefix"
)]
pub(crate) struct DecodeError;

impl From<DecodeError> for StoreError {
    // It would be the same the next time.
    fn from(error: DecodeError) -> Self {
        unreadable(&error)
    }
}

/// Makes the error of a session of which a key has the wrong type, or holds what this version can't read.
pub(crate) fn unreadable(error: &(dyn std::error::Error + 'static)) -> StoreError {
    tracing::error!(
        error,
        "Redis holds what this version can't read under the prefix"
    );
    StoreError::Corrupt { lsn: Lsn::ZERO }
}

impl ScriptReply {
    pub(crate) fn new(values: Vec<Value>) -> Self {
        Self {
            values: values.into_iter(),
        }
    }

    fn next(&mut self) -> Result<Value, DecodeError> {
        self.values.next().ok_or(DecodeError)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.values.len() == 0
    }

    pub(crate) fn bytes(&mut self) -> Result<Vec<u8>, DecodeError> {
        self.maybe_bytes()?.ok_or(DecodeError)
    }

    pub(crate) fn maybe_bytes(&mut self) -> Result<Option<Vec<u8>>, DecodeError> {
        match self.next()? {
            Value::BulkString(bytes) => Ok(Some(bytes)),
            Value::SimpleString(text) => Ok(Some(text.into_bytes())),
            Value::Int(number) => Ok(Some(number.to_string().into_bytes())),
            Value::Nil | Value::Boolean(false) => Ok(None),
            _ => Err(DecodeError),
        }
    }

    pub(crate) fn text(&mut self) -> Result<String, DecodeError> {
        String::from_utf8(self.bytes()?).map_err(|_| DecodeError)
    }

    /// Reads a number, whether it comes as a number or as text.
    pub(crate) fn number<T: std::str::FromStr>(&mut self) -> Result<T, DecodeError> {
        self.text()?.parse().map_err(|_| DecodeError)
    }

    /// Reads a number that may be missing.
    pub(crate) fn maybe_number<T: std::str::FromStr>(&mut self) -> Result<Option<T>, DecodeError> {
        let Some(bytes) = self.maybe_bytes()? else {
            return Ok(None);
        };
        let text = std::str::from_utf8(&bytes).map_err(|_| DecodeError)?;
        text.parse().map(Some).map_err(|_| DecodeError)
    }

    /// Reads a nested array.
    pub(crate) fn inner(&mut self) -> Result<Self, DecodeError> {
        self.maybe_inner()?.ok_or(DecodeError)
    }

    pub(crate) fn maybe_inner(&mut self) -> Result<Option<Self>, DecodeError> {
        match self.next()? {
            Value::Array(values) => Ok(Some(Self::new(values))),
            Value::Nil => Ok(None),
            _ => Err(DecodeError),
        }
    }
}
