use std::collections::BTreeMap;

use serde::Serialize;

use super::{WebhookContent, rfc3339::rfc3339};
use crate::{
    chat::{ChatRequest, FinishReason, Message, TranscriptEnd, TurnEnd, Usage},
    durable::SessionEnded,
    log::{ChatId, Outcome, Owner, Status},
};

/// The body of a delivery. [`Webhook`](super::Webhook#the-body) documents it.
#[derive(Serialize)]
struct Payload<'a> {
    r#type: &'static str,
    timestamp: String,
    data: EndedData<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EndedData<'a> {
    id: &'a str,
    owner: Option<&'a str>,
    chat_id: Option<&'a str>,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    finish_reason: Option<&'a FinishReason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Usage>,
    turns: &'a [TurnEnd],
    claims: &'a [String],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: &'a BTreeMap<String, String>,
    delivery: u32,
    deleted: bool,
    content_omitted: bool,
    #[serde(flatten)]
    content: Option<EndedContent<'a>>,
}

/// The part that grows with the answer.
#[derive(Serialize)]
struct EndedContent<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    messages: Option<Vec<Message>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<&'a ChatRequest>,
}

/// A body as it is sent.
pub(super) struct WrittenBody {
    pub(super) json: Vec<u8>,
    /// Whether content is in it.
    pub(super) has_content: bool,
}

impl<'a> EndedContent<'a> {
    fn of(ended: &'a SessionEnded, content: WebhookContent) -> Option<Self> {
        if ended.deleted || content == WebhookContent::Omit {
            return None;
        }
        let is_text = content == WebhookContent::Text;
        Some(Self {
            text: is_text.then(|| ended.transcript.text()),
            messages: (!is_text).then(|| ended.transcript.messages()),
            request: (content == WebhookContent::AnswerAndRequest).then_some(&*ended.request),
        })
    }
}

/// Writes the body of a delivery. Content that would make it longer than `max_body` is left out.
pub(super) fn body_of(
    ended: &SessionEnded,
    content: WebhookContent,
    max_body: usize,
) -> serde_json::Result<WrittenBody> {
    let transcript = &ended.transcript;
    let whole = EndedContent::of(ended, content);
    let ending = transcript.ending();
    let mut payload = Payload {
        r#type: "session.ended",
        timestamp: rfc3339(ended.ended_at),
        data: EndedData {
            id: ended.id.as_str(),
            owner: ended.owner.as_ref().map(Owner::as_str),
            chat_id: ended.chat.as_ref().map(ChatId::as_str),
            outcome: Status::Ended(ended.outcome).as_str(),
            code: match ended.outcome {
                Outcome::Error(code) => Some(code.as_str()),
                _ => None,
            },
            message: match ending {
                Some(TranscriptEnd::Error(error)) => Some(&error.message),
                _ => None,
            },
            reason: match ending {
                Some(TranscriptEnd::Aborted(aborted)) => aborted.reason.as_deref(),
                _ => None,
            },
            finish_reason: transcript.finish_reason(),
            model: transcript.model(),
            usage: transcript.usage(),
            turns: transcript.turn_ends(),
            claims: &ended.claims,
            metadata: &ended.metadata,
            delivery: ended.delivery,
            deleted: ended.deleted,
            content_omitted: whole.is_none(),
            content: whole,
        },
    };
    let json = serde_json::to_vec(&payload)?;
    let has_content = payload.data.content.is_some();
    if json.len() <= max_body || !has_content {
        return Ok(WrittenBody { json, has_content });
    }
    payload.data.content = None;
    payload.data.content_omitted = true;
    let json = serde_json::to_vec(&payload)?;
    Ok(WrittenBody {
        json,
        has_content: false,
    })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use serde_json::{Value, json};

    use super::*;
    use crate::{
        chat::{Aborted, ChatEvent, Complete, ErrorEvent, ToolCall, Transcript},
        log::ErrorCode,
    };

    fn ended(events: &[ChatEvent], outcome: Outcome) -> SessionEnded {
        let mut request = ChatRequest::from_user("Hi");
        request.chat_id = Some(ChatId::new("chat-1"));
        let transcript: Transcript = events.iter().collect();
        let id = "0123456789abcdefghijklmn".parse().unwrap();
        let ended = SessionEnded::new(id, request, transcript, outcome);
        let mut ended = ended.owner(Some(Owner::new("ann")));
        ended.ended_at = UNIX_EPOCH + Duration::from_millis(1_667_507_170_344);
        ended
    }

    fn answered() -> SessionEnded {
        let call = ToolCall::new("c1", "now", json!({}));
        let complete = Complete::new().usage(Usage::new(12, 34));
        let turn = |reason, usage| ChatEvent::from(TurnEnd::new(reason).model("m").usage(usage));
        let events = [
            ChatEvent::text("Let me look. "),
            ChatEvent::tool_calls([call]),
            turn(FinishReason::ToolCalls, Usage::new(5, 4)),
            ChatEvent::tool_result("c1", "now", "noon"),
            ChatEvent::text("It is noon."),
            turn(FinishReason::Stop, Usage::new(7, 30)),
            complete.into(),
        ];
        ended(&events, Outcome::Complete).claims(["c0".to_owned()])
    }

    fn json_of(ended: &SessionEnded, content: WebhookContent, max_body: usize) -> Value {
        let body = body_of(ended, content, max_body).unwrap();
        let json: Value = serde_json::from_slice(&body.json).unwrap();
        assert_eq!(json["data"]["contentOmitted"], !body.has_content);
        json
    }

    fn without_content() -> Value {
        let usage = |input, output| json!({"inputTokens": input, "outputTokens": output});
        json!({
            "type": "session.ended",
            "timestamp": "2022-11-03T20:26:10.344Z",
            "data": {
                "id": "0123456789abcdefghijklmn",
                "owner": "ann",
                "chatId": "chat-1",
                "outcome": "complete",
                "finishReason": "stop",
                "model": "m",
                "usage": usage(12, 34),
                "turns": [
                    {"finishReason": "tool_calls", "model": "m", "usage": usage(5, 4)},
                    {"finishReason": "stop", "model": "m", "usage": usage(7, 30)},
                ],
                "claims": ["c0"],
                "delivery": 1,
                "deleted": false,
                "contentOmitted": true,
            },
        })
    }

    fn with_content() -> Value {
        let mut whole = without_content();
        whole["data"]["contentOmitted"] = false.into();
        whole["data"]["messages"] = json!([
            {
                "role": "assistant",
                "content": "Let me look. ",
                "tool_calls": [{"id": "c1", "name": "now", "arguments": {}}],
            },
            {"role": "tool", "content": "noon", "tool_call_id": "c1"},
            {"role": "assistant", "content": "It is noon."},
        ]);
        whole
    }

    #[test]
    fn a_complete_answer_has_its_turns_as_messages_and_its_usage() {
        let body = json_of(&answered(), WebhookContent::Answer, usize::MAX);
        assert_eq!(body, with_content());
    }

    #[test]
    fn the_text_alone_is_there_on_demand_and_never_twice() {
        let body = json_of(&answered(), WebhookContent::Text, usize::MAX);
        let mut expected = without_content();
        expected["data"]["contentOmitted"] = false.into();
        expected["data"]["text"] = "Let me look. It is noon.".into();
        assert_eq!(body, expected);
        for content in [
            WebhookContent::Text,
            WebhookContent::Answer,
            WebhookContent::AnswerAndRequest,
        ] {
            let written = json_of(&answered(), content, usize::MAX).to_string();
            assert_eq!(written.matches("It is noon.").count(), 1, "{content:?}");
        }
    }

    #[test]
    fn metadata_of_the_request_is_there_with_and_without_content() {
        let mut ended = answered();
        ended.metadata = [("order".to_owned(), "o-7".to_owned())].into();
        for content in [WebhookContent::Omit, WebhookContent::Answer] {
            let body = json_of(&ended, content, usize::MAX);
            assert_eq!(body["data"]["metadata"], json!({"order": "o-7"}));
        }
    }

    #[test]
    fn the_request_is_there_on_demand() {
        let body = json_of(&answered(), WebhookContent::AnswerAndRequest, usize::MAX);
        let mut expected = with_content();
        expected["data"]["request"] =
            json!({"messages": [{"role": "user", "content": "Hi"}], "chatId": "chat-1"});
        assert_eq!(body, expected);
    }

    #[test]
    fn content_is_left_out_on_demand_and_where_the_body_would_be_too_long() {
        let ended = answered();
        let body = json_of(&ended, WebhookContent::Omit, usize::MAX);
        assert_eq!(body, without_content());
        let content = WebhookContent::AnswerAndRequest;
        let length = body_of(&ended, content, usize::MAX).unwrap();
        let length = length.json.len();
        let fits = json_of(&ended, content, length);
        assert_eq!(fits["data"]["contentOmitted"], false);
        assert_eq!(json_of(&ended, content, length - 1), without_content());
        // Without it nothing can be left out any more.
        assert_eq!(json_of(&ended, content, 0), without_content());
    }

    #[test]
    fn a_failure_has_its_code_and_its_public_message() {
        let error = ErrorEvent::new(ErrorCode::Provider, "the model failed");
        let error = error.usage(Usage::new(3, 1));
        let events = [ChatEvent::text("So f"), error.into()];
        let mut ended = ended(&events, Outcome::Error(ErrorCode::Provider));
        (ended.owner, ended.chat, ended.delivery) = (None, None, 3);
        let body = json_of(&ended, WebhookContent::Answer, usize::MAX);
        let expected = json!({
            "id": "0123456789abcdefghijklmn",
            "owner": null,
            "chatId": null,
            "outcome": "error",
            "code": "provider",
            "message": "the model failed",
            "usage": {"inputTokens": 3, "outputTokens": 1},
            "turns": [],
            "claims": [],
            "delivery": 3,
            "deleted": false,
            "contentOmitted": false,
            "messages": [{"role": "assistant", "content": "So f"}],
        });
        assert_eq!(body["data"], expected);
    }

    #[test]
    fn a_stop_has_its_reason() {
        let events = [ChatEvent::from(Aborted::new().reason("enough"))];
        let ended = ended(&events, Outcome::Aborted);
        let body = json_of(&ended, WebhookContent::Answer, usize::MAX);
        assert_eq!(body["data"]["outcome"], "aborted");
        assert_eq!(body["data"]["reason"], "enough");
        assert_eq!(body["data"].get("code"), None);
        assert_eq!(body["data"].get("finishReason"), None);
    }

    #[test]
    fn a_deleted_session_has_no_content() {
        let complete = Complete::new().text("gone?").usage(Usage::new(12, 34));
        let mut ended = ended(&[complete.into()], Outcome::Complete);
        ended.deleted = true;
        let body = json_of(&ended, WebhookContent::AnswerAndRequest, usize::MAX);
        assert_eq!(body["data"]["deleted"], true);
        assert_eq!(body["data"]["contentOmitted"], true);
        assert_eq!(body["data"]["usage"]["outputTokens"], 34);
        for absent in ["text", "messages", "request"] {
            assert_eq!(body["data"].get(absent), None, "{absent}");
        }
    }
}
