use sha2::{Digest as _, Sha256};

use crate::session::{Digest, Owner};

/// What makes two starts the same request: dialect, owner and raw body. Lengths go first, so that
/// nothing can move from one part into the next.
pub(super) fn digest(dialect: &str, owner: Option<&Owner>, body: &[u8]) -> Digest {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    part(dialect.as_bytes());
    match owner {
        None => part(b"nobody"),
        Some(owner) => {
            part(b"owner");
            part(owner.as_str().as_bytes());
        }
    }
    part(body);
    Digest(hash.finalize().into())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_part_counts_and_none_runs_into_the_next() {
        let owner = |name: &str| Some(Owner::new(name));
        let all = [
            ("native", None, "body"),
            ("other", None, "body"),
            ("native", owner("nobody"), "body"),
            ("native", owner("ann"), "body"),
            ("native", owner("annb"), "ody"),
            ("native", None, "bodY"),
            ("nativ", None, "ebody"),
        ];
        let digests: HashSet<_> = all
            .iter()
            .map(|(dialect, owner, body)| digest(dialect, owner.as_ref(), body.as_bytes()))
            .collect();
        assert_eq!(digests.len(), all.len());
        assert_eq!(
            digest("native", None, b"body"),
            digest("native", None, b"body")
        );
    }
}
