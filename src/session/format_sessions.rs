use std::{num::NonZeroUsize, sync::Arc};

use super::{Permit, Session, SessionSpec, Sessions, Source, StartError, Started};
use crate::{
    log::{ChatId, Owner, SessionId},
    store::{Filter, Listed, Listing, SessionMeta, SessionState, StoreError},
};

/// The most pages of the store that one page of a list is made of.
const PAGES: usize = 8;
/// The most sessions of a chat that are looked at for each one that is wanted.
const PER_SESSION: usize = 8;

/// A registry as a layer uses it: sessions of one format are found by it, those of others are absent.
///
/// Whatever finds a session by a name of a client's goes through this type. Calls for a session that was found, or for
/// none, go to the [registry](Self::registry).
#[derive(Debug, Clone)]
pub(crate) struct FormatSessions {
    sessions: Sessions,
    format: u16,
}

impl FormatSessions {
    /// Creates the view of the sessions of the format with this number.
    pub(crate) fn new(sessions: Sessions, format: u16) -> Self {
        Self { sessions, format }
    }

    /// Returns the registry, with the sessions of all formats.
    pub(crate) fn registry(&self) -> &Sessions {
        &self.sessions
    }

    /// Returns true if a session is of this format.
    pub(crate) fn has(&self, meta: &SessionMeta) -> bool {
        meta.format == self.format
    }

    /// Starts a session of this format. Behaves as [`Sessions::start`].
    pub(crate) async fn start(
        &self,
        permit: Permit,
        spec: SessionSpec,
        source: impl Source,
    ) -> Result<Started, StartError> {
        let spec = spec.format(self.format);
        self.sessions.start(permit, spec, source).await
    }

    /// Returns the state of a session as stored.
    pub(crate) async fn state(&self, id: &SessionId) -> Result<SessionState, StoreError> {
        let state = self.sessions.state(id).await?;
        self.check(&state.meta)?;
        Ok(state)
    }

    /// Returns a session's metadata. Behaves as [`Sessions::meta`]; a session of another format costs as many calls of
    /// the store as one that is absent.
    pub(crate) async fn meta(
        &self,
        id: &SessionId,
    ) -> Result<(Arc<SessionMeta>, bool), StoreError> {
        let (meta, asked) = self.sessions.meta(id).await?;
        if !self.has(&meta) && !asked {
            self.sessions.state(id).await?;
        }
        self.check(&meta)?;
        Ok((meta, asked))
    }

    /// Returns the metadata of a session that this server writes, without a call of the store.
    pub(crate) fn meta_here(&self, id: &SessionId) -> Option<Arc<SessionMeta>> {
        self.sessions.meta_here(id).filter(|meta| self.has(meta))
    }

    /// Returns the running sessions of a chat that this server writes, newest first. Behaves as
    /// [`Sessions::writing_in`].
    pub(crate) fn writing_in(&self, owner: Option<&Owner>, chat: &ChatId) -> Vec<SessionId> {
        let mut found = self.sessions.writing_in(owner, chat);
        found.retain(|id| self.meta_here(id).is_some());
        found
    }

    /// Attaches to a session. Behaves as [`Sessions::attach`].
    pub(crate) async fn attach(&self, id: &SessionId) -> Result<Session, StoreError> {
        let session = self.sessions.attach(id).await?;
        self.check(session.meta())?;
        Ok(session)
    }

    /// Attaches to a session, unless it waits to be begun by another start of its request.
    pub(crate) async fn attach_begun(&self, id: &SessionId) -> Result<Option<Session>, StoreError> {
        let session = self.sessions.attach_begun(id).await?;
        if let Some(session) = &session {
            self.check(session.meta())?;
        }
        Ok(session)
    }

    /// Lists sessions of one chat of one owner. Behaves as [`Sessions::of_chat`], but may leave sessions out
    /// where the chat has many times `limit` of another format.
    pub(crate) async fn of_chat(
        &self,
        owner: Option<&Owner>,
        chat: &ChatId,
        limit: usize,
    ) -> Result<Vec<Listed>, StoreError> {
        let mut asked = limit;
        loop {
            let mut listed = self.sessions.of_chat(owner, chat, asked).await?;
            let is_all = listed.len() < asked || asked >= limit * PER_SESSION;
            listed.retain(|it| self.has(&it.state.meta));
            if is_all || listed.len() >= limit {
                listed.truncate(limit);
                return Ok(listed);
            }
            asked *= 2;
        }
    }

    /// Lists the sessions that match, newest first. A page that is not the last one may have fewer than the limit, where
    /// many of another format match.
    pub(crate) async fn list(&self, filter: &Filter) -> Result<Listing, StoreError> {
        let mut filter = filter.clone();
        let mut listing = Listing::default();
        for _ in 0..PAGES {
            let Listing { mut sessions, next } = self.sessions.list(&filter).await?;
            let all = sessions.len();
            sessions.retain(|it| self.has(&it.state.meta));
            let left = filter
                .limit
                .map(|limit| limit.get().saturating_sub(sessions.len()));
            let is_whole = sessions.len() == all;
            filter.limit = left.and_then(NonZeroUsize::new);
            listing.sessions.extend(sessions);
            listing.next = next;
            // Without a limit, any page will do that isn't empty.
            let is_full = left.map_or(!listing.sessions.is_empty(), |left| left == 0);
            if is_whole || is_full || listing.next.is_none() {
                break;
            }
            filter.after.clone_from(&listing.next);
        }
        Ok(listing)
    }

    fn check(&self, meta: &SessionMeta) -> Result<(), StoreError> {
        if self.has(meta) {
            Ok(())
        } else {
            Err(StoreError::NotFound)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::Pin,
        task::{Context, Poll},
    };

    use bytes::{Bytes, BytesMut};

    use super::*;
    use crate::{
        log::{Digest, ServiceName},
        session::Mark,
    };

    /// Gives nothing, so that its session goes on.
    struct Silent;

    impl Source for Silent {
        fn poll_record(
            self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
            _out: &mut BytesMut,
        ) -> Poll<Option<Mark>> {
            Poll::Pending
        }
    }

    fn chat() -> ChatId {
        ChatId::new("chat")
    }

    fn id(number: usize) -> SessionId {
        format!("{number:-<22}").parse().unwrap()
    }

    /// Starts sessions of these formats in one chat.
    async fn sessions_of(formats: &[u16]) -> Sessions {
        let sessions = Sessions::in_memory();
        for (number, format) in formats.iter().enumerate() {
            let spec = SessionSpec::new(
                id(number),
                ServiceName::new("test"),
                Digest([7; 32]),
                Bytes::from_static(b"first"),
            );
            let spec = spec.chat(Some(chat())).format(*format);
            let permit = sessions.permit(None).unwrap();
            sessions.start(permit, spec, Silent).await.unwrap();
        }
        sessions
    }

    fn numbers(listed: &[Listed]) -> Vec<usize> {
        let number = |it: &Listed| it.id.as_str().trim_end_matches('-').parse().unwrap();
        let mut numbers: Vec<usize> = listed.iter().map(number).collect();
        numbers.sort_unstable();
        numbers
    }

    #[tokio::test(start_paused = true)]
    async fn sessions_of_another_format_are_absent() {
        let sessions = sessions_of(&[1, 2]).await;
        for (format, own, other) in [(1, id(0), id(1)), (2, id(1), id(0))] {
            let view = FormatSessions::new(sessions.clone(), format);
            assert!(view.state(&own).await.is_ok());
            assert!(matches!(
                view.state(&other).await,
                Err(StoreError::NotFound)
            ));
            assert!(view.meta(&own).await.is_ok());
            assert!(matches!(view.meta(&other).await, Err(StoreError::NotFound)));
            assert!(view.meta_here(&own).is_some());
            assert!(view.meta_here(&other).is_none());
            assert!(view.attach(&own).await.is_ok());
            assert!(matches!(
                view.attach(&other).await,
                Err(StoreError::NotFound)
            ));
            assert!(view.attach_begun(&own).await.unwrap().is_some());
            let begun = view.attach_begun(&other).await;
            assert!(matches!(begun, Err(StoreError::NotFound)));
            assert_eq!(view.writing_in(None, &chat()), [own]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_chat_has_its_sessions_of_a_format_behind_many_of_another() {
        let mut formats = [2; 20];
        (formats[0], formats[1]) = (1, 1);
        let sessions = sessions_of(&formats).await;
        let chats = FormatSessions::new(sessions.clone(), 1);
        let found = chats.of_chat(None, &chat(), 3).await.unwrap();
        assert_eq!(numbers(&found), [0, 1]);
        let found = chats.of_chat(None, &chat(), 1).await.unwrap();
        assert!(found.is_empty(), "eight are looked at");
        let recordings = FormatSessions::new(sessions, 2);
        let found = recordings.of_chat(None, &chat(), 2).await.unwrap();
        assert_eq!(found.len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn pages_of_a_list_have_each_session_of_the_format_once() {
        let formats: Vec<u16> = (0..40).map(|it| if it % 3 == 0 { 1 } else { 2 }).collect();
        let sessions = sessions_of(&formats).await;
        let chats = FormatSessions::new(sessions, 1);
        for limit in [None, NonZeroUsize::new(1), NonZeroUsize::new(4)] {
            let mut filter = Filter {
                limit,
                ..Filter::default()
            };
            let mut found = Vec::new();
            loop {
                let page = chats.list(&filter).await.unwrap();
                let most = limit.map_or(usize::MAX, NonZeroUsize::get);
                assert!(page.sessions.len() <= most);
                assert!(!page.sessions.is_empty() || page.next.is_none());
                found.extend(page.sessions);
                filter.after = page.next;
                if filter.after.is_none() {
                    break;
                }
            }
            let expected: Vec<usize> = (0..40).step_by(3).collect();
            assert_eq!(numbers(&found), expected);
        }
    }
}
