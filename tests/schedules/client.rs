//! A client that reads, is cut, resumes on either server, and keeps what it saw.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;
use unbroken::{
    log::{Position, SessionId},
    session::{ReadError, Reader, Sessions},
    store::AbortRequest,
};

use crate::{broken::Broken, plan::Dice, world::World};

/// The records that a client saw between two fresh starts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    pub(crate) records: Vec<(u64, String)>,
    /// A body ended cleanly after these.
    pub(crate) ended: bool,
}

/// Reads until an ending, or until the session is gone or the world is over.
pub(crate) async fn read(world: Arc<World>, id: SessionId, mut dice: Dice) -> Vec<Seen> {
    let mut all = Vec::new();
    let mut seen = Seen::default();
    let mut position = Position::START;
    while !world.is_over() {
        let sessions = world.pick(&mut dice).clone();
        world.reader_came(&id);
        let cut = connection(&world, &sessions, &id, &mut position, &mut seen, &mut dice).await;
        if world.reader_went(&id) && world.broken == Broken::LastReaderStops {
            let _ = sessions.abort(&id, AbortRequest::default()).await;
        }
        match cut {
            Ok(Cut::End) => {
                seen.ended = true;
                break;
            }
            Err(ReadError::Gone(_)) => break,
            // The store went back to before the start.
            Err(ReadError::NotFound) if world.rewinds() && position != Position::START => break,
            Err(ReadError::Rewound { .. }) => {
                world.rewound(&id);
                all.push(std::mem::take(&mut seen));
                position = Position::START;
            }
            Err(ReadError::Corrupt { lsn }) => {
                world.violation(format!("a gap, or a wake-up that never came, at {lsn}"));
            }
            // Cut, or the store or the session isn't there: try again.
            Ok(Cut::Disconnected) | Err(_) => {}
        }
        tokio::time::sleep(dice.millis(300)).await;
    }
    all.push(seen);
    all
}

enum Cut {
    End,
    Disconnected,
}

/// A reader waits though the store has more, and still does so when every wait has run out.
async fn missed(sessions: &Sessions, reader: &mut Reader) -> Option<ReadError> {
    let tail = sessions.state(reader.id()).await.ok()?.tail;
    let behind = reader.position().lsn < tail;
    let next = timeout(Duration::from_secs(5), reader.next()).await;
    (behind && next.is_err()).then_some(ReadError::Corrupt { lsn: tail })
}

async fn connection(
    world: &World,
    sessions: &Sessions,
    id: &SessionId,
    position: &mut Position,
    seen: &mut Seen,
    dice: &mut Dice,
) -> Result<Cut, ReadError> {
    let session = sessions.attach(id).await?;
    let mut reader = session.reader(*position).await?;
    drop(session);
    let end = Some(reader.tail()).filter(|_| world.broken == Broken::OldTailEnds);
    let batches = if dice.one_in(2) {
        dice.below(6)
    } else {
        u64::MAX
    };
    for _ in 0..batches {
        let patience = Duration::from_secs(1) + dice.millis(20_000);
        let Ok(next) = timeout(patience, reader.next()).await else {
            return match missed(sessions, &mut reader).await {
                Some(missed) if world.answers() => Err(missed),
                _ => Ok(Cut::Disconnected),
            };
        };
        let Some(batch) = next else {
            return Ok(Cut::End);
        };
        let chunk = batch?.chunk().clone();
        // Some connections are cut in the middle of a batch.
        let upto = if dice.one_in(8) {
            dice.below(chunk.len() as u64 + 1)
        } else {
            u64::MAX
        };
        for record in chunk
            .records()
            .take(usize::try_from(upto).unwrap_or(usize::MAX))
        {
            let text = String::from_utf8_lossy(record.bytes).into_owned();
            seen.records.push((record.lsn.get(), text));
            *position = Position::tagged(record.lsn, record.epoch.tag());
        }
        if upto < chunk.len() as u64 {
            return Ok(Cut::Disconnected);
        }
        if end.is_some_and(|end| position.lsn >= end) {
            return Ok(Cut::End);
        }
    }
    Ok(Cut::Disconnected)
}
