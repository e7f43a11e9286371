//! The JSON of types that know no serde.
#![expect(clippy::ref_option, reason = "serde hands fields over by reference")]

use serde::{Deserialize, Deserializer};

/// Reads a field that some clients send as `null` instead of omitting it.
pub(crate) fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

pub(crate) mod chat_id {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    use crate::log::ChatId;

    pub(crate) fn serialize<S>(id: &Option<ChatId>, serializer: S) -> Result<S::Ok, S::Error>
    where
        S: Serializer,
    {
        id.as_ref().map(ChatId::as_str).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D>(deserializer: D) -> Result<Option<ChatId>, D::Error>
    where
        D: Deserializer<'de>,
    {
        let id = Option::<String>::deserialize(deserializer)?;
        let id = id.map(ChatId::try_from).transpose();
        id.map_err(|error| D::Error::custom(format_args!("`chatId`: {error}")))
    }
}

/// A duration as whole milliseconds.
pub(crate) mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<S>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error>
    where
        S: Serializer,
    {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        time.map(millis).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D>(deserializer: D) -> Result<Option<Duration>, D::Error>
    where
        D: Deserializer<'de>,
    {
        let millis = Option::<u64>::deserialize(deserializer)?;
        Ok(millis.map(Duration::from_millis))
    }
}
