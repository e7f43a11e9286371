use std::net::{IpAddr, SocketAddr};

use http::Extensions;

/// The IP address from which a request's connection comes, in the extensions of the request.
///
/// [`PerPeer`](super::PerPeer) reads it. `unbroken_hyper::serve` and the filters of `unbroken_warp` add
/// it. `unbroken_axum::mount` takes it from axum's `ConnectInfo<SocketAddr>`, which
/// `into_make_service_with_connect_info` adds. Elsewhere a layer of the application adds it:
///
/// ```
/// use std::net::Ipv4Addr;
/// use unbroken::access::PeerAddr;
///
/// # let mut request = http::Request::new(());
/// request.extensions_mut().insert(PeerAddr::new(Ipv4Addr::LOCALHOST));
/// ```
///
/// Behind a proxy it is the address of the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PeerAddr(IpAddr);

impl PeerAddr {
    /// Creates the extension. An IPv4 address that is mapped into IPv6 is taken as IPv4.
    pub fn new(address: impl Into<IpAddr>) -> Self {
        Self(address.into().to_canonical())
    }

    /// Returns the address.
    pub const fn ip(self) -> IpAddr {
        self.0
    }

    /// Returns the address in the extensions of a request, if they have one.
    pub(super) fn of(extensions: &Extensions) -> Option<Self> {
        extensions.get().copied()
    }
}

impl From<SocketAddr> for PeerAddr {
    fn from(address: SocketAddr) -> Self {
        Self::new(address.ip())
    }
}
