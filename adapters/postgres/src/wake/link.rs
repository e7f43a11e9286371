use std::fmt::Write;

use tokio::sync::OnceCell;
use tokio_postgres::Client;
use unbroken::log::SessionId;

use super::ChangeKind;

/// The number of channels, which the sessions share. A server listens only to those of its waiters. All
/// versions must have the same number.
const SHARDS: usize = 32;

/// The connection that listens.
#[derive(Debug)]
pub(crate) struct ListenConnection {
    pub(crate) client: Client,
    schema: String,
    listening: [OnceCell<()>; SHARDS],
}

impl ListenConnection {
    pub(crate) fn new(client: Client, schema: &str) -> Self {
        Self {
            client,
            schema: schema.to_owned(),
            listening: [const { OnceCell::const_new() }; SHARDS],
        }
    }

    /// Listens to the channel of a session, unless it does already. Returns false if that failed.
    pub(crate) async fn listen(&self, id: &SessionId) -> bool {
        let shard = shard(id);
        let listen = || async {
            let channel = channel(&self.schema, shard);
            let listen = format!("LISTEN \"{channel}\"");
            self.client.batch_execute(&listen).await
        };
        self.listening[shard].get_or_try_init(listen).await.is_ok()
    }
}

pub(crate) fn channel_of(schema: &str, id: &SessionId) -> String {
    channel(schema, shard(id))
}

fn channel(schema: &str, shard: usize) -> String {
    format!("{schema}_{shard}")
}

/// Hashes an id by FNV-1a, which is equal on every server.
fn shard(id: &SessionId) -> usize {
    let hash = id
        .as_str()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    usize::try_from(hash % SHARDS as u64).unwrap_or(0)
}

/// Creates the tag that marks the notifications of this store.
pub(crate) fn tag() -> String {
    let mut tag = String::new();
    let bits = getrandom::u32().expect("the operating system gives randomness");
    let _ = write!(tag, "{bits:08x}");
    tag
}

/// Encodes a notification: the tag of its store, the kind of the change, and the id of the session.
pub(crate) fn payload(tag: &str, change: ChangeKind, id: &SessionId) -> String {
    let change = match change {
        ChangeKind::Changed => 'm',
        ChangeKind::ChangedForOwner => 't',
    };
    format!("{tag}{change}{id}")
}

/// Decodes a notification of another store; `None` if it is of this store or malformed.
pub(crate) fn parse<'a>(tag: &str, payload: &'a str) -> Option<(&'a str, ChangeKind)> {
    let (by, rest) = payload.split_at_checked(tag.len())?;
    let (change, id) = rest.split_at_checked(1)?;
    let change = match change {
        "m" => ChangeKind::Changed,
        "t" => ChangeKind::ChangedForOwner,
        _ => return None,
    };
    (by != tag).then_some((id, change))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_decoded_by_other_stores_and_ignored_by_its_own() {
        let id = SessionId::random();
        for change in [ChangeKind::Changed, ChangeKind::ChangedForOwner] {
            let payload = payload("01234567", change, &id);
            assert_eq!(parse("76543210", &payload), Some((id.as_str(), change)));
            assert_eq!(parse("01234567", &payload), None);
        }
        for malformed in ["", "0", "01234567", "01234567x", "é1234567m"] {
            assert_eq!(
                parse("76543210", malformed).filter(|it| !it.0.is_empty()),
                None
            );
        }
    }

    #[test]
    fn a_session_has_the_same_channel_in_every_version() {
        let id = "abcdefghijklmnopqrstuvwxyz".parse().unwrap();
        assert_eq!(channel_of("unbroken", &id), "unbroken_2");
    }
}
