use std::{future::ready, net::IpAddr};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header, request::Parts};

use super::{Access, Action, Identified, IpPrefix, PeerAddr, ProxyHeader, SessionRef};
use crate::{BoxFuture, log::Owner};

/// The beginning of the owners that [`PerPeer`] names.
const PREFIX: &str = "peer:";
/// The bits of an IPv6 address that count: a network that one subscriber gets.
const V6_BITS: u8 = 64;

/// The policy that names an owner for each peer, where another policy names none.
///
/// The owner is the IP address of the client: `peer:203.0.113.9`, and of IPv6 the network of 64 bits,
/// `peer:2001:db8:0:1::/64`. So the [limits per owner](crate::session::Limits) hold for clients that
/// don't sign in: one of them can't take all places of the server.
///
/// ```
/// use unbroken::{
///     DurableLayer, Sessions,
///     access::{AnyoneWithTheId, PerPeer},
/// };
///
/// // Behind a load balancer in 10.0.0.0/8, which appends to `X-Forwarded-For`.
/// let access = PerPeer::new(AnyoneWithTheId::new()).trusted_proxies(["10.0.0.0/8".parse()?]);
/// let durable = DurableLayer::new(Sessions::in_memory(), access);
/// # let _ = durable;
/// # Ok::<_, unbroken::access::InvalidIpPrefix>(())
/// ```
///
/// # Such an owner is for limits only
///
/// An address is not a proof of who asks: all clients behind one NAT share it, and a phone has another
/// one in each network. So the inner policy never sees it. Both the caller and the session look to it
/// as if they had no owner, and its decision stands:
///
/// * Under [`AnyoneWithTheId`](super::AnyoneWithTheId) a session stays open to every client that has
///   its id, from any address.
/// * Clients without an owner of the inner policy can't list sessions.
/// * Chat ids lead to sessions as they do [without an
///   owner](crate::durable::DurableLayer::secret_chat_ids), and to those of the same address only. So a
///   dialect that finds sessions by chats, as that of the AI SDK, doesn't find an answer again after the
///   phone has changed networks. Name owners by a cookie there.
/// * A start that is repeated from another address is another start. Under the same id it is refused
///   with 409; read the session by its id instead.
///
/// The layer tells such an owner by a mark in the head. A policy of your own around this one must pass on
/// the head that it gets, and not a copy.
///
/// Owners of the inner policy must not begin with `peer:`; a request from one is refused with 403.
///
/// A network of IPv6 that an internet provider or a host gives to one client often has 56 or 48 bits: 256
/// or 65,536 owners. Only [`Limits::running`](field@crate::session::Limits::running) holds for all of them
/// together.
///
/// # Proxies
///
/// The peer is the client's end of the connection ([`PeerAddr`]), which behind a reverse proxy is the
/// proxy.
///
/// | configuration | effect |
/// |---|---|
/// | no proxy, none trusted | each address is an owner; headers are not read, so clients can't forge them |
/// | a proxy, none trusted | all clients are one owner, and share its limits: starts are soon refused with 429 |
/// | a proxy, trusted | the address that the proxy saw is the owner |
/// | no proxy, but addresses of clients are trusted | those clients choose their owners by a header, and have no limit |
/// | [`proxy_header`](Self::proxy_header) is not the header that the proxy writes | the proxy passes on what clients write, and they choose their owners |
///
/// The header is read from its right end, where the last proxy wrote, up to the first address that
/// isn't trusted: that is the client. What stands left of it comes from the client, and is ignored. A
/// trusted proxy that names no address counts as the client itself.
///
/// # Errors
///
/// A request without a [`PeerAddr`] is answered with 500 and traced as an error, for as long as the
/// inner policy names no owner for it. Over a Unix socket, add one in a layer, for example
/// 127.0.0.1, and trust that.
#[derive(Debug, Clone)]
pub struct PerPeer<P> {
    inner: P,
    proxies: Vec<IpPrefix>,
    header: ProxyHeader,
}

impl<P> PerPeer<P> {
    /// Creates the policy around another one. No proxy is trusted.
    pub const fn new(inner: P) -> Self {
        Self {
            inner,
            proxies: Vec::new(),
            header: ProxyHeader::XForwardedFor,
        }
    }

    /// Sets the addresses of the reverse proxies whose headers are believed. Default none.
    ///
    /// They must be addresses from which no client connects, and each of the proxies must append the
    /// address of its client to the header.
    pub fn trusted_proxies(mut self, proxies: impl IntoIterator<Item = IpPrefix>) -> Self {
        self.proxies = proxies.into_iter().collect();
        self
    }

    /// Sets the header that the trusted proxies write. Default [`ProxyHeader::XForwardedFor`].
    pub fn proxy_header(mut self, header: ProxyHeader) -> Self {
        self.header = header;
        self
    }

    /// Returns the address of the client: that of the peer, or the one that trusted proxies saw.
    fn client(&self, peer: PeerAddr, headers: &HeaderMap) -> IpAddr {
        let is_trusted = |hop: IpAddr| self.proxies.iter().any(|proxy| proxy.contains(hop));
        let mut client = peer.ip();
        for hop in self.header.hops(headers) {
            match hop {
                Some(hop) if is_trusted(client) => client = hop,
                _ => break,
            }
        }
        client
    }
}

impl<P: Access> Access for PerPeer<P> {
    fn identify<'a>(&'a self, head: &'a mut Parts) -> BoxFuture<'a, Identified> {
        Box::pin(async move {
            let named = self.inner.identify(head).await?;
            match &named {
                // Another `PerPeer` within may have named it.
                Some(owner) if is_peer(owner) && head.extensions.get::<NamedByPeer>().is_none() => {
                    tracing::warn!(%owner, "an owner of the policy within `PerPeer` is named as a peer");
                    return Err(reserved());
                }
                Some(_) => return Ok(named),
                None => {}
            }
            let Some(peer) = PeerAddr::of(&head.extensions) else {
                tracing::error!(
                    "a request has no `PeerAddr` among its extensions, which `PerPeer` needs; serve it \
                     through an adapter that adds one, or add it in a layer"
                );
                return Err(no_address());
            };
            let owner = owner(self.client(peer, &head.headers));
            head.extensions.insert(NamedByPeer(()));
            Ok(Some(owner))
        })
    }

    fn allow<'a>(
        &'a self,
        owner: Option<&'a Owner>,
        action: Action,
        session: Option<SessionRef<'a>>,
    ) -> BoxFuture<'a, bool> {
        let caller = owner.filter(|owner| !is_peer(owner));
        // The list of a peer would hold the sessions of its neighbours behind the same address.
        if caller.is_none() && action == Action::List {
            return Box::pin(ready(false));
        }
        let session = session.map(|session| SessionRef {
            owner: session.owner.filter(|owner| !is_peer(owner)),
            ..session
        });
        self.inner.allow(caller, action, session)
    }

    fn names_owners(&self) -> bool {
        self.inner.names_owners()
    }
}

/// The extension of a request whose owner [`PerPeer`] names: an address, which proves nothing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NamedByPeer(());

/// Returns true if the owner is one that [`PerPeer`] names, or could be taken for one.
fn is_peer(owner: &Owner) -> bool {
    owner.as_str().starts_with(PREFIX)
}

fn owner(client: IpAddr) -> Owner {
    let client = match client {
        IpAddr::V4(_) => client.into(),
        IpAddr::V6(_) => IpPrefix::around(client, V6_BITS),
    };
    Owner::new(format!("{PREFIX}{client}"))
}

fn no_address() -> Response<Bytes> {
    const DOCUMENT: &[u8] = br#"{"type":"urn:unbroken:internal","title":"A bug of the server","status":500,"detail":"the server can't tell the addresses of its clients; tell its operator, who finds more in the log"}"#;
    problem(StatusCode::INTERNAL_SERVER_ERROR, DOCUMENT)
}

fn reserved() -> Response<Bytes> {
    const DOCUMENT: &[u8] = br#"{"type":"urn:unbroken:forbidden","title":"Not allowed","status":403,"detail":"the name of your account begins with `peer:`, which stands for addresses here; choose another, or ask the operator of this server"}"#;
    problem(StatusCode::FORBIDDEN, DOCUMENT)
}

fn problem(status: StatusCode, document: &'static [u8]) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(document));
    *response.status_mut() = status;
    let problem = HeaderValue::from_static("application/problem+json");
    response.headers_mut().insert(header::CONTENT_TYPE, problem);
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        access::{AnyoneWithTheId, OnlyTheOwner},
        log::SessionId,
    };

    fn behind_proxies() -> PerPeer<AnyoneWithTheId> {
        let proxies = ["10.0.0.0/8", "fd00::/8"].map(|proxy| proxy.parse().unwrap());
        PerPeer::new(AnyoneWithTheId::new()).trusted_proxies(proxies)
    }

    fn head(peer: Option<&str>, forwarded: &[(&str, &str)]) -> Parts {
        let (mut head, ()) = http::Request::new(()).into_parts();
        for (name, value) in forwarded {
            let name: http::HeaderName = name.parse().unwrap();
            head.headers.append(name, value.parse().unwrap());
        }
        if let Some(peer) = peer {
            let peer: IpAddr = peer.parse().unwrap();
            head.extensions.insert(PeerAddr::new(peer));
        }
        head
    }

    async fn named(access: &impl Access, mut head: Parts) -> String {
        let owner = access.identify(&mut head).await.unwrap();
        owner.expect("a peer is an owner").as_str().to_owned()
    }

    #[tokio::test]
    async fn the_owner_is_the_address_or_the_network_of_64_bits() {
        let access = PerPeer::new(AnyoneWithTheId::new());
        for (peer, owner) in [
            ("203.0.113.9", "peer:203.0.113.9"),
            ("::ffff:203.0.113.9", "peer:203.0.113.9"),
            ("2001:db8:0:1:aaaa::1", "peer:2001:db8:0:1::/64"),
            ("2001:db8:0:1:bbbb::2", "peer:2001:db8:0:1::/64"),
            ("2001:db8:0:2::1", "peer:2001:db8:0:2::/64"),
        ] {
            assert_eq!(named(&access, head(Some(peer), &[])).await, owner);
        }
    }

    #[tokio::test]
    async fn without_a_trusted_proxy_no_header_is_read() {
        let forged = [
            ("x-forwarded-for", "192.0.2.1"),
            ("forwarded", "for=192.0.2.1"),
        ];
        let direct = PerPeer::new(AnyoneWithTheId::new());
        let head = || head(Some("203.0.113.9"), &forged);
        assert_eq!(named(&direct, head()).await, "peer:203.0.113.9");
        let other = behind_proxies();
        assert_eq!(
            named(&other, head()).await,
            "peer:203.0.113.9",
            "not a proxy"
        );
    }

    #[tokio::test]
    async fn behind_trusted_proxies_the_last_address_that_they_saw_is_the_owner() {
        let access = behind_proxies();
        for (line, owner) in [
            ("203.0.113.9", "peer:203.0.113.9"),
            ("203.0.113.9, 10.0.0.2, fd00::1", "peer:203.0.113.9"),
            ("192.0.2.1, 203.0.113.9, 10.0.0.2", "peer:203.0.113.9"),
            ("10.0.0.9, 203.0.113.9", "peer:203.0.113.9"),
            // Only proxies, and a proxy that names no address.
            ("10.0.0.3, 10.0.0.2", "peer:10.0.0.3"),
            ("192.0.2.1, unknown", "peer:10.0.0.1"),
            ("192.0.2.1, unknown, 10.0.0.2", "peer:10.0.0.2"),
        ] {
            let head = head(Some("10.0.0.1"), &[("x-forwarded-for", line)]);
            assert_eq!(named(&access, head).await, owner, "{line}");
        }
        assert_eq!(
            named(&access, head(Some("10.0.0.1"), &[])).await,
            "peer:10.0.0.1"
        );
    }

    #[tokio::test]
    async fn only_the_header_that_the_proxies_write_is_read() {
        let both = [
            ("x-forwarded-for", "203.0.113.9"),
            ("forwarded", "for=192.0.2.1"),
        ];
        let by_default = behind_proxies();
        let head = || head(Some("10.0.0.1"), &both);
        assert_eq!(named(&by_default, head()).await, "peer:203.0.113.9");
        let other = behind_proxies().proxy_header(ProxyHeader::Forwarded);
        assert_eq!(named(&other, head()).await, "peer:192.0.2.1");
    }

    #[tokio::test]
    async fn a_request_without_an_address_is_an_error_and_not_without_limits() {
        let access = behind_proxies();
        let mut head = head(None, &[("x-forwarded-for", "203.0.113.9")]);
        let response = access.identify(&mut head).await.unwrap_err();
        assert_eq!(response.status(), 500);
        let document: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(document["status"], 500);
    }

    #[tokio::test]
    async fn an_owner_of_the_inner_policy_stands() {
        let access = PerPeer::new(OnlyTheOwner::new(|_: &mut Parts| Some(Owner::new("ann"))));
        assert_eq!(named(&access, head(None, &[])).await, "ann");
        assert!(access.names_owners());
        assert!(
            !behind_proxies().names_owners(),
            "an address proves nothing"
        );
    }

    #[tokio::test]
    async fn a_policy_within_another_one_names_the_peer() {
        let twice = PerPeer::new(PerPeer::new(AnyoneWithTheId::new()));
        let head = head(Some("203.0.113.9"), &[]);
        assert_eq!(named(&twice, head).await, "peer:203.0.113.9");
    }

    #[tokio::test]
    async fn an_owner_of_the_inner_policy_that_could_be_a_peer_is_refused() {
        for name in ["peer:", "peer:203.0.113.9", "peer:2001:db8:0:1::/64"] {
            let user = move |_: &mut Parts| Some(Owner::new(name));
            let access = PerPeer::new(OnlyTheOwner::new(user));
            let refused = access.identify(&mut head(Some("203.0.113.9"), &[])).await;
            let response = refused.unwrap_err();
            assert_eq!(response.status(), 403, "{name}");
            let document: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
            assert_eq!(document["status"], 403);
        }
    }

    #[tokio::test]
    async fn a_session_of_a_peer_is_open_to_everyone_with_its_id_and_to_no_list() {
        let (here, there) = (Owner::new("peer:192.0.2.1"), Owner::new("peer:192.0.2.2"));
        let id = SessionId::random();
        let session = SessionRef::new(&id, Some(&there), None);
        let access = behind_proxies();
        for action in [Action::Read, Action::Abort, Action::Answer, Action::Delete] {
            assert!(access.allow(Some(&here), action, Some(session)).await);
        }
        assert!(!access.allow(Some(&here), Action::List, None).await);
    }

    #[tokio::test]
    async fn the_inner_policy_never_takes_a_peer_for_an_owner() {
        let access = PerPeer::new(OnlyTheOwner::new(|_: &mut Parts| None));
        let peer = Owner::new("peer:192.0.2.1");
        let id = SessionId::random();
        let session = SessionRef::new(&id, Some(&peer), None);
        for action in [Action::Start, Action::Read, Action::Abort, Action::List] {
            assert!(!access.allow(Some(&peer), action, Some(session)).await);
        }
    }
}
