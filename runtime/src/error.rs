//! The one error type of the runtime. Every message says what is wrong and, where the caller can
//! do something about it, what; none contains a user's prompt.

use std::path::PathBuf;

use crate::gguf::GgufError;

/// Shorthand for a result with [`enum@Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong between a model file and a token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file could not be opened, read or mapped.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file as the caller named it.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// The file is not a GGUF file that can be trusted.
    #[error("not a usable GGUF file: {0}")]
    Gguf(#[from] GgufError),
    /// A sound file that holds something this runtime does not run; the text names it and what would.
    #[error("unsupported model: {0}")]
    Unsupported(String),
    /// The tokenizer in the file is broken, or text could not be encoded.
    #[error("tokenizer: {0}")]
    Tokenizer(String),
    /// The chat template in the file is broken or refused the messages.
    #[error("chat template: {0}")]
    Template(String),
    /// A caller's argument is out of range; the text names the range.
    #[error("{0}")]
    InvalidArgument(String),
    /// The tokens do not fit into the context.
    #[error(
        "context is full: {needed} tokens are needed and {capacity} fit; \
         start a new conversation or load the model with a larger context"
    )]
    ContextFull {
        /// Tokens that would have to fit.
        needed: usize,
        /// Tokens that do.
        capacity: usize,
    },
    /// No GPU adapter can be used; the text says why and how to get one.
    #[error("no usable GPU: {0}")]
    NoGpu(String),
    /// The GPU refused or lost work. The session keeps its history; load the model again or use the CPU.
    #[error("GPU failed: {0}")]
    Gpu(String),
    /// The GPU or the system has too little memory for what was asked.
    #[error("out of memory: {0}")]
    OutOfMemory(String),
    /// The caller cancelled.
    #[error("cancelled")]
    Cancelled,
}
