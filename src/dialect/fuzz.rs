//! Decodes changed requests in every dialect.
//!
//! The seeds are changed at random, byte by byte and piece by piece, for 2 s, or for as many seconds as
//! `UNBROKEN_FUZZ_SECONDS` says. `UNBROKEN_FUZZ_SEED` repeats a run that failed. The folder `fuzz` has
//! the same decoders as targets of cargo-fuzz.

use std::{
    env,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, request::Parts};

use super::{
    ChatMessage, Dialect, Intent, Native, Refusal, RequestLimits, Route, SessionNaming, Subject,
    json_size::json_size,
};

const ID: &str = "0123456789abcdefghjkmnpqrs";

const CHAT: &str = r#"{"messages":[{"role":"assistant","content":null,"tool_calls":[{"id":"1","name":"map","arguments":{"x":[1,{}]}}]},{"role":"tool","tool_call_id":"1","content":"here"}],"chatId":"c","enabledTools":["now"],"isomorphicTools":[{"name":"map","parameters":{}}],"isomorphicClientOutputs":[{"callId":"1","toolName":"map","clientOutput":"\u00e9\n"}],"other":1.5e3}"#;
const ANSWER: &str = r#"{"action":"accept","content":{"days":3}}"#;

fn fuzz(dialect: &dyn Dialect, seeds: &[(&str, &str)]) {
    let seconds = number("UNBROKEN_FUZZ_SECONDS").unwrap_or(2);
    let seed = number("UNBROKEN_FUZZ_SEED").unwrap_or_else(|| getrandom::u64().unwrap());
    let mut chance = Chance(seed | 1);
    let began = Instant::now();
    let (mut inputs, mut whole) = (0_u64, 0_u64);
    for (path, body) in seeds {
        let intent = decode(dialect, path, body.as_bytes());
        assert!(intent.is_ok(), "{path} {body}: {intent:?}");
    }
    while began.elapsed() < Duration::from_secs(seconds) {
        let (path, body) = seeds[chance.below(seeds.len())];
        let path = if chance.below(4) == 0 {
            String::from_utf8_lossy(&changed(path.as_bytes(), &mut chance)).into_owned()
        } else {
            path.to_owned()
        };
        let body = changed(body.as_bytes(), &mut chance);
        whole += u64::from(decode(dialect, &path, &body).is_ok());
        inputs += 1;
    }
    println!("{inputs} inputs, {whole} decoded; seed {seed}");
    assert!(
        whole > inputs / 1_000 && whole < inputs,
        "{whole} of {inputs}"
    );
}

fn decode(dialect: &dyn Dialect, path: &str, body: &[u8]) -> Result<(), Refusal> {
    let (method, path) = path.split_once(' ').unwrap_or(("POST", path));
    let request = Request::builder().method(method).uri(path);
    let request = request.header("content-type", "application/json");
    let Ok(request) = request.body(()) else {
        return Ok(()); // not a path that a server would pass on
    };
    let (head, ()) = request.into_parts();
    match dialect.route(&head)? {
        Route::Body => {}
        Route::Known(intent) => {
            bounded(&intent);
            return Ok(());
        }
    }
    let (body, limits) = (Bytes::copy_from_slice(body), RequestLimits::new());
    let subject = dialect.subject(&head, &body);
    let intent = dialect.decode(&head, &body, &limits);
    let again = dialect.decode(&head, &body, &limits);
    assert_eq!(intent.is_ok(), again.is_ok(), "the same body, twice");
    agree(subject?, intent?, &head);
    assert_limited(dialect, &head, &body);
    Ok(())
}

/// Checks that a read of a head alone ends.
fn bounded(intent: &Intent) {
    match intent {
        Intent::Page(page) => {
            assert!(page.limit <= 10_000, "{page:?}");
            assert!(page.wait <= Duration::from_secs(60), "{page:?}");
        }
        Intent::Read(read) => {
            let wait = read.wait.as_ref();
            assert!(
                wait.is_none_or(|it| it.at_most <= Duration::from_secs(60)),
                "{read:?}"
            );
        }
        _ => {}
    }
}

/// Checks that a body which is decoded is refused if it has one value or one level more than allowed.
fn assert_limited(dialect: &dyn Dialect, head: &Parts, body: &Bytes) {
    let Some((values, depth)) = json_size(body) else {
        panic!("{body:?} is decoded, and is not JSON");
    };
    let limits = RequestLimits::new();
    assert!(values <= limits.values && depth <= limits.depth, "{body:?}");
    for less in [
        RequestLimits::new().values(values - 1),
        RequestLimits::new().depth(depth - 1),
    ] {
        let decoded = dialect.decode(head, body, &less);
        assert!(decoded.is_err(), "{body:?} is decoded within {less:?}");
    }
}

/// Checks that an intent is what the policy is asked about.
fn agree(subject: Subject, intent: Intent, head: &Parts) {
    match (subject, intent) {
        (Subject::Start { session, chat }, Intent::Start(mut start)) => {
            assert_eq!(chat, start.chat, "{head:?}");
            if let Some(recall) = start.recall.take() {
                recall.narrow(&mut start.request);
                let _ = recall.recall(&kept(), &mut start);
            }
            let named = match start.naming {
                SessionNaming::Client(id) => Some(id),
                _ => None,
            };
            assert_eq!(session, named, "{head:?}");
        }
        (Subject::Answer(target), Intent::Answer { session, .. }) => assert_eq!(target, session),
        (Subject::Known(_), _) => {}
        (subject, intent) => panic!("{subject:?} is not {intent:?}"),
    }
}

/// A chat with the messages that the seeds name.
fn kept() -> Vec<ChatMessage> {
    let messages = r#"[{"id":"m","role":"user","parts":[{"type":"text","text":"Hi"}]},
        {"id":"0123456789abcdefghjkmnpqrs","role":"assistant","parts":[{"type":"step-start"},
            {"type":"tool-t","toolCallId":"1","state":"input-available","input":{}},
            {"type":"dynamic-tool","toolName":"u","toolCallId":"2","state":"approval-requested","approval":{"id":"a"}}]}]"#;
    serde_json::from_str(messages).unwrap()
}

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|value| value.parse().unwrap())
}

/// Changes some bytes: removes, repeats, replaces or moves pieces of up to 16 bytes.
fn changed(seed: &[u8], chance: &mut Chance) -> Vec<u8> {
    const WORDS: [&[u8]; 12] = [
        b"null", b"[]", b"{}", b"\"\"", b"-1", b"1e999", b"\\ud800", b"\xff", b"[[[[", b"\"id\":",
        b",", b"%00",
    ];
    let mut bytes = seed.to_vec();
    for _ in 0..=chance.below(4) {
        let at = chance.below(bytes.len() + 1);
        let end = (at + chance.below(16)).min(bytes.len());
        match chance.below(5) {
            0 => drop(bytes.drain(at..end)),
            1 => {
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece.repeat(1 + chance.below(40)));
            }
            2 => {
                let word = WORDS[chance.below(WORDS.len())];
                bytes.splice(at..end, word.iter().copied());
            }
            3 => {
                let piece: Vec<_> = bytes.drain(at..end).collect();
                let to = chance.below(bytes.len() + 1);
                bytes.splice(to..to, piece);
            }
            _ => {
                for byte in &mut bytes[at..end] {
                    if chance.below(4) == 0 {
                        *byte ^= 1 << chance.below(8);
                    }
                }
            }
        }
    }
    bytes
}

/// A xorshift generator.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % end
    }
}

#[test]
fn any_bytes_give_an_answer_or_an_error_in_the_native_dialect() {
    let input = format!("/{ID}/inputs/a");
    fuzz(
        &Native::new(),
        &[
            ("/", CHAT),
            ("/?sessionId=0123456789abcdefghjkmnpqrs", CHAT),
            (&input, ANSWER),
        ],
    );
}

/// Reads of Durable Streams, all of which are in queries.
#[cfg(feature = "durable-streams")]
const READS: [(&str, &str); 5] = [
    (
        "GET /0123456789abcdefghjkmnpqrs?offset=00000000000000000007&live=sse&cursor=3",
        "{}",
    ),
    (
        "GET /0123456789abcdefghjkmnpqrs?offset=7&live=long-poll&cursor=18446744073709551615",
        "{}",
    ),
    (
        "GET /0123456789abcdefghjkmnpqrs?offset=-1&message=whole",
        "{}",
    ),
    ("GET /0123456789abcdefghjkmnpqrs?live=sse&offset=now", "{}"),
    ("HEAD /0123456789abcdefghjkmnpqrs", "{}"),
];

#[cfg(feature = "durable-streams")]
#[test]
fn any_bytes_give_an_answer_or_an_error_in_durable_streams() {
    let mut seeds = vec![("/", CHAT)];
    seeds.extend(READS);
    fuzz(&super::DurableStreams::new(), &seeds);
}

#[cfg(all(feature = "ai-sdk", feature = "durable-streams"))]
#[test]
fn any_bytes_give_an_answer_or_an_error_in_durable_streams_of_ui_messages() {
    let user =
        r#"{"id":"c","messages":[{"id":"m","role":"user","parts":[{"type":"text","text":"Hi"}]}]}"#;
    let mut seeds = vec![("/", user), ("GET /chat-1/stream?startIndex=3", "{}")];
    seeds.extend(READS);
    let streams = super::DurableStreams::ui_messages(super::AiSdk::new());
    fuzz(&streams, &seeds);
}

#[cfg(feature = "ai-sdk")]
#[test]
fn any_bytes_give_an_answer_or_an_error_in_the_ai_sdk() {
    let user = r#"{"id":"c","trigger":"submit-message","messageId":"m","messages":[{"id":"m","role":"user","parts":[{"type":"text","text":"Hi"},{"type":"file","url":"https://a/b","mediaType":"image/png"}]}],"model":"m"}"#;
    let answer = r#"{"chatId":"c","messages":[{"id":"0123456789abcdefghjkmnpqrs","role":"assistant","parts":[{"type":"step-start"},{"type":"data-handoff","id":"1","data":{"usesHandoff":true}},{"type":"tool-t","toolCallId":"1","state":"output-available","input":{},"output":[]},{"type":"dynamic-tool","toolName":"u","toolCallId":"2","state":"approval-responded","approval":{"id":"a","approved":false,"reason":"no"}}]}]}"#;
    let content = r#"{"id":"c","temperature":0.2,"stopSequences":["x"],"toolChoice":{"type":"tool","toolName":"t"},"reasoning":"low","responseFormat":{"type":"json","schema":{}},"messages":[{"id":"n","role":"user","parts":[{"type":"file","url":"data:image/png;base64,AAAA","mediaType":"image","filename":"a"}]},{"id":"m","role":"assistant","parts":[{"type":"reasoning","text":"r","providerMetadata":{"unbroken":{"providerState":{"provider":"p","data":1}}}},{"type":"source-url","sourceId":"s","url":"https://a/b"},{"type":"tool-t","toolCallId":"1","state":"output-error","errorText":"e","resultProviderMetadata":{"unbroken":{"incomplete":true}}},{"type":"data-provider-state","id":"1","data":{"provider":"p","data":{}}}]}]}"#;
    let alone =
        r#"{"id":"c","message":{"id":"m","role":"user","parts":[{"type":"text","text":"Hey"}]}}"#;
    let again = r#"{"id":"c","trigger":"regenerate-message","messageId":"m"}"#;
    fuzz(
        &super::AiSdk::new(),
        &[
            ("/", user),
            ("/", answer),
            ("/", content),
            ("/", alone),
            ("/", again),
            ("/chat-1/inputs/a", ANSWER),
            ("GET /chat-1/stream?asks=a,b&wait=25", "{}"),
        ],
    );
}

#[cfg(feature = "ag-ui")]
#[test]
fn any_bytes_give_an_answer_or_an_error_in_ag_ui() {
    let run = r#"{"threadId":"t","runId":"run-1764133345123-k3j5x9","messages":[{"id":"1","role":"user","content":[{"type":"text","text":"a"}]},{"role":"assistant","toolCalls":[{"id":"c","function":{"name":"now","arguments":"{}"}}]},{"role":"tool","toolCallId":"c","content":"","error":"no"}],"tools":[{"name":"map","parameters":{}}],"state":{},"context":[]}"#;
    let input = format!("/{ID}/inputs/a");
    fuzz(&super::AgUi::new(), &[("/", run), (&input, ANSWER)]);
}

#[cfg(feature = "openai-responses")]
#[test]
fn any_bytes_give_an_answer_or_an_error_in_openai_responses() {
    let text = r#"{"model":"m","input":"Hi","instructions":"Be brief.","stream":true,"tools":[{"type":"function","name":"map"}]}"#;
    let items = r#"{"input":[{"role":"user","content":[{"type":"input_text","text":"a"}]},{"type":"function_call","call_id":"b","name":"map","arguments":"{\"z\":3}"},{"type":"function_call_output","call_id":"b","output":"c"},{"type":"mcp_call","id":"m","name":"now","output":"d"},{"type":"reasoning"}]}"#;
    fuzz(
        &super::OpenAiResponses::new(),
        &[("/responses", text), ("/responses", items)],
    );
}
