//! Why a task stopped, in words that say what to do next.

use std::fmt;
use std::path::Path;
use std::process::ExitCode;

/// The result of a task.
pub(crate) type Result<T> = std::result::Result<T, Error>;

/// Why a task stopped.
#[derive(Debug, PartialEq)]
pub(crate) enum Error {
    /// The command line does not make sense.
    Usage(String),
    /// The task failed.
    Failed(String),
}

impl Error {
    /// A failed task, explained by `message`.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::Failed(message.into())
    }

    /// An adapter for `map_err`: what was being done to which file when the system refused.
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |cause| Self::Failed(format!("{doing} {}: {cause}", path.display()))
    }

    /// 2 for wrong usage, 1 for a failed task.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Usage(_) => 2,
            Self::Failed(_) => 1,
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(message) => write!(f, "{message} (cargo xtask help explains)"),
            Self::Failed(message) => f.write_str(message),
        }
    }
}
