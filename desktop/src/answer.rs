//! Pulls an answer out of a session, and lets Ctrl-C stop it.

use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use halfbyte::{CancelHandle, Error, Event, Model, Session, StopReason};

use crate::failure::Failure;
use crate::report;

/// An answer and why it ended.
pub(crate) struct Answer {
    pub text: String,
    pub stop: StopReason,
}

impl Answer {
    /// What a command that gives one answer ends with: a cancelled one is not done.
    pub(crate) fn outcome(&self) -> Result<(), Failure> {
        match self.stop {
            StopReason::Cancelled => Err(Error::Cancelled.into()),
            _ => Ok(()),
        }
    }
}

/// Pulls a started answer to its end; each new piece of text goes to `show`.
pub(crate) fn pull(
    session: &mut Session,
    mut show: impl FnMut(&str) -> Result<(), Failure>,
) -> Result<Answer, Failure> {
    let mut text = String::new();
    let mut bar = None;
    loop {
        match session.step()? {
            Event::Prefill { done, total } if total > Model::BATCH => {
                bar.get_or_insert_with(|| report::progress("reading the prompt", total)).set(done)
            }
            Event::Prefill { .. } => {}
            Event::Text { text: piece, .. } => {
                bar = None;
                if !piece.is_empty() {
                    show(&piece)?;
                }
                text += &piece;
            }
            Event::Done(stop) => return Ok(Answer { text, stop }),
        }
    }
}

/// [`pull`] that streams to standard output and ends the answer's line.
pub(crate) fn print(session: &mut Session) -> Result<Answer, Failure> {
    let answer = pull(session, report::output)?;
    if !answer.text.ends_with('\n') {
        report::output("\n")?;
    }
    Ok(answer)
}

/// What Ctrl-C does: it stops the answer in progress. Without one, or pressed again before the
/// answer could stop, it ends the program.
pub(crate) struct Interrupt {
    is_answering: Arc<AtomicBool>,
}

impl Interrupt {
    /// Takes over Ctrl-C for a session.
    pub(crate) fn install(cancel: CancelHandle) -> Interrupt {
        let is_answering = Arc::new(AtomicBool::new(false));
        let answering = Arc::clone(&is_answering);
        let installed = ctrlc::set_handler(move || {
            if !answering.load(Ordering::Acquire) {
                process::exit(0);
            }
            if cancel.is_cancelled() {
                process::exit(130);
            }
            cancel.cancel();
        });
        if let Err(error) = installed {
            log::warn!("Ctrl-C will end the program instead of an answer: {error}");
        }
        Interrupt { is_answering }
    }

    /// Runs `answer`, which Ctrl-C stops. The session must have been started.
    pub(crate) fn during<T>(&self, answer: impl FnOnce() -> T) -> T {
        self.is_answering.store(true, Ordering::Release);
        let result = answer();
        self.is_answering.store(false, Ordering::Release);
        result
    }
}
