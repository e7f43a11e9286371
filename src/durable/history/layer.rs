use super::{History, HistoryError, KeptChat, LayerHistory};
use crate::{
    dialect::ChatMessage,
    durable::DurableLayer,
    log::{ChatId, Owner},
};

/// The conversation of chats.
impl DurableLayer {
    /// Sets the history that keeps the conversation of each chat, so that clients send their new message only.
    /// Default none: clients send the whole conversation.
    ///
    /// Each answer that has ended is appended with the message that it is for, at least once, whichever server is
    /// alive. Before an answer begins, the chat is loaded for the owner of the request.
    ///
    /// ```
    /// # use futures_util::stream;
    /// # use unbroken::{chat::{ChatEvent, ProviderError, provider_fn}, durable::History, Sessions};
    /// # fn service(rows: impl History) {
    /// # #[cfg(feature = "ai-sdk")] {
    /// # let provider = provider_fn(|_| stream::iter([Ok::<_, ProviderError>(ChatEvent::text("Hello"))]));
    /// use tower::Layer;
    /// use unbroken::{access::OnlyTheOwner, dialect::AiSdk, durable::DurableLayer, log::Owner};
    ///
    /// let access = OnlyTheOwner::new(|head: &mut http::request::Parts| {
    ///     head.extensions.get::<Owner>().cloned() // set by the application's sign-in
    /// });
    /// let layer = DurableLayer::new(Sessions::in_memory(), access)
    ///     .dialect(AiSdk::new())
    ///     .history(rows);
    /// let chat = layer.layer(provider);
    /// // For a page that is opened: `layer.chat_messages(Some(&owner), &chat).await?`
    /// # } }
    /// ```
    ///
    /// # Trust
    ///
    /// Of a request only the new message is taken, or, if it continues an answer, its outputs of tools, which are
    /// [verified](crate::durable::ClientFields) as always. That holds for a client that sends the whole
    /// conversation too: its earlier messages are not read, and
    /// [`ClientFields::history`](crate::durable::ClientFields::history) isn't needed. A chat is loaded for the owner
    /// that the access policy names; without owners it needs [secret chat ids](Self::secret_chat_ids).
    ///
    /// # Edits, other answers, failures
    ///
    /// A message with the id of an earlier one replaces that and all after it, and so does another answer to a
    /// message. An edit of a message that [`load`](History::load) has left out is appended as a new message. A message
    /// that is repeated without a change after others came is refused with 409, unless `messageId` tells that it is
    /// an edit. An answer that was stopped or has failed is kept with the parts that clients have got. Exchanges are
    /// numbered when they begin, so the order in which they are appended doesn't matter.
    ///
    /// A new message may come before the last answer is appended: it gets that from the store of the sessions, also
    /// while the history fails to append. While it fails to load, starts are refused with 503.
    ///
    /// # Limits
    ///
    /// The message that an answer is for is stored with the session until it is appended, in a record of at most
    /// [`Limits::event_bytes`](field@crate::session::Limits::event_bytes). A longer one, such as a file in a `data:` URL, is
    /// refused (413): raise that limit together with [`max_body`](Self::max_body).
    ///
    /// The whole conversation is stored with each session, as the request that a recovery repeats. It is what
    /// [`load`](History::load) returns, and the answers that ended just now: nothing else bounds its bytes.
    ///
    /// A chat that the application deletes from its table comes back from sessions that are retained: delete those
    /// as well. An answer whose log is damaged is left out of its chat, and traced as an error.
    ///
    /// A session that is deleted before its ending was appended is not appended. While appends fail, they are
    /// repeated for [`Outbox::keep`](crate::durable::Outbox::keep), by default 3 days, and then given up:
    /// [`Outbox::on_give_up`](crate::durable::Outbox::on_give_up) tells of it. Conversations from before the history was
    /// set are not in it.
    ///
    /// # Several layers
    ///
    /// Layers over the same [`Sessions`](crate::session::Sessions) whose clients share chats share the history too,
    /// and the dialect. An [`outbox`](Self::outbox) gets an ending after the history; its
    /// [`keep`](crate::durable::Outbox::keep) then holds for both.
    ///
    /// The history must hold no [`Sessions`](crate::session::Sessions) over which its layer stands, or neither is
    /// freed before a shutdown.
    ///
    /// # Panics
    ///
    /// [`layer`](tower_layer::Layer::layer) panics if the dialect has no
    /// [form of messages](crate::dialect::Dialect::message_form) to keep. That of the AI SDK has one, and that of
    /// Durable Streams with UI messages. Clients of the others send the whole conversation.
    pub fn history(mut self, history: impl History) -> Self {
        self.config().history = Some(LayerHistory::new(history));
        self
    }

    /// Returns the messages of a chat of this owner, oldest first, for a page that is opened. Those of the AI SDK
    /// are the `messages` of `useChat`.
    ///
    /// An answer that ended just now is among them, whether the [history](Self::history) has it or not. One that
    /// runs is not, nor the part before it if it continues an answer: the page gets it by a resume.
    ///
    /// The application checks that the owner is the user who asks. Cancel safe.
    ///
    /// # Errors
    ///
    /// [`HistoryError`] if the layer has no history, or if that or the store fails.
    pub async fn chat_messages(
        &self,
        owner: Option<&Owner>,
        chat: &ChatId,
    ) -> Result<Vec<ChatMessage>, HistoryError> {
        let config = &*self.config;
        let history = config.history.as_ref().ok_or(HistoryError::Absent)?;
        let listed = config
            .sessions
            .of_chat(owner, chat, KeptChat::SESSIONS)
            .await?;
        let kept = KeptChat::load(
            config.sessions.registry(),
            &*config.dialect,
            history,
            (owner, chat),
            &listed,
        );
        Ok(kept.await?.into_page())
    }
}
