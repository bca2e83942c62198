//! Why a command could not do its job.

use std::fmt;
use std::io;
use std::path::Path;
use std::process::ExitCode;

/// A failure, shown as one line.
pub(crate) enum Failure {
    /// The runtime's own words.
    Runtime(halfbyte::Error),
    /// What went wrong, and what to do about it.
    Message(String),
    /// Arguments that make no sense together.
    Usage(String),
    /// Nobody reads standard output any more, which is no fault: `halfbyte inspect … | head`.
    ClosedPipe,
}

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Failure {
        Failure::Message(message.into())
    }

    /// What the program ends with.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Failure::ClosedPipe => ExitCode::SUCCESS,
            Failure::Usage(_) => ExitCode::from(2),
            Failure::Runtime(_) | Failure::Message(_) => ExitCode::FAILURE,
        }
    }

    /// A file that could not be read.
    pub(crate) fn read(path: &Path, error: &io::Error) -> Failure {
        Failure::Message(format!("cannot read {}: {error}", path.display()))
    }

    /// Standard output that could not be written.
    pub(crate) fn output(error: &io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::ClosedPipe,
            _ => Failure::Message(format!("cannot write to standard output: {error}")),
        }
    }
}

impl From<halfbyte::Error> for Failure {
    fn from(error: halfbyte::Error) -> Failure {
        Failure::Runtime(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = match self {
            Failure::Runtime(error) => error.to_string(),
            Failure::Message(message) | Failure::Usage(message) => message.clone(),
            Failure::ClosedPipe => "nobody reads the output".into(),
        };
        let words: Vec<&str> = message.split_whitespace().collect();
        f.write_str(&words.join(" "))
    }
}
