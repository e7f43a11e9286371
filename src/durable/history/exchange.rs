use std::{collections::HashMap, fmt};

use serde::{Deserialize, Serialize};

use crate::{
    chat::Usage,
    dialect::ChatMessage,
    log::{Outcome, SessionId},
};

/// The messages of one answer, and of the request that it is for: what a [`History`](super::History) keeps.
///
/// Its serde form is for a column of a database. `Debug` shows counts instead of contents.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ChatExchange {
    /// The id of the ending, the same in each of its deliveries:
    /// [`SessionEnded::ending_id`](field@crate::durable::SessionEnded::ending_id). It is empty for an answer that
    /// runs, which no [`append`](super::History::append) gets.
    pub ending_id: String,
    /// The id of the session.
    #[serde(with = "session_id")]
    pub session: SessionId,
    /// The place in the chat, from 1 on. Two exchanges that began at the same moment may have the same.
    pub number: u64,
    /// The message of the user and the answer, or, if the answer continues an earlier one, that answer as a whole.
    /// From the message with the id of the first of these on, they replace those of the exchanges before.
    pub messages: Vec<ChatMessage>,
    /// The outcome of the session. An answer that was stopped or has failed has the parts that clients have got.
    #[serde(with = "outcome")]
    pub outcome: Outcome,
    /// The usage of the session, as far as it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
}

impl ChatExchange {
    /// Creates a complete exchange without usage, for tests of a [`History`](super::History).
    pub fn new(
        ending_id: impl Into<String>,
        session: SessionId,
        number: u64,
        messages: impl IntoIterator<Item = ChatMessage>,
    ) -> Self {
        Self {
            ending_id: ending_id.into(),
            session,
            number,
            messages: messages.into_iter().collect(),
            outcome: Outcome::Complete,
            usage: None,
        }
    }

    /// Returns the messages of a chat whose exchanges these are, in any order, oldest first.
    ///
    /// An exchange replaces the message with the id of its first one, and all after it: so a message that was
    /// edited or answered again has its latest form, whichever exchange was kept first.
    ///
    /// ```
    /// use serde_json::Map;
    /// use unbroken::{dialect::ChatMessage, durable::ChatExchange, log::SessionId};
    ///
    /// let exchange = |number, ids: [&str; 2]| {
    ///     let messages = ids.map(|id| ChatMessage::new(id, Map::new()));
    ///     ChatExchange::new(format!("{number:032}"), SessionId::random(), number, messages)
    /// };
    /// let first = exchange(1, ["m1", "a1"]);
    /// let second = exchange(2, ["m2", "a2"]);
    /// let edited = exchange(3, ["m1", "a3"]);
    /// let chat = ChatExchange::conversation([edited, second, first]);
    /// assert_eq!(chat.iter().map(|it| &*it.id).collect::<Vec<_>>(), ["m1", "a3"]);
    /// ```
    pub fn conversation(exchanges: impl IntoIterator<Item = Self>) -> Vec<ChatMessage> {
        let mut exchanges: Vec<_> = exchanges.into_iter().collect();
        exchanges.sort_by(|a, b| a.order().cmp(&b.order()));
        let (mut messages, mut places) = (Vec::new(), HashMap::new());
        for exchange in exchanges {
            let first = exchange.messages.first();
            if let Some(&at) = first.and_then(|first| places.get(&first.id)) {
                for replaced in messages.drain(at..) {
                    let ChatMessage { id, .. } = replaced;
                    places.remove(&id);
                }
            }
            for message in exchange.messages {
                places.insert(message.id.clone(), messages.len());
                messages.push(message);
            }
        }
        messages
    }

    /// Returns what exchanges are ordered by.
    pub(super) fn order(&self) -> (u64, &str) {
        (self.number, &self.ending_id)
    }
}

impl fmt::Debug for ChatExchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatExchange")
            .field("session", &self.session)
            .field("number", &self.number)
            .field("messages", &self.messages.len())
            .field("outcome", &self.outcome)
            .finish_non_exhaustive()
    }
}

mod session_id {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::log::SessionId;

    pub(super) fn serialize<S: Serializer>(id: &SessionId, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(id.as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<SessionId, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

/// `complete`, `aborted`, or the code of the error.
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands fields over by reference"
)]
mod outcome {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::log::{ErrorCode, Outcome};

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum OutcomeWord {
        Ended(Ended),
        Failed(ErrorCode),
    }

    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Ended {
        Complete,
        Aborted,
    }

    pub(super) fn serialize<S: Serializer>(outcome: &Outcome, to: S) -> Result<S::Ok, S::Error> {
        let word = match outcome {
            Outcome::Complete => OutcomeWord::Ended(Ended::Complete),
            Outcome::Aborted => OutcomeWord::Ended(Ended::Aborted),
            Outcome::Error(code) => OutcomeWord::Failed(*code),
        };
        word.serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Outcome, D::Error> {
        Ok(match OutcomeWord::deserialize(from)? {
            OutcomeWord::Ended(Ended::Complete) => Outcome::Complete,
            OutcomeWord::Ended(Ended::Aborted) => Outcome::Aborted,
            OutcomeWord::Failed(code) => Outcome::Error(code),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;
    use crate::log::ErrorCode;

    fn exchange(number: u64, ids: &[&str]) -> ChatExchange {
        let message = |id: &&str| {
            let said = Map::from_iter([("of".to_owned(), json!(number))]);
            ChatMessage::new(*id, said)
        };
        let ending = format!("{number}-{}", ids.len());
        ChatExchange::new(ending, SessionId::random(), number, ids.iter().map(message))
    }

    fn shown(exchanges: &[ChatExchange]) -> Vec<(String, u64)> {
        let messages = ChatExchange::conversation(exchanges.iter().cloned());
        let number = |it: &ChatMessage| it.fields["of"].as_u64().unwrap();
        messages
            .iter()
            .map(|it| (it.id.clone(), number(it)))
            .collect()
    }

    /// Checks every order of the exchanges.
    fn check(exchanges: &[ChatExchange], expected: &[(&str, u64)]) {
        let expected: Vec<_> = expected
            .iter()
            .map(|(id, of)| ((*id).to_owned(), *of))
            .collect();
        let mut orders = vec![Vec::new()];
        for exchange in exchanges {
            let mut more = Vec::new();
            for order in orders {
                for at in 0..=order.len() {
                    let mut order: Vec<ChatExchange> = order.clone();
                    order.insert(at, exchange.clone());
                    more.push(order);
                }
            }
            orders = more;
        }
        for order in orders {
            assert_eq!(shown(&order), expected);
        }
    }

    #[test]
    fn exchanges_in_any_order_give_the_same_conversation() {
        let two = [exchange(1, &["u1", "a1"]), exchange(2, &["u2", "a2"])];
        check(&two, &[("u1", 1), ("a1", 1), ("u2", 2), ("a2", 2)]);
        let again = exchange(3, &["u2", "a3"]);
        let with_again = [two[0].clone(), two[1].clone(), again];
        check(&with_again, &[("u1", 1), ("a1", 1), ("u2", 3), ("a3", 3)]);
        let edited = [two[0].clone(), two[1].clone(), exchange(4, &["u1", "a4"])];
        check(&edited, &[("u1", 4), ("a4", 4)]);
        let continued = [
            two[0].clone(),
            exchange(2, &["a1"]),
            exchange(3, &["u2", "a2"]),
        ];
        check(&continued, &[("u1", 1), ("a1", 2), ("u2", 3), ("a2", 3)]);
        let begun_at_once = [
            two[0].clone(),
            exchange(2, &["u2", "a2"]),
            exchange(2, &["u3", "a3", "b"]),
        ];
        check(
            &begun_at_once,
            &[
                ("u1", 1),
                ("a1", 1),
                ("u2", 2),
                ("a2", 2),
                ("u3", 2),
                ("a3", 2),
                ("b", 2),
            ],
        );
    }

    #[test]
    fn an_exchange_comes_back_from_its_json() {
        let mut exchange = exchange(7, &["u", "a"]);
        exchange.usage = Some(Usage::new(1, 2));
        for (outcome, word) in [
            (Outcome::Complete, "complete"),
            (Outcome::Aborted, "aborted"),
            (Outcome::Error(ErrorCode::Timeout), "timeout"),
        ] {
            exchange.outcome = outcome;
            let json = serde_json::to_value(&exchange).unwrap();
            assert_eq!(json["outcome"], word);
            assert_eq!(json["session"], exchange.session.as_str());
            assert_eq!(
                serde_json::from_value::<ChatExchange>(json).unwrap(),
                exchange
            );
        }
    }
}
