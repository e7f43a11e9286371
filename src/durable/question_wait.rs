use super::{caller::Caller, refusals};
use crate::{
    access::Action,
    dialect::{QuestionWait, Refusal},
    log::{Position, Status},
    session::Session,
};

/// Waits before the stream of the session that was found, as [`QuestionWait`] says. Returns the session once
/// there is something to stream, and `None` if there is nothing after the wait.
///
/// A shutdown ends the wait, and so does a client that disconnects: the future is dropped then. As for long
/// polls, the number of connections is the only limit.
pub(super) async fn run(
    caller: &Caller,
    found: Option<Session>,
    wait: &QuestionWait,
) -> Result<Option<Session>, Refusal> {
    let sessions = caller.registry();
    let Some(session) = found else {
        sessions.pause(wait.at_most).await;
        return Ok(None);
    };
    // Before the tail: a session that has ended has its last record at the tail.
    let status = session.status();
    let tail = session.tail();
    if status == Status::Streaming {
        return Ok(Some(session));
    }
    let (index, id) = (&caller.config.questions, session.id());
    match index.are_open(sessions, id, tail, &wait.questions).await {
        Ok(true) => {}
        Ok(false) => return Ok(Some(session)),
        Err(error) => return Err(caller.absent(id, Action::Read, &error).await),
    }
    if status.outcome().is_some() {
        sessions.pause(wait.at_most).await;
        return Ok(Some(session));
    }
    let tail = Position::after(tail);
    let refused = |error| refusals::read(&error, tail);
    let mut reader = session.reader(tail).await.map_err(refused)?;
    match tokio::time::timeout(wait.at_most, reader.next()).await {
        Ok(Some(Err(error))) => Err(refused(error)),
        Ok(_) => Ok(Some(session)),
        Err(_) => Ok(None),
    }
}
