//! What a server says of a stream, and what it says of the response.

use super::{
    background::{ALL, delta, hi, provider, text},
    server::{Rules, Server},
    *,
};

fn error() -> Value {
    json!({"type": "error", "code": "server_error", "message": "Sekret", "param": null})
}

/// A provider without the background.
fn foreground(server: &Server) -> ResponsesUpstream {
    builder(server.base_url()).retries(0).build().unwrap()
}

fn text_of(events: &[ChatEvent]) -> String {
    events.iter().collect::<Transcript>().text().to_owned()
}

#[tokio::test]
async fn an_error_of_the_stream_ends_no_response_that_goes_on() {
    let rules = || Rules {
        breaks: Some(Box::new(|number| (number == 0).then(|| (3, error())))),
        ..Rules::default()
    };
    let server = Server::start(vec![text()], rules()).await;
    let events = ask(&provider(&server), hi()).await.unwrap();
    assert_eq!(text_of(&events), ALL);
    assert_eq!(
        (server.posts(), server.reads(), server.wholes()),
        (1, vec![2], 0)
    );
    assert!(server.cancelled().is_empty());
    // The same bytes end an answer in the foreground.
    let server = Server::start(vec![text()], rules()).await;
    let error = ask(&foreground(&server), hi()).await.unwrap_err();
    assert!(error.to_string().contains("has failed"), "{error}");
}

#[tokio::test]
async fn a_response_whose_streams_all_fail_is_read_whole_once_it_has_ended() {
    for running in [0, 1] {
        let rules = Rules {
            breaks: Some(Box::new(|number| {
                Some((if number == 0 { 3 } else { 0 }, error()))
            })),
            running,
            ..Rules::default()
        };
        let server = Server::start(vec![text()], rules).await;
        let events = ask(&provider(&server), hi()).await.unwrap();
        assert_eq!(text_of(&events), ALL);
        let last = events.last().unwrap();
        let ChatEvent::Complete(complete) = last else {
            panic!("{last:?}");
        };
        assert_eq!(complete.usage.as_ref().unwrap().output_tokens, 14);
        assert_eq!((server.posts(), server.wholes()), (1, running + 1));
        assert_eq!(server.reads().len(), running + 1);
    }
}

#[tokio::test]
async fn an_end_that_says_nothing_is_asked_for() {
    for ends in [
        json!({"type": "response.completed"}),
        json!({"type": "response.completed", "response": null}),
        json!({"type": "response.completed", "response": {"id": "resp_0", "status": "in_progress"}}),
        json!({"type": "response.completed", "response": {"id": "resp_0", "status": "queued"}}),
        json!({"type": "response.completed", "response": {"id": "resp_0", "status": "unheard_of"}}),
    ] {
        let rules = || Rules {
            ends: Some(ends.clone()),
            ..Rules::default()
        };
        let server = Server::start(vec![text()], rules()).await;
        let events = ask(&provider(&server), hi()).await.unwrap();
        assert_eq!(text_of(&events), ALL, "{ends}");
        assert_eq!((server.posts(), server.wholes()), (1, 1), "{ends}");
        let server = Server::start(vec![text()], rules()).await;
        let error = ask(&foreground(&server), hi()).await.unwrap_err();
        assert!(error.is_recoverable(), "{ends}: {error}");
    }
}

#[tokio::test]
async fn a_read_that_is_refused_waits_as_it_is_told_or_cancels() {
    let cut = || Rules {
        cut: Some(Box::new(|number| (number == 0).then_some(400))),
        ..Rules::default()
    };
    let slow = Rules {
        refusals: vec![
            ("429 Too Many Requests", "retry-after-ms: 20\r\n"),
            ("503 Service Unavailable", "retry-after-ms: 20\r\n"),
        ],
        ..cut()
    };
    let server = Server::start(vec![text()], slow).await;
    let events = ask(&provider(&server), hi()).await.unwrap();
    assert_eq!(text_of(&events), ALL);
    assert_eq!((server.posts(), server.reads().len()), (1, 3));

    // Nobody reads it on, but it can be stopped.
    for status in ["401 Unauthorized", "403 Forbidden"] {
        let refused = Rules {
            refusals: vec![(status, "")],
            ..cut()
        };
        let server = Server::start(vec![text()], refused).await;
        let error = ask(&provider(&server), hi()).await.unwrap_err();
        assert!(error.is_recoverable(), "{error}");
        server.when_cancelled(1).await;
        assert_eq!(server.cancelled(), ["resp_0"]);
    }
}

#[tokio::test]
async fn a_request_that_was_lost_is_repeated_only_if_nothing_goes_on_without_it() {
    let lost = || Rules {
        lost: 1,
        ..Rules::default()
    };
    let server = Server::start(vec![text()], lost()).await;
    let background = builder(server.base_url()).background(true).build().unwrap();
    let error = ask(&background, hi()).await.unwrap_err();
    assert!(error.is_recoverable(), "{error}");
    assert_eq!(server.posts(), 1);
    let server = Server::start(vec![text()], lost()).await;
    let foreground = builder(server.base_url()).build().unwrap();
    assert_eq!(text_of(&ask(&foreground, hi()).await.unwrap()), ALL);
    assert_eq!(server.posts(), 2);
    // What never reached a server is repeated, and what a server refused.
    let unreachable = builder("http://127.0.0.1:1/v1").background(true).retries(1);
    let begun = std::time::Instant::now();
    ask(&unreachable.build().unwrap(), hi()).await.unwrap_err();
    assert!(begun.elapsed() >= std::time::Duration::from_millis(250));
    let refused = refusal("503 Service Unavailable", "retry-after-ms: 1\r\n", "{}");
    let whole = vec![ok(), Step::Chunk(TEXT.to_vec()), Step::End];
    let stub = serve_in_turn(vec![vec![refused], whole]).await;
    let background = builder(stub.url("/v1")).background(true).build().unwrap();
    ask(&background, hi()).await.unwrap();
}

#[tokio::test]
async fn a_word_that_comes_twice_in_one_stream_is_told_twice() {
    let server = Server::start(vec![vec![delta("no "), delta("no ")]], Rules::default()).await;
    let events = ask(&provider(&server), hi()).await.unwrap();
    assert_eq!(text_of(&events), "no no ");
}
