//! The services under test: a durable layer around the scripted provider, with limits that the target
//! of the suite describes.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, atomic::AtomicUsize},
    time::Duration,
};

use http::{HeaderName, HeaderValue, request::Parts};
use tokio::task::AbortHandle;
use tower_layer::Layer as _;
use unbroken::{
    access::{AnyoneWithTheId, OnlyTheOwner},
    durable::{ClientFields, DurableLayer, DurableService},
    log::Owner,
    provider::Scripted,
    session::{Limits, Sessions},
    store::Memory,
};
use unbroken_conformance::http::HttpTarget;

pub(crate) const MOUNT: &str = "/api/chat";
/// The mount of the service without owners.
pub(crate) const OPEN: &str = "/open";
/// The mount of the service with low limits of silence and bytes.
pub(crate) const STRICT: &str = "/strict";
/// The mount of the service with a low limit of age.
pub(crate) const AGED: &str = "/aged";

const USER: HeaderName = HeaderName::from_static("x-user");
const RUNNING: usize = 220;
const RUNNING_PER_OWNER: usize = 200;
const SESSION_EVENTS: u64 = 100_000;
const HEARTBEAT: Duration = Duration::from_millis(250);
const BODY_TIMEOUT: Duration = Duration::from_secs(2);
const IDLE: Duration = Duration::from_secs(1);
const SESSION_BYTES: usize = 20_000;
const AGE: Duration = Duration::from_secs(1);

pub(crate) type Chat = DurableService<Scripted>;

pub(crate) fn sessions() -> Sessions {
    let limits = Limits::default()
        .running(RUNNING)
        .running_per_owner(RUNNING_PER_OWNER)
        .session_events(SESSION_EVENTS);
    let store = Memory::new();
    let others = OTHERS.lock();
    others.expect("nothing panics under it").push(store.clone());
    Sessions::builder(store).limits(limits).build()
}

/// The handles of other servers, which could go on with sessions: a shutdown cuts their bodies.
static OTHERS: Mutex<Vec<Memory>> = Mutex::new(Vec::new());

/// The service whose sessions have owners.
pub(crate) fn owned(sessions: &Sessions) -> Chat {
    let user = |head: &mut Parts| {
        let user = head.headers.get(USER)?.to_str().ok()?;
        Owner::try_from(user).ok()
    };
    layer(DurableLayer::new(sessions.clone(), OnlyTheOwner::new(user))).layer(Scripted::default())
}

/// The service without owners, whose sessions are open to anyone with the id.
pub(crate) fn open(sessions: &Sessions) -> Chat {
    layer(DurableLayer::new(sessions.clone(), AnyoneWithTheId::new()))
        .service_name("open")
        .layer(Scripted::default())
}

/// A service with low limits of silence and bytes.
pub(crate) fn strict() -> Chat {
    let limits = Limits::default()
        .idle(IDLE)
        .session_bytes(SESSION_BYTES as u64);
    open(&Sessions::builder(Memory::new()).limits(limits).build())
}

/// A service with a low limit of age.
pub(crate) fn aged() -> Chat {
    let limits = Limits::default().age(AGE);
    open(&Sessions::builder(Memory::new()).limits(limits).build())
}

fn layer(layer: DurableLayer) -> DurableLayer {
    layer
        .client_fields(
            ClientFields::nothing()
                .field("script")
                .history(64 * 1024)
                .client_tools(4, 4096),
        )
        .heartbeat(HEARTBEAT)
        .body_timeout(BODY_TIMEOUT)
}

/// A server that runs until it is dropped.
pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    pub(crate) sessions: Sessions,
    /// The number of connections so far. Counted by axum only.
    pub(crate) accepted: Arc<AtomicUsize>,
    pub(crate) task: AbortHandle,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// Describes the service with owners.
    pub(crate) fn target(&self) -> HttpTarget {
        self.target_at(self.addr)
    }

    /// Describes the service with owners at another address, such as a proxy's.
    pub(crate) fn target_at(&self, addr: SocketAddr) -> HttpTarget {
        target(addr, MOUNT, &self.sessions)
            .running_per_owner(RUNNING_PER_OWNER)
            .caller(USER, HeaderValue::from_static("ann"))
            .stranger(USER, HeaderValue::from_static("ben"))
    }

    /// Describes the service without owners.
    pub(crate) fn open_target(&self) -> HttpTarget {
        target(self.addr, OPEN, &self.sessions)
    }

    pub(crate) fn strict_target(&self) -> HttpTarget {
        let target = at(self.addr, STRICT).idle(IDLE);
        target.session_bytes(SESSION_BYTES)
    }

    pub(crate) fn aged_target(&self) -> HttpTarget {
        at(self.addr, AGED).age(AGE)
    }
}

/// Describes a service of these sessions at this address.
fn target(addr: SocketAddr, mount: &str, sessions: &Sessions) -> HttpTarget {
    let sessions = sessions.clone();
    at(addr, mount)
        .running(RUNNING)
        .session_events(SESSION_EVENTS)
        .heartbeat(HEARTBEAT)
        .body_timeout(BODY_TIMEOUT)
        .shutdown(move || {
            let sessions = sessions.clone();
            async move { sessions.shutdown(Duration::ZERO).await }
        })
}

fn at(addr: SocketAddr, mount: &str) -> HttpTarget {
    HttpTarget::new(&format!("http://{addr}{mount}")).expect("an address")
}
