//! A route of an `EventSource`, which starts by GET.

use http::Method;
use unbroken::{durable::CrossSite, session::Sessions};

use crate::{
    app::{App, data, id},
    client::{With as _, get},
};

async fn app() -> App {
    App::with(Sessions::in_memory(), |layer| {
        layer
            .start_methods([Method::GET])
            .cross_site(CrossSite::refuse().allow_origin("https://friend.example"))
    })
    .await
}

fn live(name: &str) -> String {
    format!("/live?sessionId={}", id(name))
}

#[tokio::test]
async fn an_event_source_starts_and_reconnects_until_there_is_nothing_more() {
    let app = app().await;
    let (mut first, said) = app.start(get(&live("one"))).await;
    said.say("a");
    let shown = first.until("data: a\n\n").await;
    let cursor = shown.lines().find_map(|line| line.strip_prefix("id: "));
    let cursor = cursor.unwrap().to_owned();
    drop(first);
    said.say("b");
    drop(said);
    let again = get(&live("one")).with("last-event-id", cursor);
    let again = app.send(again).await.whole().await;
    assert_eq!(data(again.text()), ["b"]);
    let last = again
        .text()
        .lines()
        .find_map(|line| line.strip_prefix("id: "))
        .unwrap();
    let over = app
        .send(get(&live("one")).with("last-event-id", last))
        .await;
    assert_eq!(over.status(), 204);
    assert_eq!(over.header("x-session-status"), "complete");
    assert!(app.is_quiet().await);
}

#[tokio::test]
async fn an_event_source_without_an_event_is_told_that_there_is_none() {
    let app = app().await;
    for fails in [false, true] {
        let name = live(if fails { "fails" } else { "ends" });
        let (first, said) = app.start(get(&name)).await;
        if fails {
            said.fail();
        } else {
            said.bytes(": hello\n\n");
        }
        drop(said);
        assert_eq!(first.whole().await.clean, !fails);
        assert_eq!(app.send(get(&name)).await.status(), 204, "{fails}");
        assert!(app.is_quiet().await);
    }
}

#[tokio::test]
async fn a_page_of_another_site_starts_nothing() {
    let app = app().await;
    let of = |site: &'static str| get(&live("site")).with("sec-fetch-site", site);
    for refused in [
        of("cross-site"),
        of("same-site"),
        get(&live("site")).with("origin", "https://other.example"),
    ] {
        let refused = app.send(refused).await.whole().await;
        assert_eq!(refused.status(), 403);
        assert_eq!(refused.json()["type"], "urn:unbroken:cross-site");
    }
    assert!(app.is_quiet().await);
    for (at, allowed) in [
        of("none"),
        of("same-origin"),
        of("cross-site").with("origin", "https://friend.example"),
    ]
    .into_iter()
    .enumerate()
    {
        let answer = app.send_later(allowed);
        if at == 0 {
            drop(app.asked().await.events());
        }
        assert!(matches!(answer.await.unwrap().status(), 200 | 204), "{at}");
    }
}
