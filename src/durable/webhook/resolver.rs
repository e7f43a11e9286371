use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::address::is_public;
use crate::BoxFuture;

/// The look-up of a host's addresses.
type HostLookup =
    Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// A resolver that gives a connection only those addresses that it may be made to.
///
/// The connection is made to the very addresses that were checked: the host isn't looked up a second time.
#[derive(Clone)]
pub(super) struct CheckedResolver {
    lookup: HostLookup,
    allowed: fn(IpAddr) -> bool,
}

/// The error of a host without an address that may be called.
#[derive(Debug, thiserror::Error)]
pub(super) enum LookupError {
    #[error("the host's addresses are not of the public internet")]
    NotPublic,
    #[error("the host's addresses can't be looked up")]
    Unknown(#[source] io::Error),
}

impl CheckedResolver {
    /// Creates a resolver by the operating system, which gives public addresses only, or all.
    pub(super) fn new(private_addresses: bool) -> Self {
        let allowed = if private_addresses {
            |_| true
        } else {
            is_public
        };
        let lookup: HostLookup = Arc::new(|host| {
            Box::pin(async move {
                // The client sets the port of the URL.
                let found = tokio::net::lookup_host((host, 0)).await?;
                Ok(found.collect())
            })
        });
        Self { lookup, allowed }
    }

    async fn addresses(self, host: String) -> Result<Vec<SocketAddr>, LookupError> {
        let found = (self.lookup)(host).await.map_err(LookupError::Unknown)?;
        let found_some = !found.is_empty();
        let allowed = found.into_iter().filter(|it| (self.allowed)(it.ip()));
        let allowed: Vec<_> = allowed.collect();
        match (allowed.is_empty(), found_some) {
            (false, _) => Ok(allowed),
            (true, true) => Err(LookupError::NotPublic),
            (true, false) => Err(LookupError::Unknown(io::ErrorKind::NotFound.into())),
        }
    }
}

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let addresses = self.clone().addresses(name.as_str().to_owned());
        Box::pin(async move {
            let addresses = addresses.await?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

impl fmt::Debug for CheckedResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckedResolver").finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use super::*;

    impl CheckedResolver {
        /// Creates a resolver whose host has these addresses, of which each look-up gives the next list.
        pub(in crate::durable::webhook) fn of(
            answers: Vec<Vec<IpAddr>>,
            allowed: fn(IpAddr) -> bool,
        ) -> (Self, Arc<AtomicUsize>) {
            let count = Arc::new(AtomicUsize::new(0));
            let counted = count.clone();
            let lookup: HostLookup = Arc::new(move |_| {
                let answer = answers.get(counted.fetch_add(1, SeqCst)).cloned();
                Box::pin(async move {
                    let answer = answer.ok_or(io::ErrorKind::NotFound)?;
                    Ok(answer
                        .into_iter()
                        .map(|ip| SocketAddr::new(ip, 0))
                        .collect())
                })
            });
            (Self { lookup, allowed }, count)
        }
    }

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    async fn checked(found: &[&str]) -> Result<Vec<IpAddr>, LookupError> {
        let (resolver, _) = CheckedResolver::of(vec![ips(found)], is_public);
        let allowed = resolver.addresses("example.com".into()).await?;
        Ok(allowed.into_iter().map(|it| it.ip()).collect())
    }

    #[tokio::test]
    async fn only_public_addresses_are_given() {
        let mixed = ["10.0.0.1", "93.184.215.14", "::1", "2606:4700::1111"];
        let expected = ips(&["93.184.215.14", "2606:4700::1111"]);
        assert_eq!(checked(&mixed).await.unwrap(), expected);
    }

    #[tokio::test]
    async fn a_host_with_none_is_an_error_that_tells_why() {
        let private = checked(&["127.0.0.1", "fd00::1"]).await;
        assert!(matches!(private, Err(LookupError::NotPublic)));
        assert!(matches!(checked(&[]).await, Err(LookupError::Unknown(_))));
    }

    #[tokio::test]
    async fn the_operating_system_is_asked() {
        let all = CheckedResolver::new(true);
        let found = all.addresses("localhost".into()).await.unwrap();
        assert!(found.iter().all(|it| it.ip().is_loopback()), "{found:?}");
        let public = CheckedResolver::new(false);
        let refused = public.addresses("localhost".into()).await;
        assert!(matches!(refused, Err(LookupError::NotPublic)));
    }
}
