//! Owners that a filter of the application names.

use http::{Request, StatusCode};
use tower_layer::Layer as _;
use unbroken::{
    access::{Identify, OnlyTheOwner},
    durable::DurableLayer,
    log::Owner,
    session::Sessions,
};
use unbroken_warp::{identify_with, mount, mount_with};
use warp::{Filter, Rejection, Reply, reject::Reject, reply};

use crate::{
    client::{With, ask, empty, get, post},
    server::{ID, hello, question, serve},
};

#[derive(Clone)]
struct User(String);

#[derive(Debug)]
struct NotSignedIn;

impl Reject for NotSignedIn {}

fn user() -> impl Filter<Extract = (User,), Error = Rejection> + Copy {
    warp::header::optional("authorization").and_then(async |token: Option<String>| {
        match token.as_deref().and_then(|it| it.strip_prefix("secret-")) {
            Some(name) => Ok(User(name.to_owned())),
            None => Err(Rejection::from(NotSignedIn)),
        }
    })
}

async fn sign_in(rejection: Rejection) -> Result<impl Reply, Rejection> {
    if rejection.find::<NotSignedIn>().is_none() {
        return Err(rejection);
    }
    let reply = reply::with_status("sign in first", StatusCode::UNAUTHORIZED);
    Ok(reply::with_header(reply, "www-authenticate", "Bearer"))
}

#[tokio::test]
async fn a_filter_names_the_owner_and_its_rejection_stands() {
    let sessions = Sessions::in_memory();
    let access = OnlyTheOwner::new(identify_with(|User(name)| Owner::new(name)));
    let chat = DurableLayer::new(sessions.clone(), access).layer(hello());
    let named = warp::path!("chat" / ..).and(mount_with(chat.clone(), user()));
    let unnamed = warp::path!("unnamed" / ..).and(mount(chat));
    let server = serve!(named.recover(sign_in).or(unnamed));

    let start = |path| post(path, &question()).with("x-session-id", ID);
    let refused = ask(server.addr, start("/chat")).await;
    assert_eq!(refused.status(), 401);
    assert_eq!(refused.header("www-authenticate"), "Bearer");
    assert_eq!(refused.text(), "sign in first");
    assert_eq!(
        ask(server.addr, empty("OPTIONS", "/chat")).await.status(),
        401
    );

    let ann = start("/chat").with("authorization", "secret-ann");
    let started = ask(server.addr, ann).await;
    assert_eq!(started.status(), 200);
    assert_eq!(started.header("content-location"), format!("/chat/{ID}"));
    let state = sessions.state(&ID.parse().unwrap()).await.unwrap();
    assert_eq!(state.meta.owner, Some(Owner::new("ann")));

    let path = format!("/chat/{ID}");
    let ben = get(&path).with("authorization", "secret-ben");
    assert_eq!(ask(server.addr, ben).await.problem().0, 404);
    // Without a filter that names an owner, every action is refused.
    assert_eq!(ask(server.addr, start("/unnamed")).await.problem().0, 403);
}

#[tokio::test]
async fn each_type_that_becomes_an_owner_names_one() {
    async fn owner(identify: impl Identify) -> Option<Owner> {
        let (mut head, ()) = Request::get("/").body(()).unwrap().into_parts();
        head.extensions.insert(User("ann".to_owned()));
        identify.identify(&mut head).await.unwrap()
    }
    let ann = Some(Owner::new("ann"));
    assert_eq!(
        owner(identify_with(|User(name)| Owner::new(name))).await,
        ann
    );
    assert_eq!(owner(identify_with(|User(name)| name)).await, ann);
    assert_eq!(owner(identify_with(|_: User| "ann")).await, ann);
    assert_eq!(owner(identify_with(|_: User| Some("ann"))).await, ann);
    assert_eq!(owner(identify_with(|User(name)| Some(name))).await, ann);
    let option = |User(name)| Some(Owner::new(name));
    assert_eq!(owner(identify_with(option)).await, ann);
    assert_eq!(owner(identify_with(|_: User| None::<Owner>)).await, None);
}
