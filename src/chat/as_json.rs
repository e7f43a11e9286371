//! The JSON of types that know no serde.
#![expect(clippy::ref_option, reason = "serde hands fields over by reference")]

pub(super) mod chat_id {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

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
        Ok(id.map(ChatId::new))
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
