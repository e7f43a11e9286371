//! Tests of the dialects. A stream that is cut anywhere and resumed equals the uninterrupted stream, in
//! every dialect. The dialect of the documentation, `plain_text`, is tested over HTTP.

#[cfg(feature = "ai-sdk")]
mod after_end;
#[cfg(feature = "ag-ui")]
mod ag_ui;
#[cfg(feature = "ai-sdk")]
mod ai_sdk_content;
#[cfg(feature = "ai-sdk")]
mod ai_sdk_messages;
#[cfg(all(feature = "ai-sdk", feature = "tools"))]
mod approvals;
#[cfg(all(feature = "ag-ui", feature = "ai-sdk", feature = "openai-responses"))]
mod arguments;
#[cfg(feature = "ai-sdk")]
mod chats;
#[cfg(all(
    feature = "ag-ui",
    feature = "ai-sdk",
    feature = "durable-streams",
    feature = "openai-responses"
))]
mod closed_fields;
#[cfg(all(
    feature = "ag-ui",
    feature = "ai-sdk",
    feature = "durable-streams",
    feature = "openai-responses"
))]
mod cross_site;
#[cfg(all(
    feature = "ag-ui",
    feature = "ai-sdk",
    feature = "durable-streams",
    feature = "openai-responses"
))]
mod depth;
#[cfg(feature = "durable-streams")]
mod durable_streams;
#[cfg(all(feature = "ag-ui", feature = "ai-sdk", feature = "openai-responses"))]
mod edited_history;
#[cfg(all(
    feature = "ag-ui",
    feature = "ai-sdk",
    feature = "durable-streams",
    feature = "openai-responses"
))]
mod elements;
mod encoders;
#[cfg(all(
    feature = "ag-ui",
    feature = "ai-sdk",
    feature = "openai-responses",
    feature = "tools"
))]
mod ended_in_a_turn;
mod ended_metadata;
#[cfg(all(feature = "ag-ui", feature = "ai-sdk", feature = "openai-responses"))]
mod half_calls;
mod logs;
#[cfg(feature = "ai-sdk")]
mod look_ups;
mod meaning;
#[cfg(feature = "openai-responses")]
mod openai_responses;
mod order;
mod over_http;
#[allow(
    unreachable_pub,
    dead_code,
    reason = "the documentation shows this file as it is"
)]
mod plain_text;
#[cfg(all(feature = "ag-ui", feature = "ai-sdk", feature = "openai-responses"))]
mod restarts;
mod resume;
#[cfg(all(
    feature = "ag-ui",
    feature = "ai-sdk",
    feature = "durable-streams",
    feature = "openai-responses"
))]
mod rolling;
#[cfg(all(feature = "ag-ui", feature = "ai-sdk", feature = "durable-streams"))]
mod stops_without_owners;
#[cfg(all(
    feature = "ag-ui",
    feature = "ai-sdk",
    feature = "durable-streams",
    feature = "openai-responses"
))]
mod surrogates;
#[cfg(all(feature = "ag-ui", feature = "openai-responses", feature = "tools"))]
mod tool_layer;
#[cfg(all(
    feature = "ag-ui",
    feature = "ai-sdk",
    feature = "durable-streams",
    feature = "openai-responses"
))]
mod unread_fields;
#[cfg(all(feature = "ag-ui", feature = "ai-sdk", feature = "durable-streams"))]
mod without_owners;

use self::{encoders::reading, plain_text::PlainText, resume::Cursor};
#[cfg(feature = "ai-sdk")]
use unbroken::dialect::AiSdk;
#[cfg(feature = "durable-streams")]
use unbroken::dialect::DurableStreams;
use unbroken::dialect::Native;

const ID: &str = "0123456789abcdefghjkmnpqrs";

/// Defines a test for each line: an encoder that reads a session from the start, and the cursor by
/// which a client resumes after a prefix.
macro_rules! resumes {
    ($($(#[$if:meta])* $name:ident: $encoder:expr, $cursor:expr;)+) => {
        $($(#[$if])* #[test]
        fn $name() {
            resume::check(&$encoder, &$cursor);
        })+
    };
    ($($(#[$if:meta])* $name:ident: $encoder:expr, $cursor:expr, by $meaning:expr;)+) => {
        $($(#[$if])* #[test]
        fn $name() {
            resume::check_as(&$encoder, &$cursor, $meaning);
        })+
    };
}

resumes! {
    ndjson_resumes_anywhere: || reading(&Native::new(), &format!("/{ID}"), "application/x-ndjson"), Cursor::Lsn;
    sse_resumes_anywhere: || reading(&Native::new(), &format!("/{ID}"), "text/event-stream"), Cursor::Lsn;
    #[cfg(feature = "ai-sdk")]
    ai_sdk_resumes_anywhere: || reading(&AiSdk::new(), "/chat/stream?startIndex=0", "*/*"), Cursor::Lsn;
    #[cfg(feature = "ai-sdk")]
    ai_sdk_resumes_after_any_chunk: || reading(&AiSdk::new(), "/chat/stream?startIndex=0", "*/*"), Cursor::Own(|had| {
        reading(&AiSdk::new(), &format!("/chat/stream?startIndex={}", frames(had)), "*/*")
    });
    #[cfg(feature = "ai-sdk")]
    ai_sdk_resumes_a_run_after_any_chunk: || reading(&AiSdk::new(), &format!("/{ID}~0/stream"), "*/*"), Cursor::Own(|had| {
        reading(&AiSdk::new(), &format!("/{ID}~0/stream?startIndex={}", frames(had)), "*/*")
    });
    #[cfg(feature = "ai-sdk")]
    ai_sdk_with_restarts_resumes_anywhere: || reading(&AiSdk::new().restarts(true), "/chat/stream?startIndex=0", "*/*"), Cursor::Lsn;
    #[cfg(feature = "ai-sdk")]
    ai_sdk_with_restarts_resumes_after_any_chunk: || reading(&AiSdk::new().restarts(true), "/chat/stream?startIndex=0", "*/*"), Cursor::Own(|had| {
        reading(&AiSdk::new().restarts(true), &format!("/chat/stream?startIndex={}", frames(had)), "*/*")
    });
    plain_text_resumes_anywhere: || reading(&PlainText, &format!("/{ID}"), "*/*"), Cursor::Lsn;
}

resumes! {
    ndjson_resumes_a_compacted_replay_anywhere: || reading(&Native::new(), &format!("/{ID}?replay=compact"), "application/x-ndjson"), Cursor::Lsn, by meaning::of_lines;
    sse_resumes_a_compacted_replay_anywhere: || reading(&Native::new(), &format!("/{ID}?replay=compact"), "text/event-stream"), Cursor::Lsn, by meaning::of_events;
    #[cfg(feature = "ai-sdk")]
    ai_sdk_with_restarts_compacts_to_the_same_message: || reading(&AiSdk::new().restarts(true), "/chat/stream", "*/*"), Cursor::Lsn, by meaning::of_chunks;
    #[cfg(feature = "ai-sdk")]
    ai_sdk_compacts_to_the_same_message: || reading(&AiSdk::new(), "/chat/stream", "*/*"), Cursor::Lsn, by meaning::of_chunks;
    #[cfg(feature = "durable-streams")]
    durable_streams_resume_anywhere: || reading(&DurableStreams::new(), &format!("/{ID}?offset=-1&live=sse"), "*/*"), Cursor::Lsn, by meaning::of_stream;
    #[cfg(all(feature = "ai-sdk", feature = "durable-streams"))]
    durable_streams_of_ui_messages_resume_anywhere: || reading(&DurableStreams::ui_messages(AiSdk::new()), &format!("/{ID}?offset=-1&live=sse"), "*/*"), Cursor::Lsn, by meaning::of_stream;
}

#[cfg(feature = "ag-ui")]
resumes! {
    ag_ui_resumes_anywhere: ag_ui::whole, Cursor::Own(ag_ui::after);
    ag_ui_for_tanstack_resumes_anywhere: ag_ui::message_first, Cursor::Own(ag_ui::message_first_after);
}

#[cfg(feature = "openai-responses")]
resumes! {
    openai_responses_resume_anywhere: openai_responses::whole, Cursor::Own(openai_responses::after);
}

/// Returns the number of server-sent events.
#[cfg(feature = "ai-sdk")]
fn frames(bytes: &[u8]) -> usize {
    bytes.windows(2).filter(|it| it == b"\n\n").count()
}
