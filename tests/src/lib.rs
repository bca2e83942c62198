//! What the tests share: fixtures, measures of agreement, test doubles.

pub mod agreement;
pub mod fixtures;
pub mod gguf_writer;
pub mod scripted_backend;
