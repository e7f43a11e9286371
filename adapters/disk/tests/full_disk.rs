//! A store on a file system that is really full. It is mounted for the test, which takes root; without it
//! a test is ignored with the reason. If `CI` is set and the user is root, it fails.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use tokio::time::timeout;
use unbroken::{
    log::{ChunkBuilder, Digest, Epoch, Lsn, Outcome, Position, ServiceName, SessionId},
    store::{
        AfterAppend, Created, NewSession, Seal, SessionMeta, Store, StoreError, StoreExt, Token,
    },
};
use unbroken_disk::{Disk, DiskHealth, DiskOptions, DiskWriteError};

fn main() -> ExitCode {
    let trials = vec![
        trial(
            "a_store_on_a_full_disk_goes_on_once_there_is_room_and_keeps_every_record",
            |path| Box::pin(filled_by_others(path)),
        ),
        trial(
            "a_store_that_has_filled_its_disk_goes_on_once_its_sessions_expire",
            |path| Box::pin(filled_by_itself(path)),
        ),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

type Run = fn(PathBuf) -> std::pin::Pin<Box<dyn Future<Output = ()>>>;

fn trial(name: &'static str, run: Run) -> Trial {
    Trial::ignorable_test(name, move || {
        let mounted = match Mounted::new(name) {
            Ok(mounted) => mounted,
            Err(reason) if env::var_os("CI").is_some() && is_root() => {
                return Err(Failed::from(format!("{reason}, and this is CI as root")));
            }
            Err(reason) => return Ok(Completion::ignored_with(reason)),
        };
        let runtime = tokio::runtime::Runtime::new()?;
        runtime.block_on(run(mounted.0.clone()));
        Ok(Completion::Completed)
    })
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|id| id.stdout.trim_ascii() == b"0")
}

/// A file system of 2 MiB in memory, until it is dropped.
struct Mounted(PathBuf);

impl Mounted {
    fn new(name: &str) -> Result<Self, String> {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let path = path.join(format!("full_disk-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).map_err(|error| error.to_string())?;
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"])
            .arg(&path)
            .output();
        match mount {
            Ok(output) if output.status.success() => Ok(Self(path)),
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                let _ = fs::remove_dir(&path);
                Err(format!("no file system can be mounted: {}", said.trim()))
            }
            Err(error) => Err(format!("there is no program `mount`: {error}")),
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
        let _ = fs::remove_dir(&self.0);
    }
}

const HOUR: Duration = Duration::from_secs(3600);

async fn open(path: &Path) -> Disk {
    let options = DiskOptions::new().segment_bytes(64 << 10);
    Disk::open(path.join("store"), options).await.unwrap()
}

async fn create(store: &Disk, id: &SessionId) -> Result<Epoch, StoreError> {
    let new = NewSession {
        meta: Arc::new(SessionMeta {
            owner: None,
            chat: None,
            service: ServiceName::new("a service"),
            digest: Digest([7; 32]),
            format: 1,
            outbox: None,
        }),
        request: Bytes::from_static(b"a request"),
        token: Token::random(),
        lease: HOUR,
        tombstone: Duration::from_secs(1),
    };
    match store.create(id, new).await? {
        Created::Created(epoch) => Ok(epoch),
        Created::Exists(state) => panic!("a random id is taken: {state:?}"),
    }
}

async fn append(
    store: &Disk,
    id: &SessionId,
    epoch: Epoch,
    lsn: u64,
    after: AfterAppend,
) -> Result<(), StoreError> {
    let mut batch = ChunkBuilder::new();
    batch.push(record(lsn).as_bytes());
    let chunk = batch.take(Lsn::new(lsn), epoch).unwrap();
    store.append(id, chunk, after).await.map(drop)
}

fn record(lsn: u64) -> String {
    format!("{lsn} {}", "x".repeat(4000))
}

async fn check(store: &Disk, id: &SessionId, tail: u64) {
    let mut after = Position::START;
    while after.lsn < Lsn::new(tail) {
        let page = store.read(id, after, 100_000).await.unwrap();
        assert_eq!(page.state.tail, Lsn::new(tail));
        for record_read in page.chunks.iter().flat_map(unbroken::log::Chunk::records) {
            assert_eq!(record_read.lsn, after.lsn.next());
            assert_eq!(record_read.bytes, record(record_read.lsn.get()).as_bytes());
            after = Position::tagged(record_read.lsn, record_read.epoch.tag());
        }
    }
    assert_eq!(store.state(id).await.unwrap().tail, Lsn::new(tail));
}

fn assert_stalled(error: &StoreError) {
    let StoreError::Unavailable { source, .. } = error else {
        panic!("{error:?}");
    };
    let source = source.downcast_ref();
    assert!(
        matches!(source, Some(DiskWriteError::Stalled(_))),
        "{error:?}"
    );
}

async fn healthy(store: &Disk) {
    let mut health = store.watch_health();
    let healthy = timeout(
        Duration::from_secs(20),
        health.wait_for(DiskHealth::can_write),
    );
    assert!(healthy.await.expect("it goes on by itself").is_ok());
}

async fn filled_by_others(path: PathBuf) {
    let store = open(&path).await;
    let id = SessionId::random();
    let epoch = create(&store, &id).await.unwrap();
    let mut tail = 0;
    for _ in 0..3 {
        // As much as fits.
        let other = path.join("other");
        if let Err(error) = fs::write(&other, vec![1; 2 << 20]) {
            assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
        }
        let error = loop {
            match append(&store, &id, epoch, tail + 1, AfterAppend::Streaming).await {
                Ok(()) => tail += 1,
                Err(error) => break error,
            }
            assert!(tail < 10_000);
        };
        assert_stalled(&error);
        assert!(!store.health().can_write());
        check(&store, &id, tail).await;

        fs::remove_file(&other).unwrap();
        healthy(&store).await;
        tail += 1;
        append(&store, &id, epoch, tail, AfterAppend::Streaming)
            .await
            .unwrap();
        check(&store, &id, tail).await;
    }
    store.close().await;
    let store = open(&path).await;
    check(&store, &id, tail).await;
    store.close().await;
}

async fn filled_by_itself(path: PathBuf) {
    let store = open(&path).await;
    let long = SessionId::random();
    let epoch = create(&store, &long).await.unwrap();
    append(&store, &long, epoch, 1, AfterAppend::Streaming)
        .await
        .unwrap();
    let seal = AfterAppend::Seal(Seal::new(Outcome::Complete, HOUR));
    let error = loop {
        let id = SessionId::random();
        let filled = async {
            let epoch = create(&store, &id).await?;
            for lsn in 1..=10 {
                append(&store, &id, epoch, lsn, AfterAppend::Streaming).await?;
            }
            append(&store, &id, epoch, 11, seal.clone()).await
        };
        if let Err(error) = filled.await {
            break error;
        }
    };
    assert_stalled(&error);
    assert!(!store.health().can_write());

    store.clock().jump(2 * HOUR);
    // A registry sweeps from time to time.
    while store.sweep(1000).await.unwrap() > 0 {}
    healthy(&store).await;
    append(&store, &long, epoch, 2, AfterAppend::Streaming)
        .await
        .unwrap();
    check(&store, &long, 2).await;
    store.close().await;
    let store = open(&path).await;
    check(&store, &long, 2).await;
    store.close().await;
}
