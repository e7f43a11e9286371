//! The answer of a provider without a script.

use super::requested_calls::requested_calls;
use crate::chat::{ChatRequest, Media, Message, Role, ToolCall, ToolDefinition};

// The number of characters up to which a question is repeated.
const MAX_QUOTE: usize = 120;

pub(super) const THINKING: &str = "There is no model behind this server. The honest thing is to say \
    so, and to show what a stream looks like.";

pub(super) const MODEL: &str = "scripted";

/// One turn of the demo.
pub(super) struct DemoTurn {
    pub(super) text: String,
    pub(super) tool_calls: Vec<ToolCall>,
}

impl DemoTurn {
    /// Asks for the tools that the question names, and answers with their results; otherwise
    /// answers with a text that mentions the question.
    pub(super) fn of(request: &ChatRequest) -> Self {
        let asked = request.last_user_message();
        let question = asked.map(Message::text).unwrap_or_default();
        let question = question.trim();
        let since = request.messages.iter().rev();
        let since = since.take_while(|message| message.role != Role::User);
        let mut since: Vec<_> = since.collect();
        since.reverse();
        if since.iter().any(|message| message.role == Role::Tool) {
            return Self {
                text: results(&since),
                tool_calls: Vec::new(),
            };
        }
        let tools = request.tool_definitions();
        let tool_calls = requested_calls(question, &tools);
        let text = if tool_calls.is_empty() {
            let media = asked.into_iter().flat_map(|it| it.content.all_media());
            answer(question, media, &tools)
        } else {
            let tools = if tool_calls.len() == 1 {
                "a tool"
            } else {
                "tools"
            };
            let names = names(tool_calls.iter().map(|call| &call.name));
            format!("I have {tools} for that: {names}.\n\n")
        };
        Self { text, tool_calls }
    }
}

/// Returns an answer that mentions the question and its media.
fn answer<'a>(
    question: &str,
    media: impl Iterator<Item = &'a Media>,
    tools: &[ToolDefinition],
) -> String {
    let media: Vec<_> = media.map(of_medium).collect();
    let opening = match (question.is_empty(), media.is_empty()) {
        (true, true) => "You asked nothing in particular.".to_owned(),
        (true, false) => format!("You sent {}.", media.join(", ")),
        (false, true) => format!("You said: “{}”.", quote(question)),
        (false, false) => format!(
            "You said: “{}”, and sent {}.",
            quote(question),
            media.join(", ")
        ),
    };
    let tools = if tools.is_empty() {
        String::new()
    } else {
        let names = names(tools.iter().map(|tool| &tool.name));
        format!(
            "There are tools here: {names}. Name one in your question and I ask for it, with the \
             examples of its schema, or with the JSON object that your question ends with.\n\n"
        )
    };
    format!(
        "{opening} I am a scripted answer: no model is behind me, and I come one token at a time \
         so that you can see what happens to a stream that is interrupted.\n\n\
         Reload this page while I am still talking, or close it and come back. Open the same \
         address in a second tab. Pull the plug of your network for a moment. The server goes on \
         writing what I say into a log, and a client that comes back reads on from the last event \
         that it has: nothing is missing and nothing comes twice.\n\n\
         {tools}\
         If you have heard enough, press stop. That is a different thing from going away: it ends \
         the answer for everyone who is listening. Otherwise this is the end of what I have to \
         say."
    )
}

/// Returns an answer with the results of the tools since the user's last message.
fn results(since: &[&Message]) -> String {
    let calls: Vec<_> = since.iter().flat_map(|it| &it.tool_calls).collect();
    let results = since.iter().filter(|message| message.role == Role::Tool);
    let results = results.map(|message| {
        let of = |call: &&&ToolCall| Some(&call.id) == message.tool_call_id.as_ref();
        let name = calls.iter().find(of).map_or("a tool", |call| &call.name);
        match message.text().trim() {
            json if json.starts_with('{') && !json.contains('`') => format!("- `{name}`: `{json}`"),
            text => format!("- `{name}`: {text}"),
        }
    });
    let results: Vec<_> = results.collect();
    format!(
        "This came of it:\n\n{}\n\n\
         A model would make something of that. I am a script, and leave it to you.",
        results.join("\n")
    )
}

/// Returns the name, the type and the size of a medium.
fn of_medium(media: &Media) -> String {
    let media_type = quote(&media.media_type);
    let name = media.name.as_deref().map(quote);
    let name = name.unwrap_or_else(|| "a file".to_owned());
    if media.is_link() {
        format!("“{name}” ({media_type}, behind a link)")
    } else {
        let bytes = media.decoded_len();
        format!("“{name}” ({media_type}, {bytes} bytes)")
    }
}

fn names<'a>(names: impl Iterator<Item = &'a String>) -> String {
    let names: Vec<_> = names.map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

fn quote(question: &str) -> String {
    let mut chars = question.chars();
    let quote: String = chars
        .by_ref()
        .take(MAX_QUOTE)
        .map(|char| if char.is_control() { ' ' } else { char })
        .collect();
    if chars.next().is_some() {
        quote + "…"
    } else {
        quote
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::chat::Content;

    fn demo(question: &str) -> DemoTurn {
        DemoTurn::of(&ChatRequest::from_user(question))
    }

    #[test]
    fn the_answer_mentions_the_question_but_not_all_of_a_long_one() {
        assert!(demo("Why is the sky blue?").text.contains("sky blue?”"));
        let long = demo(&"é".repeat(500)).text;
        assert_eq!(long.chars().filter(|char| *char == 'é').count(), MAX_QUOTE);
    }

    #[test]
    fn the_answer_mentions_what_was_sent_along() {
        let picture = Media::new("image/png", b"1234").name("cat.png");
        let link = Media::link("image/*", "https://example.com/a");
        for (text, said) in [
            (
                "",
                "You sent “cat.png” (image/png, 4 bytes), “a file” (image/*, behind a link).",
            ),
            (
                "Hi",
                "You said: “Hi”, and sent “cat.png” (image/png, 4 bytes), ",
            ),
        ] {
            let content = Content::new()
                .text(text)
                .media(picture.clone())
                .media(link.clone());
            let mut request = ChatRequest::from_user("");
            request.messages = vec![Message::user(content)];
            let answer = DemoTurn::of(&request).text;
            assert!(answer.starts_with(said), "{answer}");
        }
    }

    #[test]
    fn the_answer_offers_the_tools_and_repeats_their_results() {
        let ask = |question: &str| {
            let mut request = ChatRequest::from_user(question);
            request.tools = vec![ToolDefinition::new("weather", "", json!({}))];
            request
        };
        assert!(!demo("Hi").text.contains("tools"));
        assert!(
            DemoTurn::of(&ask("Hi"))
                .text
                .contains("tools here: `weather`.")
        );
        let mut request = ask("How is the weather?");
        let demo = DemoTurn::of(&request);
        assert_eq!(demo.tool_calls[0].name, "weather");
        request
            .messages
            .push(Message::assistant("").tool_calls(demo.tool_calls));
        request.messages.push(Message::tool("call_1", "snow"));
        let demo = DemoTurn::of(&request);
        assert!(demo.text.contains("- `weather`: snow\n"), "{}", demo.text);
        assert!(demo.tool_calls.is_empty());
    }
}
