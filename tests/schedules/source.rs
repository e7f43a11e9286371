//! The providers of a schedule.

use std::{
    pin::Pin,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use tokio::time::{Sleep, sleep};
use unbroken::{
    BoxFuture,
    log::{ErrorCode, Outcome, SessionId},
    session::{Continuation, Inbox, Mark, Orphan, ReadError, RecoveryHandler, Source},
};

use crate::{
    script::{Ending, Rng, Script},
    simulation::{QUESTION, Simulation},
};

/// A handler that resumes the answer of an orphan at the end of its log.
pub(crate) struct ResumeOrphans(pub(crate) Weak<Simulation>, pub(crate) Rng);

impl RecoveryHandler for ResumeOrphans {
    fn recover(&self, orphan: Orphan) -> BoxFuture<'_, Result<Option<Continuation>, ReadError>> {
        Box::pin(async move {
            let chunks = orphan.read().await?;
            let records = chunks.iter().map(|chunk| chunk.len() as u64);
            let emitted = records.sum::<u64>().saturating_sub(1);
            let Some(simulation) = self.0.upgrade() else {
                return Ok(None);
            };
            if orphan.tail.get() == 0 {
                simulation.violation(format!("8: {} was recovered before it began", orphan.id()));
            }
            let Some(script) = simulation.script(orphan.id()) else {
                return Ok(None);
            };
            let mut source =
                ScriptedSource::new(simulation, orphan.id().clone(), script, self.1.clone());
            source.emitted = emitted;
            if script.asks == Some(emitted) {
                source.ask();
            }
            let inbox = source.inbox.clone();
            let continuation = Continuation::new(source).inbox(inbox);
            Ok(Some(continuation))
        })
    }
}

/// The answer of a provider: `e1`, `e2`, …, with pauses, and its ending.
pub(crate) struct ScriptedSource {
    simulation: Arc<Simulation>,
    id: SessionId,
    script: Script,
    // The number of events so far.
    emitted: u64,
    called: bool,
    // The start that brought the source was refused.
    pub(crate) refused: Arc<AtomicBool>,
    pause: Option<Pin<Box<Sleep>>>,
    pub(crate) inbox: Inbox,
    asking: Option<BoxFuture<'static, Bytes>>,
    rng: Rng,
}

impl ScriptedSource {
    pub(crate) fn new(
        simulation: Arc<Simulation>,
        id: SessionId,
        script: Script,
        rng: Rng,
    ) -> Self {
        Self {
            simulation,
            id,
            script,
            emitted: 0,
            called: false,
            refused: Arc::default(),
            pause: None,
            inbox: Inbox::new(),
            asking: None,
            rng,
        }
    }

    fn ask(&mut self) {
        let inbox = self.inbox.clone();
        self.asking = Some(Box::pin(async move {
            inbox.recv(QUESTION).await.expect("the question stays open")
        }));
    }
}

impl Source for ScriptedSource {
    fn poll_record(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut BytesMut,
    ) -> Poll<Option<Mark>> {
        if !self.called {
            self.called = true;
            self.simulation.provider_called(&self.id);
            if self.refused.load(SeqCst) {
                let run = format!("8: {} was run after its start was refused", self.id);
                self.simulation.violation(run);
            }
        }
        if let Some(asking) = &mut self.asking {
            let answer = std::task::ready!(asking.as_mut().poll(cx));
            self.asking = None;
            self.simulation.answered(&self.id, answer);
        }
        if self.pause.is_none() && self.script.pause > 0 {
            let pause = self.script.pause;
            let pause = self.rng.millis(pause);
            self.pause = Some(Box::pin(sleep(pause)));
        }
        if let Some(pause) = &mut self.pause {
            std::task::ready!(pause.as_mut().poll(cx));
            self.pause = None;
        }
        if self.emitted < self.script.events {
            self.emitted += 1;
            out.extend_from_slice(format!("e{}", self.emitted).as_bytes());
            if self.script.asks == Some(self.emitted) {
                self.ask();
                return Poll::Ready(Some(Mark::Waiting));
            }
            return Poll::Ready(Some(Mark::Event));
        }
        match self.script.ending {
            Ending::Complete => Poll::Ready(None),
            Ending::Hang => Poll::Pending,
            Ending::Panic => std::panic::resume_unwind(Box::new("the script panics")),
            Ending::Fail => {
                out.extend_from_slice(b"failed");
                Poll::Ready(Some(Mark::Terminal(Outcome::Error(ErrorCode::Provider))))
            }
        }
    }
}
