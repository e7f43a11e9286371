use redis::Value;
use unbroken::store::StoreError;

/// What a script answered, taken apart value by value.
#[derive(Debug)]
pub(crate) struct ScriptReply {
    values: std::vec::IntoIter<Value>,
}

/// The server answered something that none of our scripts says.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error(
    "Redis holds or answered something that this version can't read; was the key written by something else?"
)]
pub(crate) struct DecodeError;

impl From<DecodeError> for StoreError {
    fn from(unreadable: DecodeError) -> Self {
        Self::unavailable(true, unreadable)
    }
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

    /// A number, in whatever form.
    pub(crate) fn number<T: std::str::FromStr>(&mut self) -> Result<T, DecodeError> {
        self.text()?.parse().map_err(|_| DecodeError)
    }

    /// An array in the array.
    pub(crate) fn inner(&mut self) -> Result<Self, DecodeError> {
        match self.next()? {
            Value::Array(values) => Ok(Self::new(values)),
            _ => Err(DecodeError),
        }
    }
}
