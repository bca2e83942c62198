//! Pulls an answer out of a session, and lets Ctrl-C stop it.

use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use halfbyte::{CancelHandle, Error, Event, Model, Session, StopReason};
use serde_json::Value;

use crate::failure::Failure;
use crate::report;

/// An answer, the thought before it, and why it ended.
pub(crate) struct Answer {
    pub thought: String,
    pub text: String,
    pub stop: StopReason,
}

/// A new piece of what the model writes.
pub(crate) enum Piece<'a> {
    Thought(&'a str),
    Text(&'a str),
}

impl Answer {
    /// The thought for scripts: null if there is none.
    pub(crate) fn thought_json(&self) -> Value {
        match self.thought.as_str() {
            "" => Value::Null,
            thought => thought.into(),
        }
    }

    /// What a command that gives one answer ends with: a cancelled one is not done.
    pub(crate) fn outcome(&self) -> Result<(), Failure> {
        match self.stop {
            StopReason::Cancelled => Err(Error::Cancelled.into()),
            _ => Ok(()),
        }
    }
}

/// Pulls a started answer to its end; each new piece goes to `show`.
pub(crate) fn pull(
    session: &mut Session,
    mut show: impl FnMut(Piece<'_>) -> Result<(), Failure>,
) -> Result<Answer, Failure> {
    let (mut thought, mut text) = (String::new(), String::new());
    let mut bar = None;
    loop {
        let event = session.step()?;
        if !matches!(event, Event::Prefill { .. }) {
            bar = None;
        }
        match event {
            Event::Prefill { done, total } if total > Model::BATCH => {
                bar.get_or_insert_with(|| report::progress("reading the prompt", total)).set(done)
            }
            Event::Prefill { .. } => {}
            Event::Thought { text: piece, .. } => {
                show(Piece::Thought(&piece))?;
                thought += &piece;
            }
            Event::Text { text: piece, .. } => {
                show(Piece::Text(&piece))?;
                text += &piece;
            }
            Event::Done(stop) => return Ok(Answer { thought, text, stop }),
        }
    }
}

/// [`pull`] that streams to standard output, the thought to a terminal beside it, and ends the
/// answer's line.
pub(crate) fn print(session: &mut Session) -> Result<Answer, Failure> {
    let mut thought = report::Dimmed::new();
    let answer = pull(session, |piece| match piece {
        Piece::Thought(piece) => {
            thought.show(piece);
            Ok(())
        }
        Piece::Text("") => Ok(()),
        Piece::Text(piece) => {
            thought.end();
            report::output(piece)
        }
    })?;
    thought.end();
    if !answer.text.ends_with('\n') {
        report::output("\n")?;
    }
    if answer.stop == StopReason::MaxTokens && answer.text.is_empty() && !answer.thought.is_empty() {
        report::line("the thought took all tokens: --max-tokens gives more, --thinking off may save them");
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
                report::Dimmed::reset();
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
