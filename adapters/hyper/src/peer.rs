use std::task::{Context, Poll};

use http::Request;
use tower_service::Service;

/// The address of the client, in the extensions of each request of [`serve`](crate::serve): a
/// `Peer<SocketAddr>` over TCP.
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
        request.extensions_mut().insert(self.peer.clone());
        self.service.call(request)
    }
}
