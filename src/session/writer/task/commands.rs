//! The commands that a writer takes.

use std::task::{Context, Poll};

use super::Writer;
use crate::{
    log::Ending,
    session::writer::command::{WriterCommand, WriterEnd},
};

impl Writer {
    pub(super) fn poll_commands(&mut self, cx: &mut Context<'_>) -> Poll<WriterEnd> {
        while let Poll::Ready(command) = self.commands.poll_next(cx) {
            match command {
                WriterCommand::Abort(abort) => self.abort(abort),
                WriterCommand::Answered(count) => self.answered(count),
                WriterCommand::Fenced => return Poll::Ready(WriterEnd::Fenced),
                WriterCommand::Interrupt => self.end(&Ending::Interrupted),
                WriterCommand::Release => {
                    self.drop_source();
                    self.releasing = true;
                }
            }
        }
        Poll::Pending
    }

    pub(super) fn answered(&mut self, count: u32) {
        if let Some(answers) = &mut self.answers {
            answers.set_available(count as usize);
        }
    }
}
