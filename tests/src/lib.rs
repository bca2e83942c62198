//! What the tests share: fixtures, measures of agreement, random inputs, test doubles.

pub mod agreement;
pub mod fixtures;
pub mod gguf_writer;
pub mod matrices;
pub mod patched_gguf;
pub mod random;
pub mod reference;
pub mod scripted_backend;
pub mod taps;
