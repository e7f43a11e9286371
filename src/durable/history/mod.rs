//! The conversation of a chat, in a table of the application.

mod error;
mod exchange;
mod kept_chat;
mod layer;
mod layer_history;
mod note;
mod recall;

use self::kept_chat::KeptChat;
pub use self::{error::HistoryError, exchange::ChatExchange};
pub(super) use self::{layer_history::LayerHistory, note::HistoryNote, recall::ChatRecall};
use crate::{
    BoxError, BoxFuture,
    log::{ChatId, Owner},
};

/// The application's table of conversations, to which a layer appends the exchanges of its chats and from which
/// it loads them.
///
/// [`DurableLayer::history`](super::DurableLayer::history) describes what a layer does with it. An implementation
/// is two statements: insert a row unless its key exists, and read the rows of a chat. Nothing is ever changed, so
/// neither a second delivery nor a late one can undo what came meanwhile;
/// [`ChatExchange::conversation`] tells what counts. `examples/axum-existing` in the repository has one in
/// SQL.
///
/// ```
/// use std::sync::Mutex;
///
/// use unbroken::{
///     BoxError, BoxFuture,
///     durable::{ChatExchange, History},
///     log::{ChatId, Owner},
/// };
///
/// #[derive(Default)]
/// struct Rows(Mutex<Vec<(Option<Owner>, ChatId, ChatExchange)>>);
///
/// impl History for Rows {
///     fn append<'a>(
///         &'a self,
///         owner: Option<&'a Owner>,
///         chat: &'a ChatId,
///         exchange: &'a ChatExchange,
///     ) -> BoxFuture<'a, Result<(), BoxError>> {
///         Box::pin(async move {
///             let mut rows = self.0.lock().unwrap();
///             // The key makes exactly one of at least one.
///             if rows.iter().all(|(.., it)| it.ending_id != exchange.ending_id) {
///                 rows.push((owner.cloned(), chat.clone(), exchange.clone()));
///             }
///             Ok(())
///         })
///     }
///
///     fn load<'a>(
///         &'a self,
///         owner: Option<&'a Owner>,
///         chat: &'a ChatId,
///     ) -> BoxFuture<'a, Result<Vec<ChatExchange>, BoxError>> {
///         Box::pin(async move {
///             let rows = self.0.lock().unwrap();
///             let of_chat = rows.iter().filter(|row| (row.0.as_ref(), &row.1) == (owner, chat));
///             Ok(of_chat.map(|(.., exchange)| exchange.clone()).collect())
///         })
///     }
/// }
/// ```
pub trait History: Send + Sync + 'static {
    /// Stores an exchange, unless one with its [`ending_id`](field@ChatExchange::ending_id) is stored.
    ///
    /// It is called at least once for every ending, in any order. After an error it is called again, as
    /// [`Outbox`](super::Outbox#retries) describes. A chat that the application has deleted may get an exchange
    /// that ended before: return `Ok` without storing it.
    ///
    /// The call is dropped after 30 seconds, and then counts as failed.
    ///
    /// # Errors
    ///
    /// Any; it is traced.
    fn append<'a>(
        &'a self,
        owner: Option<&'a Owner>,
        chat: &'a ChatId,
        exchange: &'a ChatExchange,
    ) -> BoxFuture<'a, Result<(), BoxError>>;

    /// Returns the exchanges of a chat of this owner, in any order; none of a chat that isn't known.
    ///
    /// The oldest may be left out, as far as at least 64 remain: the model then gets the conversation from there on.
    /// Bound the rows, and their bytes as well: a start holds all of them.
    ///
    /// A start waits for it. The future may be dropped at any time.
    ///
    /// # Errors
    ///
    /// Any; it is traced, and the start is refused with 503.
    fn load<'a>(
        &'a self,
        owner: Option<&'a Owner>,
        chat: &'a ChatId,
    ) -> BoxFuture<'a, Result<Vec<ChatExchange>, BoxError>>;
}
