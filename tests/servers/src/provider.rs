//! A provider with a predictable answer: token *n* is `n.server.time `, with the name of the server
//! that sent it and the time in microseconds since 1970. It resumes an answer after its last token.

use std::time::Duration;

use futures_util::{Stream, StreamExt, stream};
use serde::Deserialize;
use tokio::time::sleep;
use unbroken::{
    chat::{ChatEvent, ChatRequest, ProviderError},
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
    /// The number of tokens after which the stream hangs.
    #[serde(default)]
    hang_at: Option<usize>,
}

struct AnswerState {
    spec: AnswerSpec,
    // The number of tokens in the answer so far.
    sent: usize,
    wait: Duration,
    server: String,
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
    if state.spec.hang_at == Some(state.sent) {
        std::future::pending::<()>().await;
    }
    if state.sent == state.spec.tokens {
        return None;
    }
    sleep(state.wait).await;
    state.wait = Duration::from_millis(state.spec.delay_ms);
    state.sent += 1;
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
