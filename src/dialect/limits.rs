use super::{Problem, Refusal};

/// Limits on the elements of a request's body, beside the limit on its
/// [bytes](crate::durable::DurableLayer::max_body).
///
/// A request over a limit is refused with 422
/// ([`Problem::TooManyElements`]), which names the element, the number and the limit. The limits are
/// checked before a session exists and before the elements are converted.
///
/// ```
/// use unbroken::dialect::RequestLimits;
///
/// let limits = RequestLimits::new().messages(200).tools(16);
/// assert_eq!(limits.parts, 10_000, "the others keep their defaults");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestLimits {
    /// The maximum number of messages; in the dialect of OpenAI's Responses, of input items. Default
    /// 2,000.
    pub messages: usize,
    /// The maximum number of parts of all messages: pieces of content, and calls of tools. Default
    /// 10,000.
    pub parts: usize,
    /// The maximum number of tools that a client brings, and of names in `enabledTools`. Default 256.
    pub tools: usize,
    /// The maximum number of outputs of the client's tools. Default 1,024.
    pub outputs: usize,
    /// The maximum number of answers to questions. Default 256, which is also what a session
    /// [stores](crate::store::StoredAnswer::MAX_COUNT).
    pub answers: usize,
    /// The maximum number of JSON values in the body: each object, array, text, number, `true`, `false`
    /// and `null` is one. Those inside of texts that are decoded as JSON, such as the arguments of calls in
    /// the dialects of AG-UI and of OpenAI's Responses, count with them. Default 50,000.
    pub values: usize,
    /// The maximum depth of objects and arrays in the body. Default 96, since a value that a client sends
    /// may have [64](crate::chat::ToolCall::MAX_DEPTH); more than 127 is never decoded.
    pub depth: usize,
}

/// An element of a request's body that [`RequestLimits`] count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Element {
    /// A message of the conversation.
    Message,
    /// A part of a message: a piece of content, or a call of a tool.
    Part,
    /// A tool that the client brings, or the name of one.
    Tool,
    /// An output of a tool of the client.
    Output,
    /// An answer to a question.
    Answer,
    /// A JSON value.
    Value,
}

impl RequestLimits {
    /// Creates the default limits.
    pub const fn new() -> Self {
        Self {
            messages: 2_000,
            parts: 10_000,
            tools: 256,
            outputs: 1_024,
            answers: 256,
            values: 50_000,
            depth: 96,
        }
    }

    /// Returns the maximum number of elements of this kind.
    pub const fn max(&self, element: Element) -> usize {
        match element {
            Element::Message => self.messages,
            Element::Part => self.parts,
            Element::Tool => self.tools,
            Element::Output => self.outputs,
            Element::Answer => self.answers,
            Element::Value => self.values,
        }
    }

    /// Checks the number of elements of this kind in a request.
    ///
    /// # Errors
    ///
    /// [`Problem::TooManyElements`] if there are more than the limit.
    pub fn check(&self, element: Element, count: usize) -> Result<(), Refusal> {
        let max = self.max(element);
        if count <= max {
            return Ok(());
        }
        let (name, advice) = element.words();
        Err(Refusal::new(
            Problem::TooManyElements,
            format!("a request has at most {max} {name}, and this one has {count}; {advice}"),
        ))
    }
}

macro_rules! setters {
    ($($field:ident),*) => {
        impl RequestLimits {
            $(
                #[doc = concat!("Sets [`", stringify!($field), "`](field@Self::", stringify!($field), ").")]
                pub const fn $field(mut self, max: usize) -> Self {
                    self.$field = max;
                    self
                }
            )*
        }
    };
}

setters! { messages, parts, tools, outputs, answers, values, depth }

impl Default for RequestLimits {
    fn default() -> Self {
        Self::new()
    }
}

impl Element {
    /// Returns the name in the plural, and the advice of a refusal.
    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Message => ("messages", "leave out the oldest ones"),
            Self::Part => ("parts of messages", "leave out the oldest messages"),
            Self::Tool => ("tools of the client", "send those that this answer needs"),
            Self::Output => ("outputs of tools", "send those of the last turn only"),
            Self::Answer => ("answers to questions", "send those of open questions only"),
            Self::Value => (
                "JSON values",
                "send a shorter conversation (those inside of texts with JSON, such as the arguments of \
                 calls, count too)",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_admits_its_own_number_and_refuses_one_more() {
        let limits = RequestLimits::new();
        for element in [
            Element::Message,
            Element::Part,
            Element::Tool,
            Element::Output,
            Element::Answer,
            Element::Value,
        ] {
            let max = limits.max(element);
            assert_eq!(limits.check(element, max), Ok(()));
            let refusal = limits.check(element, max + 1).unwrap_err();
            assert_eq!(refusal.problem, Problem::TooManyElements);
            for part in [element.words().0, &max.to_string(), &(max + 1).to_string()] {
                assert!(refusal.detail.contains(part), "{}", refusal.detail);
            }
        }
    }
}
