//! Stop and delete.

use unbroken::{session::Sessions, store::Memory};

use crate::{
    app::{App, about, ask, id},
    client::{With as _, empty},
};

#[tokio::test]
async fn a_stop_drops_the_body_and_cuts_the_readers() {
    let app = App::new().await;
    let (mut starter, said) = app.start(ask("Why?")).await;
    said.say("one");
    starter.until("one").await;
    let session = starter.id();
    let stop = || about("POST", &session).with("x-session-abort", "1");
    let stopped = app.send(stop()).await.whole().await;
    assert!(
        matches!(stopped.status(), 200 | 202),
        "{}",
        stopped.status()
    );
    assert_eq!(stopped.json()["id"], session);
    said.dropped().await;
    let starter = starter.whole().await;
    assert!(!starter.clean);
    assert!(starter.text().ends_with("data: one\n\n"));
    assert_eq!(app.send(stop()).await.status(), 200, "it had ended");
    let outcome = about("GET", &session).with("accept", "application/json");
    assert_eq!(
        app.send(outcome).await.whole().await.json()["status"],
        "aborted"
    );
    assert!(app.is_quiet().await);
}

#[tokio::test]
async fn a_stop_reaches_the_server_that_runs_the_session() {
    let store = Memory::new();
    let (here, there) = (App::on(&store).await, App::on(&store).await);
    let (starter, said) = here.start(ask("Why?")).await;
    let stop = about("POST", &starter.id()).with("x-session-abort", "1");
    assert!(there.send(stop).await.head.status.is_success());
    said.dropped().await;
    assert!(!starter.whole().await.clean);
}

#[tokio::test]
async fn a_path_of_the_layer_stops_too() {
    let app = App::with(Sessions::in_memory(), |layer| layer.abort_path("/stop")).await;
    let (starter, said) = app.start(ask("Why?")).await;
    let stop = empty("POST", &format!("/stop?sessionId={}", starter.id()));
    assert!(app.send(stop).await.head.status.is_success());
    said.dropped().await;
    assert_eq!(app.send(empty("POST", "/stop")).await.status(), 400);
}

#[tokio::test]
async fn a_deleted_session_is_gone_and_its_id_stays_used() {
    let app = App::new().await;
    let request = || ask("Why?").with("x-session-id", id("deleted"));
    let (starter, said) = app.start(request()).await;
    let deleted = app
        .send(about("DELETE", &id("deleted")))
        .await
        .whole()
        .await;
    assert_eq!(deleted.status(), 204);
    assert!(deleted.bytes.is_empty());
    said.dropped().await;
    assert!(!starter.whole().await.clean);
    assert_eq!(app.send(about("GET", &id("deleted"))).await.status(), 410);
    assert_eq!(app.send(request()).await.status(), 410);
    assert_eq!(
        app.send(about("DELETE", &id("deleted"))).await.status(),
        204
    );
    assert!(app.is_quiet().await);
}
