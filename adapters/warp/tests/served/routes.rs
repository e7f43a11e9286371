//! Routes of an application.

use http::{Version, header};
use unbroken::{
    chat::{Capabilities, ChatEvent, ChatRequest},
    durable::{ProviderSource, digest_of},
    log::{Position, ServiceName, SessionId},
    session::{SessionSpec, Sessions},
};
use unbroken_warp::{
    Refused, ResumeRequest, SessionReply, cursor, optional_session_id, recover, resume, session_id,
};
use warp::Filter;

use crate::{
    client::{BOTH, With, ask, empty, get, post, send},
    server::{ID, Server, hello, serve, with},
};

async fn start(
    sessions: Sessions,
    id: Option<SessionId>,
    resume: ResumeRequest,
    question: String,
) -> Result<SessionReply, Refused> {
    let id = id.unwrap_or_else(SessionId::random);
    let info = ChatEvent::session_info(Capabilities::new())
        .to_json()
        .freeze();
    let digest = digest_of(["ask", &question]);
    let start = SessionSpec::new(id, ServiceName::new("ask"), digest, info);
    let source = ProviderSource::new(hello(), ChatRequest::from_user(question));
    let started = sessions
        .start(sessions.permit(None)?, start, source)
        .await?;
    resume
        .mount_path("/answers")
        .respond(&started.session)
        .await
}

async fn read(
    sessions: Sessions,
    id: SessionId,
    resume: ResumeRequest,
) -> Result<SessionReply, Refused> {
    resume.respond(&sessions.attach(&id).await?).await
}

async fn app() -> Server {
    let sessions = with(Sessions::in_memory());
    let ask = sessions
        .clone()
        .and(warp::path!("ask"))
        .and(warp::post())
        .and(optional_session_id())
        .and(resume())
        .and(warp::body::json())
        .then(start);
    let read = sessions
        .and(warp::path("answers"))
        .and(session_id())
        .and(warp::path::end())
        .and(warp::get().or(warp::head()).unify())
        .and(resume())
        .then(read);
    let cursor = warp::path!("cursor")
        .and(cursor())
        .map(|after: Position| after.lsn.to_string());
    let page = warp::path!("page").map(|| "the page");
    serve!(ask.or(read).or(cursor).recover(recover).or(page))
}

fn question(text: &str) -> http::Request<crate::client::Body> {
    post("/ask", &text.into()).with("x-session-id", ID)
}

#[tokio::test]
async fn a_route_answers_with_a_session_that_clients_resume() {
    let server = app().await;
    let whole = ask(server.addr, question("Hi")).await;
    assert_eq!(whole.status(), 200);
    assert_eq!(whole.header("x-session-id"), ID);
    let location = format!("/answers/{ID}");
    assert_eq!(whole.header(header::CONTENT_LOCATION.as_str()), location);
    assert_eq!(whole.text().lines().count(), 4);
    let rest = ask(server.addr, get(&format!("{location}?after=3"))).await;
    let last = whole.text().lines().nth(3).unwrap();
    assert_eq!(rest.text(), format!("{last}\n"));
    for version in BOTH {
        let end = get(&format!("{location}?after=4"));
        let end = send(server.addr, version, end).await.whole().await;
        assert_eq!((end.status(), end.clean), (204, true), "{version:?}");
        let head = empty("HEAD", &location);
        let head = send(server.addr, version, head).await.whole().await;
        assert_eq!((head.status(), head.clean), (200, true), "{version:?}");
        assert_eq!(head.header("x-session-tail"), "4", "{version:?}");
    }
}

#[tokio::test]
async fn rejections_are_problems() {
    let server = app().await;
    ask(server.addr, question("Hi")).await;
    let other = ask(server.addr, question("Hello")).await;
    assert_eq!(other.problem(), (409, "id-in-use".to_owned()));
    let nobody = format!("/answers/{ID}-2");
    let past = format!("/answers/{ID}?after=9");
    for (path, status, name) in [
        ("/answers/short", 400, "malformed-id"),
        (&nobody, 404, "not-found"),
        (&past, 400, "cursor-past-tail"),
        ("/cursor?after=x", 400, "malformed-cursor"),
    ] {
        let whole = ask(server.addr, get(path)).await;
        assert_eq!(whole.problem(), (status, name.to_owned()), "{path}");
    }
    let json = get(&format!("/answers/{ID}")).with("accept", "application/json");
    assert_eq!(ask(server.addr, json).await.problem().0, 406);
}

#[tokio::test]
async fn rejections_of_other_filters_are_returned_unchanged() {
    let server = app().await;
    let nowhere = ask(server.addr, get("/nowhere")).await;
    assert_eq!((nowhere.status(), nowhere.text()), (404, ""));
    let method = ask(server.addr, empty("DELETE", "/ask")).await;
    assert_eq!(method.status(), 405);
    assert_eq!(ask(server.addr, get("/page")).await.text(), "the page");
    let no_json = empty("POST", "/ask").with("content-type", "application/json");
    let no_json = ask(server.addr, no_json).await;
    assert_eq!(no_json.status(), 400);
    assert!(no_json.text().starts_with("Request body deserialize error"));
}

#[tokio::test]
async fn the_cursor_is_in_a_header_or_else_in_the_query() {
    let server = app().await;
    let tagged = get("/cursor?after=1&lastLsn=2")
        .with("last-event-id", "3.0000000")
        .with("x-last-lsn", "4");
    assert_eq!(ask(server.addr, tagged).await.text(), "3");
    let named = get("/cursor?after=1&lastLsn=2").with("x-last-lsn", "4");
    assert_eq!(ask(server.addr, named).await.text(), "4");
    let twin = send(server.addr, Version::HTTP_2, get("/cursor?lastLsn=2")).await;
    assert_eq!(twin.whole().await.text(), "2");
    assert_eq!(ask(server.addr, get("/cursor")).await.text(), "0");
}

#[tokio::test]
async fn the_id_of_a_session_is_in_the_path_or_else_in_the_header_or_query() {
    let in_path = warp::path("in").and(session_id()).and(warp::path::end());
    let out = warp::path!("out").and(session_id());
    let maybe = warp::path!("maybe").and(optional_session_id());
    let ids = in_path.or(out).unify().map(|id: SessionId| id.to_string());
    let maybe = maybe.map(|id: Option<SessionId>| id.map_or_else(String::new, |it| it.to_string()));
    let server = serve!(ids.or(maybe).recover(recover));
    for (path, header, expected) in [
        (
            format!("/in/{ID}?sessionId=x"),
            "also-a-session-of-somebody",
            ID,
        ),
        (format!("/out?sessionId={ID}"), "", ID),
        ("/out?sessionId=x".to_owned(), ID, ID),
        (format!("/maybe?sessionId={ID}"), "", ID),
        ("/maybe".to_owned(), "", ""),
    ] {
        let mut request = get(&path);
        if !header.is_empty() {
            request = request.with("x-session-id", header);
        }
        let whole = ask(server.addr, request).await;
        assert_eq!((whole.status(), whole.text()), (200, expected), "{path}");
    }
    for path in [
        "/in/short",
        "/out",
        "/out?sessionId=short",
        "/maybe?sessionId=short",
    ] {
        let whole = ask(server.addr, get(path)).await;
        assert_eq!(whole.problem(), (400, "malformed-id".to_owned()), "{path}");
    }
    let deeper = ask(server.addr, get(&format!("/in/{ID}/more"))).await;
    assert_eq!(deeper.status(), 404);
}
