use std::borrow::Cow;

use unbroken::{
    log::{ChatId, Owner, ServiceName, SessionId},
    store::SessionMeta,
};

use super::scope::{IndexScope, escape};
use crate::{
    codec::{checked, decode_name},
    reply::{DecodeError, ScriptReply},
};

/// The names by which a session is indexed. They are part of the session's member in the indexes by time, so that
/// all its entries are found once it is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IndexedNames {
    pub(crate) owner: Option<Owner>,
    pub(crate) chat: Option<ChatId>,
    /// The service, if it has an outbox for the ending.
    pub(crate) outbox: Option<ServiceName>,
}

impl IndexedNames {
    pub(crate) fn of(meta: &SessionMeta) -> Self {
        Self {
            owner: meta.owner.clone(),
            chat: meta.chat.clone(),
            outbox: meta.outbox.map(|_| meta.service.clone()),
        }
    }

    /// Decodes the results of `names` in `prelude.lua`.
    pub(crate) fn decode(reply: &mut ScriptReply) -> Result<Self, DecodeError> {
        let (owner, chat) = (reply.bytes()?, reply.bytes()?);
        let service = reply.maybe_bytes()?.map(String::from_utf8);
        let service = service.transpose().map_err(|_| DecodeError)?;
        Ok(Self {
            owner: checked(decode_name(&owner)?)?,
            chat: checked(decode_name(&chat)?)?,
            outbox: checked(service.as_deref())?,
        })
    }

    /// Returns the scopes that a session with these names belongs to, but for that of all sessions.
    pub(super) fn scopes(&self) -> impl Iterator<Item = IndexScope<'_>> {
        let Self { owner, chat, .. } = self;
        let of_owner = owner.as_ref().map(IndexScope::Owner);
        let of_chat = chat.as_ref().map(IndexScope::Chat);
        let of_both = chat
            .as_ref()
            .map(|chat| IndexScope::OwnerChat(owner.as_ref(), chat));
        [of_owner, of_chat, of_both].into_iter().flatten()
    }

    /// Returns the member of a session with these names in an index by time.
    pub(super) fn member(&self, id: &SessionId) -> String {
        let owner = self.owner.as_ref().map(Owner::as_str);
        let chat = self.chat.as_ref().map(ChatId::as_str);
        let mut member = format!("{id}/{}/{}", part(owner), part(chat));
        if let Some(service) = &self.outbox {
            member.push('/');
            member.push_str(&part(Some(service.as_str())));
        }
        member
    }

    /// Reads a member. Returns `None` if this store didn't write it.
    pub(super) fn parse(member: &str) -> Option<(SessionId, Self)> {
        let mut parts = member.split('/');
        let id = parts.next()?.parse().ok()?;
        let (owner, chat) = (name(parts.next()?).ok()?, name(parts.next()?).ok()?);
        let names = Self {
            owner: owner.map(Owner::try_from).transpose().ok()?,
            chat: chat.map(ChatId::try_from).transpose().ok()?,
            outbox: match parts.next() {
                None => None,
                Some(service) => Some(ServiceName::try_from(name(service).ok()??).ok()?),
            },
        };
        parts.next().is_none().then_some((id, names))
    }
}

/// Writes a name after a plus sign, or nothing.
fn part(name: Option<&str>) -> Cow<'_, str> {
    name.map_or(Cow::Borrowed(""), |name| {
        format!("+{}", escape(name)).into()
    })
}

/// Reads a part of a member.
fn name(part: &str) -> Result<Option<String>, DecodeError> {
    if part.is_empty() {
        return Ok(None);
    }
    let mut pieces = part.strip_prefix('+').ok_or(DecodeError)?.split('%');
    let mut name = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (code, rest) = piece.split_at_checked(2).ok_or(DecodeError)?;
        let code = u8::from_str_radix(code, 16).map_err(|_| DecodeError)?;
        name.push(char::from(code));
        name.push_str(rest);
    }
    Ok(Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_read_as_it_was_written() {
        let id = SessionId::random();
        let names = [None, Some("a"), Some("a/b%{}+"), Some("%2f ünï\0")];
        for owner in names {
            for chat in names {
                for service in names {
                    let names = IndexedNames {
                        owner: owner.map(Owner::new),
                        chat: chat.map(ChatId::new),
                        outbox: service.map(ServiceName::new),
                    };
                    let member = names.member(&id);
                    let read = IndexedNames::parse(&member);
                    assert_eq!(read, Some((id.clone(), names)), "{member}");
                }
            }
        }
        for bad in [
            "",
            "//",
            "/+a/+b",
            &format!("{id}"),
            &format!("{id}/a/b"),
            &format!("{id}/+%2/"),
            &format!("{id}///"),
            &format!("{id}///a"),
            &format!("{id}///+a/"),
            &format!("{id}/+/"),
            &format!("{id}//+{}", "n".repeat(129)),
        ] {
            assert_eq!(IndexedNames::parse(bad), None, "{bad}");
        }
    }
}
