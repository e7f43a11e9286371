use std::{
    any::Any,
    net::SocketAddr,
    task::{Context, Poll},
};

use http::{Extensions, Request};
use tower_service::Service;
use unbroken::access::PeerAddr;

/// The address of the client, in the extensions of each request of [`serve`](crate::serve): a
/// `Peer<SocketAddr>` over TCP.
///
/// A peer with a `SocketAddr` is also added as the [`PeerAddr`] that
/// [`PerPeer`](unbroken::access::PerPeer) reads.
///
/// Behind a proxy it is the address of the proxy.
///
/// ```
/// use std::net::SocketAddr;
/// use unbroken_hyper::Peer;
///
/// fn address<B>(request: &http::Request<B>) -> Option<SocketAddr> {
///     let Peer(address) = request.extensions().get()?;
///     Some(*address)
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Peer<A>(pub A);

/// A service that adds the peer to the extensions of its requests.
#[derive(Debug, Clone)]
pub(crate) struct WithPeer<S, A> {
    pub(crate) service: S,
    pub(crate) peer: Peer<A>,
}

impl<S, A, B> Service<Request<B>> for WithPeer<S, A>
where
    S: Service<Request<B>>,
    A: Clone + Send + Sync + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        let extensions = request.extensions_mut();
        extensions.insert(self.peer.clone());
        add_address(extensions, &self.peer.0);
        self.service.call(request)
    }
}

/// Adds the IP address of a peer, if it is a `SocketAddr`.
fn add_address(extensions: &mut Extensions, peer: &dyn Any) {
    if let Some(address) = peer.downcast_ref::<SocketAddr>() {
        extensions.insert(PeerAddr::from(*address));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_peer_with_an_ip_address_is_an_address() {
        let mut extensions = Extensions::new();
        add_address(&mut extensions, &"a path of a Unix socket");
        assert_eq!(extensions.get::<PeerAddr>(), None);
        let peer: SocketAddr = "[::ffff:192.0.2.1]:80".parse().unwrap();
        add_address(&mut extensions, &peer);
        let address = extensions.get::<PeerAddr>().unwrap().ip();
        assert_eq!(address.to_string(), "192.0.2.1");
    }
}
