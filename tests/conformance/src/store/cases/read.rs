use std::time::Duration;

use crate::store::{
    fixture::{CreatedSession, LEASE, StoreFixture, texts},
    report::{CaseStop, ensure, ensure_eq, ensure_matches},
};
use unbroken::{
    log::{Chunk, Epoch, Lsn, Position},
    store::{AfterAppend, StoreError, Token},
};

pub(in crate::store) async fn a_page_begins_after_its_position(
    bed: StoreFixture,
) -> Result<(), CaseStop> {
    let made = bed.with_abc().await?;
    bed.push(&made, 4, &["d"], AfterAppend::Streaming).await?;
    let all = ["a", "b", "c", "d"];
    for after in 0..=4 {
        let is = bed.texts(&made.id, after).await?;
        ensure_eq!(is, all[usize::try_from(after).unwrap_or(4)..], "records");
    }
    Ok(())
}

pub(in crate::store) async fn a_page_has_its_state_with_it(
    bed: StoreFixture,
) -> Result<(), CaseStop> {
    let made = bed.with_abc().await?;
    let page = bed
        .read(&made.id, Position::after(Lsn::new(3)), 100)
        .await?;
    ensure!(
        page.chunks.is_empty(),
        "records after the tail: {:?}",
        page.chunks
    );
    let page = bed.read(&made.id, Position::START, 1).await?;
    ensure_eq!(page.state.tail, Lsn::new(3), "tail");
    ensure_eq!(page.state.epoch, made.epoch, "epoch");
    bed.push(&made, 4, &["d"], bed.seal(100)).await?;
    let page = bed.read(&made.id, Position::START, 1).await?;
    ensure!(
        page.state.status.outcome().is_some(),
        "not sealed: {page:?}"
    );
    Ok(())
}

pub(in crate::store) async fn a_page_keeps_to_its_size(bed: StoreFixture) -> Result<(), CaseStop> {
    let made = bed.made().await?;
    for lsn in 0..10 {
        let records = ["12345", "12345", "12345"];
        bed.push(&made, 1 + 3 * lsn, &records, AfterAppend::Streaming)
            .await?;
    }
    for max in [5, 9, 10, 14, 15, 16, 40, 149, 150] {
        let page = bed.read(&made.id, Position::START, max).await?;
        let bytes: usize = page.chunks.iter().map(Chunk::bytes).sum();
        ensure!(
            bytes > 0 && bytes <= max,
            "{bytes} bytes where {max} were asked for"
        );
        texts(&page.chunks, Lsn::ZERO)?;
    }
    Ok(())
}

pub(in crate::store) async fn a_page_has_at_least_one_record(
    bed: StoreFixture,
) -> Result<(), CaseStop> {
    let made = bed.with_abc().await?;
    for (after, record) in [(0, "a"), (1, "b"), (2, "c")] {
        let after = Lsn::new(after);
        let page = bed.read(&made.id, Position::after(after), 0).await?;
        ensure_eq!(texts(&page.chunks, after)?, [record], "records");
    }
    Ok(())
}

pub(in crate::store) async fn a_position_past_the_tail_is_rewound(
    bed: StoreFixture,
) -> Result<(), CaseStop> {
    let made = bed.with_abc().await?;
    for lsn in [4, 5, 1000] {
        let lsn = Lsn::new(lsn);
        for after in [
            Position::after(lsn),
            Position::tagged(lsn, made.epoch.tag()),
        ] {
            let page = bed.read(&made.id, after, 100).await;
            let tail = Lsn::new(3);
            ensure_matches!(page, Err(StoreError::Rewound { tail: is }) if *is == tail, "read");
        }
    }
    let empty = bed.made().await?;
    let page = bed.read(&empty.id, Position::after(Lsn::new(1)), 100).await;
    ensure_matches!(
        page,
        Err(StoreError::Rewound { .. }),
        "read of an empty log"
    );
    Ok(())
}

/// A session whose first three records are by one epoch and the next two by another.
async fn of_two_epochs(bed: &StoreFixture) -> Result<(CreatedSession, Epoch), CaseStop> {
    let made = bed.with_abc().await?;
    bed.pass(LEASE + 1).await;
    let claimed = bed.claim(&made.id, made.epoch, Token::random()).await?;
    let first = made.epoch;
    let now = CreatedSession {
        epoch: claimed.epoch,
        ..made
    };
    bed.push(&now, 4, &["d", "e"], AfterAppend::Streaming)
        .await?;
    Ok((now, first))
}

pub(in crate::store) async fn a_position_of_another_epoch_is_rewound(
    bed: StoreFixture,
) -> Result<(), CaseStop> {
    let (made, first) = of_two_epochs(&bed).await?;
    for lsn in 1..=5 {
        let lsn = Lsn::new(lsn);
        let (right, wrong) = match lsn.get() {
            ..=3 => (first, made.epoch),
            _ => (made.epoch, first),
        };
        bed.read(&made.id, Position::tagged(lsn, right.tag()), 100)
            .await?;
        let page = bed
            .read(&made.id, Position::tagged(lsn, wrong.tag()), 100)
            .await;
        ensure_matches!(page, Err(StoreError::Rewound { .. }), "read");
    }
    let start = Position::tagged(Lsn::ZERO, made.epoch.tag());
    let page = bed.read(&made.id, start, 100).await?;
    ensure_eq!(
        texts(&page.chunks, Lsn::ZERO)?.len(),
        5,
        "records from the start"
    );
    Ok(())
}

pub(in crate::store) async fn a_chunk_is_of_one_epoch(bed: StoreFixture) -> Result<(), CaseStop> {
    let (made, first) = of_two_epochs(&bed).await?;
    bed.push(&made, 6, &["f"], bed.seal(100)).await?;
    let page = bed.read(&made.id, Position::START, 1000).await?;
    let epochs: Vec<_> = page
        .chunks
        .iter()
        .flat_map(Chunk::records)
        .map(|r| r.epoch)
        .collect();
    let second = made.epoch;
    ensure_eq!(
        epochs,
        [first, first, first, second, second, second],
        "epochs"
    );
    Ok(())
}

pub(in crate::store) async fn a_page_and_its_state_are_of_one_moment(
    bed: StoreFixture,
) -> Result<(), CaseStop> {
    let made = bed.made().await?;
    let writer = tokio::spawn({
        let (bed, made) = (bed.clone(), made.clone());
        async move {
            for lsn in 1..=100 {
                bed.push(&made, lsn, &["x"], AfterAppend::Streaming).await?;
                if lsn % 10 == 0 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
            bed.push(&made, 101, &["z"], bed.seal(100)).await
        }
    });
    loop {
        let page = bed.read(&made.id, Position::START, usize::MAX).await?;
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

pub(in crate::store) async fn a_record_that_can_not_be_read_is_corrupt(
    bed: StoreFixture,
) -> Result<(), CaseStop> {
    let made = bed.made().await?;
    let records = [1, 2, 3].map(|lsn| format!("{lsn} of {}", made.id));
    for (lsn, record) in (1..).zip(&records) {
        bed.push(&made, lsn, &[record], AfterAppend::Streaming)
            .await?;
    }
    let harmed = Lsn::new(2);
    if !bed.harm(&made.id, harmed).await {
        let why = "the harness has no way to harm a record";
        return Err(CaseStop::NotApplicable(why.into()));
    }
    let page = bed.read(&made.id, Position::START, usize::MAX).await?;
    ensure_eq!(
        texts(&page.chunks, Lsn::ZERO)?,
        records[..1],
        "records before it"
    );
    ensure_eq!(page.state.tail, Lsn::new(3), "tail");
    let page = bed
        .read(&made.id, Position::after(Lsn::new(1)), usize::MAX)
        .await;
    ensure_matches!(page, Err(StoreError::Corrupt { lsn }) if *lsn == harmed, "page that begins with it");
    ensure_eq!(
        bed.texts(&made.id, 2).await?,
        records[2..],
        "records after it"
    );
    Ok(())
}
