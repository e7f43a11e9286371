//! A provider whose answer anybody can work out: token *n* is `n.who.when `, said by the server `who`
//! at `when`, in microseconds since 1970. Asked to go on with an answer, it does.

use std::time::Duration;

use futures_util::{Stream, StreamExt, stream};
use serde::Deserialize;
use tokio::time::sleep;
use unbroken::{
    chat::{ChatEvent, ChatRequest, ProviderError},
    log::SessionId,
};

use crate::calls::{Call, Calls, micros};

/// What a request asks for, in its field `say`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Say {
    /// How many tokens.
    tokens: usize,
    /// The wait before each of them.
    delay_ms: u64,
    /// The wait before the first one of an answer that is gone on with.
    #[serde(default)]
    resume_ms: u64,
    /// After how many tokens nothing comes any more.
    #[serde(default)]
    hang_at: Option<usize>,
}

struct Speech {
    say: Say,
    said: usize,
    wait: Duration,
    who: String,
    // Dropped with the stream.
    _call: Call,
}

pub(crate) fn answer(
    request: &ChatRequest,
    calls: &Calls,
) -> impl Stream<Item = Result<ChatEvent, ProviderError>> + use<> {
    let id = request.session_id.as_ref().map_or("", SessionId::as_str);
    let so_far = request.so_far.as_ref();
    let said = so_far.map_or(Some(0), |so_far| tokens(so_far.text()));
    let call = calls.call(id, said.unwrap_or(0));
    let begun = (|| {
        let say = request.extra.get("say").ok_or("no `say`")?;
        let say = Say::deserialize(say).map_err(|_| "a strange `say`")?;
        let said = said.ok_or("an answer so far that nobody gave")?;
        let wait = if said > 0 {
            say.resume_ms
        } else {
            say.delay_ms
        };
        Ok::<_, &str>(Speech {
            wait: Duration::from_millis(wait),
            said,
            say,
            who: calls.who().to_owned(),
            _call: call,
        })
    })();
    match begun {
        Ok(speech) => stream::unfold(speech, next).map(Ok).left_stream(),
        Err(why) => stream::iter([Err(ProviderError::new(why))]).right_stream(),
    }
}

async fn next(mut speech: Speech) -> Option<(ChatEvent, Speech)> {
    if speech.say.hang_at == Some(speech.said) {
        std::future::pending::<()>().await;
    }
    if speech.said == speech.say.tokens {
        return None;
    }
    sleep(speech.wait).await;
    speech.wait = Duration::from_millis(speech.say.delay_ms);
    speech.said += 1;
    let token = format!("{}.{}.{} ", speech.said, speech.who, micros());
    Some((ChatEvent::text(token), speech))
}

/// How many tokens this is, if it is the beginning of an answer.
fn tokens(text: &str) -> Option<usize> {
    let mut count = 0;
    for token in text.split_whitespace() {
        count += 1;
        if token.split('.').next()?.parse() != Ok(count) {
            return None;
        }
    }
    Some(count)
}
