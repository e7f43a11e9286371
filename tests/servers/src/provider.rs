//! A provider with a predictable answer: token *n* is `n.server.time `, with the name of the server
//! that sent it and the time in microseconds since 1970. It resumes an answer after its last token. One
//! record of any size may follow the first token.

use std::{collections::VecDeque, fmt::Write as _, time::Duration};

use futures_util::{Stream, StreamExt, stream};
use serde::Deserialize;
use serde_json::json;
use tokio::time::sleep;
use unbroken::{
    chat::{ChatEvent, ChatRequest, Media, ProviderError, ToolCall},
    log::SessionId,
};

use crate::call_log::{CallLogWriter, LoggedCall, micros};

/// The answer that a request asks for, in its field `answerSpec`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AnswerSpec {
    /// The number of tokens.
    tokens: usize,
    /// The wait before each of them.
    delay_ms: u64,
    /// The wait before the first token of a resumed answer.
    #[serde(default)]
    resume_ms: u64,
    /// The number of tokens after which the stream hangs, if the answer isn't a resumed one.
    #[serde(default)]
    hang_at: Option<usize>,
    /// A record after the first token.
    #[serde(default)]
    record: Option<RecordSpec>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RecordSpec {
    kind: RecordKind,
    /// The bytes of the picture, or of the text.
    bytes: usize,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
enum RecordKind {
    Picture,
    Arguments,
    Result,
}

impl RecordSpec {
    /// Returns the events, of which the last one has the bytes.
    fn events(&self) -> VecDeque<ChatEvent> {
        // Each part of it is another one.
        let mut text = String::with_capacity(self.bytes + 8);
        for part in 0.. {
            if text.len() >= self.bytes {
                break;
            }
            let _ = write!(text, "{part} ");
        }
        text.truncate(self.bytes);
        let call = |arguments| ChatEvent::tool_calls([ToolCall::new("1", "t", arguments)]);
        match self.kind {
            RecordKind::Picture => {
                [ChatEvent::Media(Box::new(Media::new("image/png", text)))].into()
            }
            RecordKind::Arguments => [call(json!({"text": text}))].into(),
            RecordKind::Result => [call(json!({})), ChatEvent::tool_result("1", "t", text)].into(),
        }
    }
}

struct AnswerState {
    spec: AnswerSpec,
    // The number of tokens in the answer so far.
    sent: usize,
    wait: Duration,
    server: String,
    is_resumed: bool,
    record: VecDeque<ChatEvent>,
    // Dropped with the stream.
    _call: LoggedCall,
}

pub(crate) fn answer(
    request: &ChatRequest,
    log: &CallLogWriter,
) -> impl Stream<Item = Result<ChatEvent, ProviderError>> + use<> {
    let id = request.session_id.as_ref().map_or("", SessionId::as_str);
    let so_far = request.so_far.as_ref();
    let sent = so_far.map_or(Some(0), |so_far| count_tokens(so_far.text()));
    let call = log.call(id, sent.unwrap_or(0));
    let state = (|| {
        let spec = request.extra.get("answerSpec").ok_or("no `answerSpec`")?;
        let spec = AnswerSpec::deserialize(spec).map_err(|_| "a malformed `answerSpec`")?;
        let sent = sent.ok_or("an answer so far that is not from this provider")?;
        let wait = if sent > 0 {
            spec.resume_ms
        } else {
            spec.delay_ms
        };
        Ok::<_, &str>(AnswerState {
            wait: Duration::from_millis(wait),
            sent,
            is_resumed: sent > 0,
            record: VecDeque::new(),
            spec,
            server: log.server().to_owned(),
            _call: call,
        })
    })();
    match state {
        Ok(state) => stream::unfold(state, next).map(Ok).left_stream(),
        Err(why) => stream::iter([Err(ProviderError::new(why))]).right_stream(),
    }
}

async fn next(mut state: AnswerState) -> Option<(ChatEvent, AnswerState)> {
    if let Some(event) = state.record.pop_front() {
        return Some((event, state));
    }
    if state.spec.hang_at == Some(state.sent) && !state.is_resumed {
        std::future::pending::<()>().await;
    }
    if state.sent == state.spec.tokens {
        return None;
    }
    sleep(state.wait).await;
    state.wait = Duration::from_millis(state.spec.delay_ms);
    state.sent += 1;
    if state.sent == 1
        && let Some(record) = &state.spec.record
    {
        state.record = record.events();
    }
    let token = format!("{}.{}.{} ", state.sent, state.server, micros());
    Some((ChatEvent::text(token), state))
}

/// Returns the number of tokens of this text, or `None` if it is not the beginning of an answer.
fn count_tokens(text: &str) -> Option<usize> {
    let mut count = 0;
    for token in text.split_whitespace() {
        count += 1;
        if token.split('.').next()?.parse() != Ok(count) {
            return None;
        }
    }
    Some(count)
}
