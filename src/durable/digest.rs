use crate::log::{Digest, Owner, ServiceName};

/// Returns the SHA-256 over the parts of a request, which identifies it: two starts with the same
/// digest are the same request.
///
/// For the [`SessionSpec`](crate::session::SessionSpec)s of an application's own handlers. Give it the
/// name of the handler, the owner, and everything that the provider is asked. Each part counts with
/// its length, so that no byte can move from one part into the next.
///
/// ```
/// use unbroken::durable::digest_of;
///
/// let (user, question) = ("ann", "Why is the sky blue?");
/// let digest = digest_of(["ask", user, question]);
/// assert_ne!(digest, digest_of(["ask", "bob", question]));
/// assert_ne!(digest_of(["ab", "c"]), digest_of(["a", "bc"]));
/// ```
pub fn digest_of<P: AsRef<[u8]>>(parts: impl IntoIterator<Item = P>) -> Digest {
    Digest(crate::dialect::hash(parts))
}

/// Returns the digest of a start over HTTP: service, dialect, owner, and the raw body or the bytes
/// that the dialect compares in its place.
pub(super) fn digest(
    service: &ServiceName,
    dialect: &str,
    owner: Option<&Owner>,
    body: &[u8],
) -> Digest {
    let (service, dialect) = (service.as_str().as_bytes(), dialect.as_bytes());
    match owner {
        None => digest_of([service, dialect, b"nobody", body]),
        Some(owner) => digest_of([service, dialect, b"owner", owner.as_str().as_bytes(), body]),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_part_counts_and_none_runs_into_the_next() {
        let owner = |name: &str| Some(Owner::new(name));
        let of = |service: &str, dialect, owner: Option<&Owner>, body: &str| {
            digest(&ServiceName::new(service), dialect, owner, body.as_bytes())
        };
        let all = [
            ("chat", "native", None, "body"),
            ("other", "native", None, "body"),
            ("chatn", "ative", None, "body"),
            ("chat", "other", None, "body"),
            ("chat", "native", owner("nobody"), "body"),
            ("chat", "native", owner("ann"), "body"),
            ("chat", "native", owner("annb"), "ody"),
            ("chat", "native", None, "bodY"),
            ("chat", "nativ", None, "ebody"),
        ];
        let digests: HashSet<_> = all
            .iter()
            .map(|(service, dialect, owner, body)| of(service, dialect, owner.as_ref(), body))
            .collect();
        assert_eq!(digests.len(), all.len());
        assert_eq!(
            of("chat", "native", None, "body"),
            of("chat", "native", None, "body")
        );
    }
}
