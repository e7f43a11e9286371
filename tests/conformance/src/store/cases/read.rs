use std::time::Duration;

use crate::store::{
    fixture::{CreatedSession, LEASE, StoreFixture, texts},
    report::{CaseResult, CaseStop, ensure, ensure_eq, ensure_matches},
};
use unbroken::{
    log::{Chunk, Epoch, Lsn, Position},
    store::{AfterAppend, StoreError},
};

pub(crate) async fn a_page_begins_after_its_position(store: StoreFixture) -> CaseResult {
    let session = store.with_abc().await?;
    store
        .push(&session, 4, &["d"], AfterAppend::Streaming)
        .await?;
    let all = ["a", "b", "c", "d"];
    for after in 0..=4 {
        let is = store.texts(&session.id, after).await?;
        ensure_eq!(is, all[usize::try_from(after).unwrap_or(4)..], "records");
    }
    Ok(())
}

pub(crate) async fn a_page_has_the_state(store: StoreFixture) -> CaseResult {
    let session = store.with_abc().await?;
    let page = store
        .read(&session.id, Position::after(Lsn::new(3)), 100)
        .await?;
    ensure!(
        page.chunks.is_empty(),
        "records after the tail: {:?}",
        page.chunks
    );
    let page = store.read(&session.id, Position::START, 1).await?;
    ensure_eq!(page.state.tail, Lsn::new(3), "tail");
    ensure_eq!(page.state.epoch, session.epoch, "epoch");
    store.push(&session, 4, &["d"], store.seal(100)).await?;
    let page = store.read(&session.id, Position::START, 1).await?;
    ensure!(
        page.state.status.outcome().is_some(),
        "not sealed: {page:?}"
    );
    Ok(())
}

pub(crate) async fn a_page_keeps_to_max_bytes(store: StoreFixture) -> CaseResult {
    let session = store.created().await?;
    for lsn in 0..10 {
        let records = ["12345", "12345", "12345"];
        store
            .push(&session, 1 + 3 * lsn, &records, AfterAppend::Streaming)
            .await?;
    }
    for max in [5, 9, 10, 14, 15, 16, 40, 149, 150] {
        let page = store.read(&session.id, Position::START, max).await?;
        let bytes: usize = page.chunks.iter().map(Chunk::bytes).sum();
        ensure!(
            bytes > 0 && bytes <= max,
            "{bytes} bytes where {max} were asked for"
        );
        texts(&page.chunks, Lsn::ZERO)?;
    }
    Ok(())
}

pub(crate) async fn a_page_has_at_least_one_record(store: StoreFixture) -> CaseResult {
    let session = store.with_abc().await?;
    for (after, record) in [(0, "a"), (1, "b"), (2, "c")] {
        let after = Lsn::new(after);
        let page = store.read(&session.id, Position::after(after), 0).await?;
        ensure_eq!(texts(&page.chunks, after)?, [record], "records");
    }
    Ok(())
}

pub(crate) async fn a_position_past_the_tail_is_rewound(store: StoreFixture) -> CaseResult {
    let session = store.with_abc().await?;
    for lsn in [4, 5, 1000] {
        let lsn = Lsn::new(lsn);
        for after in [
            Position::after(lsn),
            Position::tagged(lsn, session.epoch.tag()),
        ] {
            let page = store.read(&session.id, after, 100).await;
            let tail = Lsn::new(3);
            ensure_matches!(page, Err(StoreError::Rewound { tail: is }) if *is == tail, "read");
        }
    }
    let empty = store.created().await?;
    let page = store
        .read(&empty.id, Position::after(Lsn::new(1)), 100)
        .await;
    ensure_matches!(
        page,
        Err(StoreError::Rewound { .. }),
        "read of an empty log"
    );
    Ok(())
}

/// Creates a session with three records of one epoch and two of the next. Returns the first epoch, too.
async fn of_two_epochs(store: &StoreFixture) -> Result<(CreatedSession, Epoch), CaseStop> {
    let session = store.with_abc().await?;
    store.advance(LEASE + 1).await;
    let claimed = store.claim_session(&session).await?;
    let first = session.epoch;
    let now = CreatedSession {
        epoch: claimed.epoch,
        ..session
    };
    store
        .push(&now, 4, &["d", "e"], AfterAppend::Streaming)
        .await?;
    Ok((now, first))
}

pub(crate) async fn a_position_of_another_epoch_is_rewound(store: StoreFixture) -> CaseResult {
    let (session, first) = of_two_epochs(&store).await?;
    for lsn in 1..=5 {
        let lsn = Lsn::new(lsn);
        let (right, wrong) = match lsn.get() {
            ..=3 => (first, session.epoch),
            _ => (session.epoch, first),
        };
        store
            .read(&session.id, Position::tagged(lsn, right.tag()), 100)
            .await?;
        let page = store
            .read(&session.id, Position::tagged(lsn, wrong.tag()), 100)
            .await;
        ensure_matches!(page, Err(StoreError::Rewound { .. }), "read");
    }
    let start = Position::tagged(Lsn::ZERO, session.epoch.tag());
    let page = store.read(&session.id, start, 100).await?;
    ensure_eq!(
        texts(&page.chunks, Lsn::ZERO)?.len(),
        5,
        "records from the start"
    );
    Ok(())
}

pub(crate) async fn a_chunk_is_of_one_epoch(store: StoreFixture) -> CaseResult {
    let (session, first) = of_two_epochs(&store).await?;
    store.push(&session, 6, &["f"], store.seal(100)).await?;
    let page = store.read(&session.id, Position::START, 1000).await?;
    let epochs: Vec<_> = page
        .chunks
        .iter()
        .flat_map(Chunk::records)
        .map(|r| r.epoch)
        .collect();
    let second = session.epoch;
    ensure_eq!(
        epochs,
        [first, first, first, second, second, second],
        "epochs"
    );
    Ok(())
}

pub(crate) async fn a_page_and_its_state_are_one_snapshot(store: StoreFixture) -> CaseResult {
    let session = store.created().await?;
    let writer = tokio::spawn({
        let (store, session) = (store.clone(), session.clone());
        async move {
            for lsn in 1..=100 {
                store
                    .push(&session, lsn, &["x"], AfterAppend::Streaming)
                    .await?;
                if lsn % 10 == 0 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
            store.push(&session, 101, &["z"], store.seal(100)).await
        }
    });
    loop {
        let page = store.read(&session.id, Position::START, usize::MAX).await?;
        let last = page.chunks.last().map_or(Lsn::ZERO, Chunk::last);
        ensure_eq!(page.state.tail, last, "tail");
        let sealed = page.state.status.outcome().is_some();
        ensure_eq!(sealed, last == Lsn::new(101), "sealed");
        if sealed {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    writer
        .await
        .map_err(|panic| CaseStop::Failed(panic.to_string()))??;
    Ok(())
}

pub(crate) async fn an_unreadable_record_is_corrupt(store: StoreFixture) -> CaseResult {
    let session = store.created().await?;
    let records = [1, 2, 3].map(|lsn| format!("{lsn} of {}", session.id));
    for (lsn, record) in (1..).zip(&records) {
        store
            .push(&session, lsn, &[record], AfterAppend::Streaming)
            .await?;
    }
    let corrupted = Lsn::new(2);
    if !store.corrupt(&session.id, corrupted).await {
        let why = "the harness has no way to corrupt a record";
        return Err(CaseStop::NotApplicable(why.into()));
    }
    let page = store.read(&session.id, Position::START, usize::MAX).await?;
    ensure_eq!(
        texts(&page.chunks, Lsn::ZERO)?,
        records[..1],
        "records before it"
    );
    ensure_eq!(page.state.tail, Lsn::new(3), "tail");
    let page = store
        .read(&session.id, Position::after(Lsn::new(1)), usize::MAX)
        .await;
    ensure_matches!(page, Err(StoreError::Corrupt { lsn }) if *lsn == corrupted, "page that begins with it");
    ensure_eq!(
        store.texts(&session.id, 2).await?,
        records[2..],
        "records after it"
    );
    Ok(())
}
