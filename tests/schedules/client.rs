//! A client that reads, loses its connection, resumes on either server, and keeps what it received.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;
use unbroken::{
    log::{Position, SessionId},
    session::{ReadError, Reader, Sessions},
    store::AbortRequest,
};

use crate::{defect::Defect, script::Rng, simulation::Simulation};

/// The records that a client received since it began at the start of the log.
#[derive(Debug, Clone, Default)]
pub(crate) struct Received {
    pub(crate) records: Vec<(u64, String)>,
    /// True if a body ended cleanly after these records.
    pub(crate) ended: bool,
}

/// Reads until the session ends or is gone, or the simulation is over.
pub(crate) async fn read(
    simulation: Arc<Simulation>,
    id: SessionId,
    mut rng: Rng,
) -> Vec<Received> {
    let mut all = Vec::new();
    let mut received = Received::default();
    let mut position = Position::START;
    while !simulation.is_over() {
        let sessions = simulation.server(&mut rng).clone();
        simulation.reader_opened(&id);
        let end = connection(
            &simulation,
            &sessions,
            &id,
            &mut position,
            &mut received,
            &mut rng,
        )
        .await;
        if simulation.reader_closed(&id) && simulation.defect == Defect::LastReaderAborts {
            let _ = sessions.abort(&id, AbortRequest::default()).await;
        }
        match end {
            Ok(BodyEnd::Clean) => {
                received.ended = true;
                break;
            }
            Err(ReadError::Gone(_)) => break,
            // The store went back to before the start.
            Err(ReadError::NotFound) if simulation.rewinds() && position != Position::START => {
                break;
            }
            Err(ReadError::Rewound { .. }) => {
                simulation.rewound(&id);
                all.push(std::mem::take(&mut received));
                position = Position::START;
            }
            Err(ReadError::Corrupt { lsn }) => {
                simulation.violation(format!("1: a gap or a missing wake-up at {lsn}"));
            }
            // Disconnected, or the store is unavailable, or the session does not exist yet: try again.
            Ok(BodyEnd::Disconnected) | Err(_) => {}
        }
        tokio::time::sleep(rng.millis(300)).await;
    }
    all.push(received);
    all
}

/// The end of a connection without an error.
enum BodyEnd {
    Clean,
    Disconnected,
}

/// Returns an error if the reader still waits after every wait of the store has run out, although the
/// store has further records.
async fn missed_wakeup(sessions: &Sessions, reader: &mut Reader) -> Option<ReadError> {
    let tail = sessions.state(reader.id()).await.ok()?.tail;
    let behind = reader.position().lsn < tail;
    let next = timeout(Duration::from_secs(5), reader.next()).await;
    (behind && next.is_err()).then_some(ReadError::Corrupt { lsn: tail })
}

async fn connection(
    simulation: &Simulation,
    sessions: &Sessions,
    id: &SessionId,
    position: &mut Position,
    received: &mut Received,
    rng: &mut Rng,
) -> Result<BodyEnd, ReadError> {
    let session = sessions.attach(id).await?;
    let mut reader = session.reader(*position).await?;
    drop(session);
    let end = Some(reader.tail()).filter(|_| simulation.defect == Defect::StaleTailIsEnd);
    let batches = if rng.one_in(2) {
        rng.below(6)
    } else {
        u64::MAX
    };
    for _ in 0..batches {
        let limit = Duration::from_secs(1) + rng.millis(20_000);
        let Ok(next) = timeout(limit, reader.next()).await else {
            return match missed_wakeup(sessions, &mut reader).await {
                Some(error) if simulation.answers_at_once() => Err(error),
                _ => Ok(BodyEnd::Disconnected),
            };
        };
        let Some(batch) = next else {
            return Ok(BodyEnd::Clean);
        };
        let chunk = batch?.chunk().clone();
        // Some connections break in the middle of a batch.
        let count = if rng.one_in(8) {
            rng.below(chunk.len() as u64 + 1)
        } else {
            u64::MAX
        };
        for record in chunk
            .records()
            .take(usize::try_from(count).unwrap_or(usize::MAX))
        {
            let text = String::from_utf8_lossy(record.bytes).into_owned();
            received.records.push((record.lsn.get(), text));
            *position = Position::tagged(record.lsn, record.epoch.tag());
        }
        if count < chunk.len() as u64 {
            return Ok(BodyEnd::Disconnected);
        }
        if end.is_some_and(|end| position.lsn >= end) {
            return Ok(BodyEnd::Clean);
        }
    }
    Ok(BodyEnd::Disconnected)
}
