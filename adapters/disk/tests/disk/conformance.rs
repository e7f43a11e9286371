use std::{fs, sync::Arc, time::Duration};

use unbroken::{
    BoxFuture,
    log::{Lsn, Position, SessionId},
    store::{Store, table::StoreClock},
};
use unbroken_conformance::{
    Verdict,
    store::{self, Harness},
};
use unbroken_disk::{Disk, DiskOptions};

use crate::directory::Directory;

/// An empty store whose clock the suite sets forward.
struct DiskHarness {
    directory: Directory,
    store: tokio::sync::OnceCell<Disk>,
}

const MAX_APPEND: usize = 20_000;

impl DiskHarness {
    fn new() -> Self {
        Self {
            directory: Directory::new(),
            store: tokio::sync::OnceCell::new(),
        }
    }

    async fn opened(&self) -> &Disk {
        let options = DiskOptions::new().max_append_bytes(MAX_APPEND);
        let open = || async { Disk::open(self.directory.path(), options).await.unwrap() };
        self.store.get_or_init(open).await
    }

    fn clock(&self) -> &StoreClock {
        self.store.get().expect("the store is open").clock()
    }
}

impl Harness for DiskHarness {
    fn store(&self) -> BoxFuture<'_, Arc<dyn Store>> {
        Box::pin(async { Arc::new(self.opened().await.clone()) as Arc<dyn Store> })
    }

    fn advance(&self, time: Duration) -> BoxFuture<'_, ()> {
        Box::pin(async move { self.clock().jump(time) })
    }

    /// Long, since only the clock's leaps count: no pause of the machine outlasts a lease.
    fn step(&self) -> Duration {
        Duration::from_secs(60)
    }

    fn max_append_bytes(&self) -> Option<usize> {
        Some(MAX_APPEND)
    }

    /// Flips a bit of the record in its file.
    fn corrupt<'a>(&'a self, id: &'a SessionId, lsn: Lsn) -> BoxFuture<'a, bool> {
        Box::pin(async move {
            let before = Position::after(lsn.before());
            let page = self.opened().await.read(id, before, 1).await.unwrap();
            let record = page.chunks[0].records().next().unwrap().bytes;
            let mut found = false;
            for log in self.directory.logs() {
                let mut bytes = fs::read(&log).unwrap();
                let offset = bytes.windows(record.len()).position(|it| it == record);
                if let Some(offset) = offset {
                    bytes[offset] ^= 1;
                    fs::write(log, bytes).unwrap();
                    found = true;
                }
            }
            found
        })
    }
}

unbroken_conformance::store_tests!(
    #[tokio::test]
    DiskHarness::new()
);

#[tokio::test]
async fn a_store_behind_a_trait_object_keeps_the_whole_contract() {
    let report = store::suite(DiskHarness::new()).await;
    assert!(report.passed(), "{report}");
    for finding in report.findings() {
        assert_eq!(finding.verdict, Verdict::Passed, "{finding}");
    }
}
