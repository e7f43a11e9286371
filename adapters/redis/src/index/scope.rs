use std::{borrow::Cow, fmt::Write};

use unbroken::{
    log::{ChatId, Outcome, Owner, ServiceName, Status},
    store::{SessionMeta, StatusFilter},
};

/// The sessions with one owner, in one chat, or with both. Each scope has a sorted set for each status, by time of
/// creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IndexScope<'a> {
    /// All sessions.
    All,
    /// The sessions of an owner.
    Owner(&'a Owner),
    /// The sessions of a chat, of all owners.
    Chat(&'a ChatId),
    /// The sessions of a chat of one owner, or of a chat without an owner.
    OwnerChat(Option<&'a Owner>, &'a ChatId),
}

/// The statuses that have a set, in the order of the keys. Those of sessions that run come first.
pub(crate) const STATUSES: [StatusFilter; 5] = [
    StatusFilter::Streaming,
    StatusFilter::Waiting,
    StatusFilter::Complete,
    StatusFilter::Aborted,
    StatusFilter::Error,
];
/// The number of the first statuses that are those of sessions that run.
pub(super) const RUNNING: usize = 2;

impl IndexScope<'_> {
    /// Returns the hash tag of the sets. Two scopes never share it, whatever bytes the names hold, and it is never
    /// the id of a session.
    pub(crate) fn tag(&self) -> String {
        match self {
            Self::All => "all".to_owned(),
            Self::Owner(owner) => format!("owner/{}", escape(owner.as_str())),
            Self::Chat(chat) => format!("chat/{}", escape(chat.as_str())),
            Self::OwnerChat(None, chat) => format!("no-owner/chat/{}", escape(chat.as_str())),
            Self::OwnerChat(Some(owner), chat) => format!(
                "owner/{}/chat/{}",
                escape(owner.as_str()),
                escape(chat.as_str())
            ),
        }
    }

    /// Returns true if a session with this metadata belongs to the scope.
    pub(super) fn has(&self, meta: &SessionMeta) -> bool {
        match *self {
            Self::All => true,
            Self::Owner(owner) => meta.owner.as_ref() == Some(owner),
            Self::Chat(chat) => meta.chat.as_ref() == Some(chat),
            Self::OwnerChat(owner, chat) => {
                meta.owner.as_ref() == owner && meta.chat.as_ref() == Some(chat)
            }
        }
    }
}

/// Returns the hash tag of the endings of a service. No scope has it.
pub(crate) fn service_tag(service: &ServiceName) -> String {
    format!("service/{}", escape(service.as_str()))
}

/// Returns the index in [`STATUSES`] of a status.
pub(super) fn set_of(status: Status) -> usize {
    match status {
        Status::Streaming => 0,
        Status::Waiting => 1,
        Status::Ended(Outcome::Complete) => 2,
        Status::Ended(Outcome::Aborted) => 3,
        _ => 4,
    }
}

/// Escapes the signs that separate names, and those that end a hash tag.
pub(super) fn escape(name: &str) -> Cow<'_, str> {
    const SPECIAL: [char; 4] = ['%', '/', '{', '}'];
    if !name.contains(SPECIAL) {
        return Cow::Borrowed(name);
    }
    let mut escaped = String::with_capacity(name.len() + 8);
    for char in name.chars() {
        if SPECIAL.contains(&char) {
            // A string takes every write.
            let _ = write!(escaped, "%{:02x}", u32::from(char));
        } else {
            escaped.push(char);
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use unbroken::log::ErrorCode;

    use super::*;

    #[test]
    fn two_scopes_never_share_a_tag() {
        let names = [
            "a", "b", "a/b", "/", "a/chat", "chat/a", "a/chat/b", "%", "%2f", "{", "}", "a%2fchat",
            "no-owner", "all", "ünï", "a\0b", "+a",
        ];
        let mut tags = HashMap::from([(IndexScope::All.tag(), "all".to_owned())]);
        let mut add = |scope: IndexScope<'_>| {
            let clash = tags.insert(scope.tag(), format!("{scope:?}"));
            assert_eq!(clash, None, "{scope:?}");
        };
        let mut services = Vec::new();
        for one in names {
            let (owner, chat) = (Owner::new(one), ChatId::new(one));
            services.push(service_tag(&ServiceName::new(one)));
            add(IndexScope::Owner(&owner));
            add(IndexScope::Chat(&chat));
            add(IndexScope::OwnerChat(None, &chat));
            for other in names {
                add(IndexScope::OwnerChat(Some(&owner), &ChatId::new(other)));
            }
        }
        for tag in services {
            let clash = tags.insert(tag, "a service".to_owned());
            assert_eq!(clash, None);
        }
    }

    #[test]
    fn each_status_has_the_set_of_its_word() {
        let error = Outcome::Error(ErrorCode::ALL[0]);
        for (status, word) in [
            (Status::Streaming, "streaming"),
            (Status::Waiting, "waiting"),
            (Status::Ended(Outcome::Complete), "complete"),
            (Status::Ended(Outcome::Aborted), "aborted"),
            (Status::Ended(error), "error"),
        ] {
            let set = set_of(status);
            assert_eq!(STATUSES[set].as_str(), word);
            assert_eq!(set < RUNNING, status.outcome().is_none());
        }
    }
}
